"""Keeps history in a store of three replicas. A write that no majority takes waits here and is tried again; reads go to any replica that answers."""

import base64
import collections
import json
import threading
import time

from app.breaker import Breaker
from app.web import ask, metrics, serve

replicas = {f"store-{number}": Breaker(f"store-{number}", failures=1, rest=2.0, most=2.0) for number in (1, 2, 3)}
waiting = collections.deque()
seen = {"written": 0, "later": 0, "slowest_ms": 0}


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def one(replica, path, question):
    status, text = ask(f"http://{replica}:2379{path}", json.dumps(question), 1.5)
    if status != 200:
        raise ConnectionError(f"{replica}: {text.strip()}")
    return json.loads(text)


def anyone(path, question):
    why = ConnectionError("no replica")
    for replica, breaker in replicas.items():
        try:
            return breaker.call(one, replica, path, question)
        except OSError as error:
            why = error
    raise why


def put(key, value):
    anyone("/v3/kv/put", {"key": encoded(key), "value": encoded(value)})
    seen["written"] += 1


def write(body):
    """201: a majority has it. 202: it waits here. `key` and `value` are text."""
    told = json.loads(body)
    begun = time.monotonic()
    try:
        put(told["key"], told["value"])
    except OSError:
        waiting.append((told["key"], told["value"]))
        seen["later"] += 1
        return 202, {"waiting": len(waiting)}
    seen["slowest_ms"] = max(seen["slowest_ms"], round((time.monotonic() - begun) * 1000))
    return 201, {"written": True}


def history(_):
    """What the nearest replica has: not always the newest."""
    try:
        answer = anyone("/v3/kv/range", {"key": encoded("\0"), "range_end": encoded("\0"), "count_only": True, "serializable": True})
    except OSError as error:
        return 503, {"error": "the history is not available at the moment", "because": str(error)}
    return 200, {"capsules": int(answer.get("count", 0))}


def again():
    while True:
        try:
            put("health/capsule", str(time.time()))
            while waiting:
                put(*waiting[0])
                waiting.popleft()
        except OSError:
            pass
        time.sleep(1)


def health(_):
    up = sum(breaker.failed == 0 for breaker in replicas.values())
    status = "UP" if up == 3 else "DEGRADED" if up == 2 else "DOWN"
    return 200, {"status": status, "waiting": len(waiting), "slowest_ms": seen["slowest_ms"],
                 "components": {"cassandra": {"status": status, "replicas": up}}}


def probe_replicas():
    """So that a replica that nobody needs is missed, too."""
    while True:
        for replica, breaker in replicas.items():
            try:
                breaker.call(one, replica, "/v3/maintenance/status", {})
            except OSError:
                pass
        time.sleep(0.5)


def numbers(_):
    values = {f'cassandra_node_status{{node="{replica}"}}': breaker.failed == 0 for replica, breaker in replicas.items()}
    return metrics({**values, "capsules_written_total": seen["written"], "capsules_later_total": seen["later"], "capsules_waiting": len(waiting)})


threading.Thread(target=again, daemon=True).start()
threading.Thread(target=probe_replicas, daemon=True).start()
serve(8080, {
    "GET /actuator/health": health,
    "GET /metrics": numbers,
    "GET /capsules": history,
    "POST /capsules": write,
})
