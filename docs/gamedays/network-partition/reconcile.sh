# Gives jobs that a worker holds back to the queue, for the case that it does not come back. Doing a job again changes nothing.
for worker in worker-us worker-eu; do
    moved=0
    while [ -n "$(redis-cli -e -h queue lmove working:$worker jobs right left)" ]; do
        moved=$((moved + 1))
        [ $moved -ge 1000 ] && break
    done
    echo "$worker: $moved jobs back in the queue"
done
