"""Takes jobs and puts them into the queue. While redis is away they wait in memory, up to 1000; web hooks are refused at once."""

import collections
import json
import resource
import threading
import time

from app import redis
from app.breaker import Breaker
from app.web import metrics, serve

ROOM = 1000
queue = redis.from_environment()
breaker = Breaker("redis")
buffer = collections.deque()
seen = {"accepted": 0, "refused": 0, "peak": 0, "queued": 0, "depth": -1, "dlq": -1, "latency_ms": -1}
lock = threading.Lock()


def redis_is_up():
    return breaker.failed == 0


def ask(*words):
    """Through the breaker, and timed."""
    begun = time.monotonic()
    answer = breaker.call(queue, *words)
    seen["latency_ms"] = round((time.monotonic() - begun) * 1000, 1)
    return answer


def accept(body):
    """202: it will be done. The job is in memory until redis has it."""
    with lock:
        if len(buffer) >= ROOM:
            seen["refused"] += 1
            return 503, {"error": "the buffer is full: try again later"}
        buffer.append(body)
        seen["accepted"] += 1
        seen["peak"] = max(seen["peak"], len(buffer))
    return 202, {"buffered": len(buffer)}


def web_hook(body):
    if not redis_is_up():
        return 503, {"error": "redis is down: send it again later"}
    return accept(json.dumps({"id": f"hook-{time.time_ns()}"}))


def pump():
    """From memory into the queue, in order. A job is forgotten when redis has it, so one may be sent twice: the worker knows its id."""
    asked = 0.0
    while True:
        try:
            while buffer:
                ask("RPUSH", "jobs", buffer[0])
                buffer.popleft()
                seen["queued"] += 1
            if time.monotonic() - asked > 0.5:
                seen["depth"] = ask("LLEN", "jobs")
                seen["dlq"] = ask("LLEN", "dead")
                asked = time.monotonic()
        except OSError:
            seen["depth"] = seen["dlq"] = -1
            time.sleep(0.2)
        time.sleep(0.02)


def health(_):
    up = redis_is_up()
    return 200, {"status": "ok" if up else "degraded", "checks": {"redis": "up" if up else "down"}}


def memory_mb():
    """The most that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(_):
    return 200, {**seen, "buffered": len(buffer), "breaker": breaker.state, "retries": breaker.retries, "memory_mb": memory_mb()}


def numbers(_):
    return metrics({
        "redis_up": redis_is_up(),
        "circuit_open": breaker.state != "closed",
        "buffered_jobs": len(buffer),
        "buffered_jobs_peak": seen["peak"],
        "accepted_jobs_total": seen["accepted"],
        "refused_jobs_total": seen["refused"],
        "queue_retries_total": breaker.retries,
        "queue_depth": seen["depth"],
        "redis_latency_ms": seen["latency_ms"],
        "memory_mb": memory_mb(),
    })


threading.Thread(target=pump, daemon=True).start()
serve(8080, {
    "GET /healthz": health,
    "GET /metrics": numbers,
    "GET /queue": report,
    "POST /jobs": accept,
    "POST /webhooks": web_hook,
})
