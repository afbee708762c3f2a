"""Answers from what capsule and plato say. If one of them is out of reach it says so, and answers with what it has of it."""

import json
import threading
import time

from app.breaker import Breaker
from app.web import ask, metrics, serve

WHERE = {"capsule": "http://capsule:8080/capsules", "plato": "http://plato:8080/evaluate"}
breakers = {name: Breaker(name) for name in WHERE}
known = dict.fromkeys(WHERE)


def fetch(url):
    status, text = ask(url, None, 1.5)
    if status != 200:
        raise ConnectionError(f"{url}: {status}")
    return json.loads(text)


def look():
    while True:
        for name, url in WHERE.items():
            try:
                known[name] = breakers[name].call(fetch, url)
            except OSError:
                pass
        time.sleep(0.5)


def entities(_):
    if None in known.values():
        return 503, {"error": "nothing is known yet"}
    return 200, {**known, "old": [name for name, breaker in breakers.items() if breaker.failed]}


def health(_):
    reached = {name: {"status": "DOWN" if breaker.failed else "UP"} for name, breaker in breakers.items()}
    return 200, {"status": "UP", "components": reached, "circuits": {name: breaker.state for name, breaker in breakers.items()}}


def numbers(_):
    return metrics({f'probe_success{{target="{name}"}}': breaker.failed == 0 for name, breaker in breakers.items()})


threading.Thread(target=look, daemon=True).start()
serve(8080, {"GET /actuator/health": health, "GET /metrics": numbers, "GET /entities": entities})
