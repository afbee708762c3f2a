# How many markers has redis-1 acknowledged that the master does not have? The witness beside redis-1 remembers them.
. ./master.sh
for key in orders payments; do
    redis-cli -e -h "$(master)" lrange "$key:$RUN" 0 -1 | sort >"${TMPDIR:-/tmp}/$RUN.$$"
    curl -fsS http://redis-1:9121/pushed | sed -n "s/^$key:$RUN //p" | sort -u | comm -23 - "${TMPDIR:-/tmp}/$RUN.$$" | sort -n |
        awk -v key=$key 'NR == 1 { first = $1 } { last = $1 } END { print key ": redis-1 took " NR " that the master does not have" (NR ? ", from " first " to " last : "") }'
    rm -f "${TMPDIR:-/tmp}/$RUN.$$"
done
