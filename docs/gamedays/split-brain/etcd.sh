# One of the three nodes: HOST, ADDRESS and DIR say which. The times are for a busy machine; a follower misses its leader after 2 s.
exec etcd --name "$HOST" --data-dir "$DIR/data" \
    --listen-peer-urls "http://$ADDRESS:2380" --initial-advertise-peer-urls "http://$ADDRESS:2380" \
    --listen-client-urls "http://$ADDRESS:2379" --advertise-client-urls "http://$ADDRESS:2379" \
    --initial-cluster node1=http://10.92.0.1:2380,node2=http://10.92.0.2:2380,node3=http://10.92.0.3:2380 \
    --heartbeat-interval 200 --election-timeout 2000 --logger zap
