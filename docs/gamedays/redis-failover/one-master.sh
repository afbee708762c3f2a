# One redis is master, the other its replica and in step, and all sentinels name that master.
masters=0
for redis in redis-1 redis-2; do
    role=$(timeout 1 redis-cli -h $redis info replication | tr -d '\r')
    echo "$redis: $(echo "$role" | grep -E '^(role|master_host|master_link_status|connected_slaves)' | xargs)"
    echo "$role" | grep -q role:master && masters=$((masters + 1)) && echo "$role" | grep -q connected_slaves:1 && one=$redis
    echo "$role" | grep -q master_link_status:up && replica=$redis
done
for sentinel in sentinel-1 sentinel-2 sentinel-3; do
    timeout 1 redis-cli -h $sentinel -p 26379 sentinel get-master-addr-by-name main | head -1
done | sort | uniq -c | tee /dev/stderr | grep -q ' 3 ' && [ $masters = 1 ] && [ -n "$one" ] && [ -n "$replica" ]
