# Makes the given node the leader, so that a scenario cuts off the one that matters.
. "$(dirname "$0")/nodes.sh"
wanted=$(at "$1" endpoint status -w fields | field MemberID)
leader=$(at "$1" endpoint status -w fields | field Leader)
[ -n "$wanted" ] || { echo "$1 does not answer"; exit 1; }
[ "$wanted" = "$leader" ] && { echo "$1 leads already"; exit; }
for node in $nodes; do
    at "$node" move-leader "$(printf %x "$wanted")" && exit       # only the leader itself does it
done
exit 1
