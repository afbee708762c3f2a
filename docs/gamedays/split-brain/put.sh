# Writes a marker through the first of the given nodes that takes it. Acknowledged means: a majority has it.
for node in $(echo "$2" | tr , ' '); do
    etcdctl --endpoints="$node" --dial-timeout=1s --command-timeout=1s put "$1/$RUN/$MARKER" "$MARKER" && exit
done
exit 1
