"""Takes events and publishes them. Without NATS they wait in memory, and the pages of the cockpit are there all the same."""

import collections
import json
import os
import threading
import time

from app.breaker import Breaker
from app.nats import Nats
from app.web import metrics, serve

ROOM = 100_000
STREAM = {"name": "EVENTS", "subjects": ["events.>"], "storage": "file", "retention": "limits", "duplicate_window": 120 * 10**9}
nats = Nats(os.environ["NATS"], "gateway")
breaker = Breaker("nats")
buffer = collections.deque()
ids = {}                                 # of the events that were taken last, the oldest first
seen = {"accepted": 0, "published": 0, "duplicates": 0, "errors": 0}


def accept(body):
    """202: the event will be published. Its `id` makes it one event, however often it is sent."""
    identity = json.loads(body)["id"]
    if len(buffer) >= ROOM:
        return 503, {"error": "the buffer is full"}
    if identity not in ids:
        ids[identity] = True
        if len(ids) > ROOM:
            del ids[next(iter(ids))]
        buffer.append((identity, body))
        seen["accepted"] += 1
    return 202, {"buffered": len(buffer)}


def publish(identity, body):
    answer = nats.request("events.new", body, {"Nats-Msg-Id": identity})
    seen["published"] += 1
    seen["duplicates"] += bool(answer.get("duplicate"))


def pump():
    """Publishes in order; what is not acknowledged stays first in the buffer. An idle connection is tried, too."""
    known = False
    tried = 0.0
    while True:
        try:
            if not known:
                breaker.call(nats.request, "$JS.API.STREAM.CREATE.EVENTS", json.dumps(STREAM))
                known = True
            while buffer:
                breaker.call(publish, *buffer[0])
                buffer.popleft()
            if time.monotonic() - tried > 0.5:
                breaker.call(nats.request, "$JS.API.STREAM.INFO.EVENTS", "")
                tried = time.monotonic()
        except OSError:
            seen["errors"] += 1
            time.sleep(0.2)
        time.sleep(0.02)


def report():
    return {**seen, "buffered": len(buffer), "breaker": breaker.state, "retries": breaker.retries}


def cockpit(_):
    """What users see: with NATS away it says so, and shows what it has."""
    return 200, {"events": seen["accepted"], "delayed": len(buffer), "live": breaker.failed == 0}


def stream(_):
    def lines():
        while True:
            yield json.dumps(report())
            time.sleep(0.5)

    return 200, lines()


def numbers(_):
    return metrics({
        "nats_up": breaker.failed == 0,
        "circuit_open": breaker.state != "closed",
        "event_buffer": len(buffer),
        "nats_retry_total": breaker.retries,
        "events_accepted_total": seen["accepted"],
        "events_published_total": seen["published"],
        "events_published_again_total": seen["duplicates"],
    })


threading.Thread(target=pump, daemon=True).start()
serve(8080, {
    "GET /healthz": lambda _: (200, {"checks": {"nats": "up" if breaker.failed == 0 else "down"}}),
    "GET /metrics": numbers,
    "GET /events": lambda _: (200, report()),
    "POST /events": accept,
    "GET /cockpit": cockpit,
    "GET /v1/metrics/stream": stream,
})
