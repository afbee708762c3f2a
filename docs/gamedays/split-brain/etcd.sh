# One of three nodes: HOST, ADDRESS and DIR say which, CLUSTER who they are. The times are for a busy machine; a follower
# misses its leader after 2 s. With a pre-vote a node that comes back does not make the others elect again.
cluster=${CLUSTER:-node1=http://10.92.0.1:2380,node2=http://10.92.0.2:2380,node3=http://10.92.0.3:2380}
exec etcd --name "$HOST" --data-dir "$DIR/data" \
    --listen-peer-urls "http://$ADDRESS:2380" --initial-advertise-peer-urls "http://$ADDRESS:2380" \
    --listen-client-urls "http://$ADDRESS:2379" --advertise-client-urls "http://$ADDRESS:2379" \
    --initial-cluster "$cluster" \
    --heartbeat-interval 200 --election-timeout 2000 --pre-vote --logger zap
