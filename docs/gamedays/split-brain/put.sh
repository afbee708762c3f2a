# Writes a marker through the given nodes. Acknowledged means: a majority has it.
exec etcdctl --endpoints="$2" --dial-timeout=1s --command-timeout=2s put "$1/$RUN/$MARKER" "$MARKER"
