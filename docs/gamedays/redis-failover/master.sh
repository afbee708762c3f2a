# Sourced: the address of the master that most sentinels name, or with arguments, the one that these name.
master() {
    for sentinel in ${*:-sentinel-1 sentinel-2 sentinel-3}; do
        timeout 1 redis-cli -h "$sentinel" -p 26379 sentinel get-master-addr-by-name main | head -1
    done | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }'
}
