# A marker as a client in zone a writes it: to the master that the sentinel beside it names. Acknowledged by that redis alone.
. ./master.sh
at=$(master sentinel-1)
exec redis-cli -e -h "$at" rpush "orders:$RUN" "$MARKER"
