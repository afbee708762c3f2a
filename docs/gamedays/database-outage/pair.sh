# One PostgreSQL is primary and the other follows it without a gap, and both have as many policies.
primaries=0
for server in postgres-1 postgres-2; do
    at="host=$server user=postgres connect_timeout=2"
    state=$(psql -X -A -t -c "select case when pg_is_in_recovery() then 'replica' else 'primary' end, (select count(*) from pg_stat_replication where state = 'streaming'), (select count(*) from pg_stat_wal_receiver where status = 'streaming')" "$at") || exit 1
    echo "$server: $state"
    case $state in
        primary*) primaries=$((primaries + 1)); [ "$state" = 'primary|1|0' ] || exit 1 ;;
        replica*) [ "$state" = 'replica|0|1' ] || exit 1 ;;
    esac
done
[ $primaries = 1 ]
