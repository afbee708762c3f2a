# A redis that keeps everything in memory, as a queue does. A replica whose master is silent notices after 10 s.
exec redis-server --bind "$ADDRESS" --port 6379 --dir "$DIR" --protected-mode no --save '' --appendonly no \
    --repl-diskless-sync-delay 0 --repl-timeout 10 --repl-ping-replica-period 1 "$@"
