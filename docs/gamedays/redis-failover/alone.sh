# How many markers has redis-1 acknowledged that the master does not have? The witness beside redis-1 remembers them. It is asked first:
# what the master takes after that comes to redis-1 as well, and would count as redis-1's alone.
. ./master.sh
taken=${TMPDIR:-/tmp}/$RUN.$$
for key in orders payments; do
    curl -fsS http://redis-1:9121/pushed | sed -n "s/^$key:$RUN //p" | sort -u >"$taken"
    redis-cli -e -h "$(master)" lrange "$key:$RUN" 0 -1 | sort | comm -23 "$taken" - | sort -n |
        awk -v key=$key 'NR == 1 { first = $1 } { last = $1 } END { print key ": redis-1 took " NR " that the master does not have" (NR ? ", from " first " to " last : "") }'
done
rm -f "$taken"
