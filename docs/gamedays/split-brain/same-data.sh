# Compares a hash of all keys at one revision, the last that every node has.
. "$(dirname "$0")/nodes.sh"
revision=
for node in $nodes; do
    has=$(at "$node" endpoint status -w fields | field Revision)
    [ -n "$has" ] || { echo "$node does not answer"; exit 1; }
    { [ -z "$revision" ] || [ "$has" -lt "$revision" ]; } && revision=$has
done
hashes=
for node in $nodes; do
    hash=$(at "$node" endpoint hashkv --rev "$revision" -w fields | field Hash)
    echo "$node: hash $hash at revision $revision"
    hashes="$hashes$hash
"
done
[ -n "$hash" ] && [ "$(printf '%s' "$hashes" | sort -u | wc -l)" = 1 ]
