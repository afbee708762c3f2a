# Writes one key through the first of the given nodes that takes it. Fails where there is no majority.
for node in $(echo "$1" | tr , ' '); do
    etcdctl --endpoints="$node" --dial-timeout=1s --command-timeout=1s put "probe/$1" written && exit
done
exit 1
