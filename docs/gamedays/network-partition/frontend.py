"""What users talk to. It finds a gateway by DNS, takes the other one if the first does not answer, and shows what it has if none does."""

import collections
import json
import os
import threading
import time

from app.breaker import Breaker
from app.names import addresses
from app.web import ask, metrics, serve

NAME = "api.example.test"
PATIENCE = 6.0
gateways = collections.defaultdict(lambda: Breaker("gateway", failures=2, rest=2.0))
cache = {"page": None}
seen = {"requests": 0, "failed": 0, "stale": 0}
up = {"dns": True, "backend": True}


def backend(path, body=None, patience=PATIENCE):
    """The first gateway that answers."""
    why = OSError("no gateway")
    try:
        found = addresses(NAME, os.environ["DNS"])
        up["dns"] = True
    except OSError:
        up["dns"] = False
        raise
    for address in found:
        try:
            status, text = gateways[address].call(ask, f"http://{address}:8080{path}", body, patience)
            up["backend"] = True
            return status, text
        except OSError as error:
            why = error
    up["backend"] = False
    raise why


def write(path):
    """Writes and log-ins are passed on, or refused in words that a user understands."""

    def passed_on(body):
        seen["requests"] += 1
        try:
            status, text = backend(path, body)
        except OSError as error:
            status, text = 503, json.dumps({"error": "we cannot save this at the moment, please try again in some minutes", "because": str(error)})
        seen["failed"] += status >= 500
        return status, text

    return passed_on


def page(_):
    seen["requests"] += 1
    try:
        status, text = backend("/read")
        if status == 200:
            cache["page"] = text
            return 200, {"page": json.loads(text), "stale": json.loads(text)["stale"]}
    except OSError:
        pass
    if cache["page"] is None:
        seen["failed"] += 1
        return 503, {"error": "there is nothing to show yet"}
    seen["stale"] += 1
    return 200, {"page": json.loads(cache["page"]), "stale": True}


def look():
    """So that health is known also while nobody asks for anything."""
    while True:
        try:
            backend("/healthz", None, 1.0)
        except OSError:
            pass
        time.sleep(1)


def checks():
    return {name: "up" if works else "down" for name, works in up.items()}


def numbers(_):
    return metrics({
        'dependency_up{component="backend"}': up["backend"] and up["dns"],
        "frontend_requests_total": seen["requests"],
        "frontend_failed_total": seen["failed"],
        "frontend_stale_total": seen["stale"],
    })


threading.Thread(target=look, daemon=True).start()
serve(8080, {
    "GET /healthz": lambda _: (200, {"checks": checks()}),
    "GET /metrics": numbers,
    "GET /page": page,
    "POST /login": write("/login"),
    "POST /write": write("/write"),
    "POST /jobs": write("/jobs"),
})
