# Asks every node by itself who leads and who is a member. Succeeds if all say the same.
. "$(dirname "$0")/nodes.sh"
views=
for node in $nodes; do
    status=$(at "$node" endpoint status -w fields) || { echo "$node does not answer"; exit 1; }
    leader=$(echo "$status" | field Leader)
    members=$(at "$node" member list | cut -d, -f3 | sort | xargs)
    echo "$node: leader $leader, members: $members"
    views="$views$leader $members
"
done
[ "$(printf '%s' "$views" | sort -u | wc -l)" = 1 ] && [ "$leader" != 0 ]
