# The same, but acknowledged only when a replica has it, too: `WAIT 1 1000`.
. ./master.sh
at=$(master sentinel-1)
printf 'rpush payments:%s %s\nwait 1 1000\n' "$RUN" "$MARKER" | redis-cli -e -h "$at" | tail -1 | grep -qx '[1-9]'
