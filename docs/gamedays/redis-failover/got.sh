# The markers in a list of the master, one a line.
. ./master.sh
exec redis-cli -e -h "$(master)" lrange "$1:$RUN" 0 -1
