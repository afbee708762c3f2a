# Sourced by the other scripts: the nodes, and etcdctl for one of them that gives up after 2 s.
nodes=${NODES:-node1 node2 node3}

at() {
    node=$1
    shift
    etcdctl --endpoints="$node:2379" --dial-timeout=1s --command-timeout=2s "$@"
}

field() {
    sed -n "s/^\"$1\" : //p" | head -1
}
