"""Does the jobs of the queue, each once: a job leaves the list of those in work together with its entry in the list of those that are done."""

import json
import threading
import time

from app import redis
from app.breaker import Breaker
from app.web import metrics, serve

FINISH = """
redis.call('LREM', 'working', 1, ARGV[1])
if redis.call('SADD', 'ids', ARGV[2]) == 0 then return 0 end
redis.call('RPUSH', 'done:' .. ARGV[3], ARGV[4])
return 1
"""
queue = redis.from_environment()
breaker = Breaker("redis")
seen = {"done": 0, "again": 0}


def finish(job):
    """A job is JSON: `id`, and for markers also `run` and `marker`."""
    told = json.loads(job)
    new = breaker.call(queue, "EVAL", FINISH, 0, job, told["id"], told.get("run", "other"), told.get("marker", told["id"]))
    seen["done" if new else "again"] += 1


def work():
    while True:
        try:
            for job in breaker.call(queue, "LRANGE", "working", 0, -1):        # what a failure has left half done
                finish(job)
            while job := breaker.call(queue, "LMOVE", "jobs", "working", "LEFT", "RIGHT"):
                try:
                    finish(job)
                except (ValueError, KeyError):
                    breaker.call(queue, "LMOVE", "working", "dead", "RIGHT", "RIGHT")
        except OSError:
            time.sleep(0.2)
        time.sleep(0.1)


def health(_):
    up = breaker.failed == 0
    return 200, {"status": "ok" if up else "degraded", "checks": {"redis": "up" if up else "down"}}


threading.Thread(target=work, daemon=True).start()
serve(8080, {
    "GET /healthz": health,
    "GET /metrics": lambda _: metrics({"redis_up": breaker.failed == 0, "done_jobs_total": seen["done"], "repeated_jobs_total": seen["again"]}),
})
