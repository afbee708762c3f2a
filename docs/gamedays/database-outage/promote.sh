# Promotes the replica: `patronictl failover`, or `pg_ctl promote` there. Alone it has to acknowledge writes without a replica.
psql -X -h "${1:-postgres-2}" -U postgres -v ON_ERROR_STOP=1 <<'SQL'
select pg_promote(true, 20);
alter system set synchronous_standby_names = '';
select pg_reload_conf();
checkpoint;
SQL
