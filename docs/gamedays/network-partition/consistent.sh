# Nothing was done twice, nothing is half done, and no worker still holds jobs.
left=$(for worker in worker-us worker-eu; do redis-cli -e -h queue llen working:$worker || exit 1; done | awk '{ sum += $1 } END { print sum + 0 }')
twice=$(echo 'select count(*) from (select id from ledger group by id having count(*) > 1) as twice' | psql -X -q -A -t -h database -U postgres)
orphans=$(echo 'select count(*) from writes full join ledger using (id) where ledger.kind is null or writes.created_at is null' | psql -X -q -A -t -h database -U postgres)
echo "held by workers: $left, done twice: $twice, half done: $orphans"
[ "$left" -lt 10 ] && [ "$twice" = 0 ] && [ "$orphans" = 0 ]
