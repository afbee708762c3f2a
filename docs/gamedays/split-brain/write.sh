# Writes one key through the given nodes. Fails where there is no majority.
exec etcdctl --endpoints="$1" --dial-timeout=1s --command-timeout=2s put "probe/$1" written
