# All three sentinels know each other and the replica, so that they can promote it.
for sentinel in sentinel-1 sentinel-2 sentinel-3; do
    timeout 1 redis-cli -h $sentinel -p 26379 sentinel ckquorum main | grep -q 'OK 3 usable' || exit 1
    timeout 1 redis-cli -h $sentinel -p 26379 sentinel replicas main | grep -qx name || exit 1
done
