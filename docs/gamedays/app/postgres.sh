# A PostgreSQL in $DIR that is open to all of the lab. It refuses to be root, so it is somebody else in a user namespace of its own.
[ "$(id -u)" = 0 ] && exec unshare --user --map-user=1000 --map-group=1000 sh "$0" "$@"
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
initdb --pgdata="$DIR/data" --username=postgres --auth=trust --no-sync >initdb.log || { cat initdb.log; exit 1; }
echo 'host all all all trust' >>"$DIR/data/pg_hba.conf"
exec postgres -D "$DIR/data" -c listen_addresses="$ADDRESS" -c unix_socket_directories= -c dynamic_shared_memory_type=mmap "$@"
