"""Writes events into PostgreSQL, each once: its id and what it leads to are one transaction, and only then it is acknowledged."""

import json
import os
import threading
import time

from app.breaker import Breaker
from app.nats import Nats
from app.sql import Refused, sql
from app.web import metrics, serve

CONSUMER = {"stream_name": "EVENTS", "config": {"durable_name": "reporting", "ack_policy": "explicit", "ack_wait": 5 * 10**9}}
SCHEMA = """
create table if not exists events (id text primary key, created_at timestamptz not null default now());
create table if not exists ledger (event text not null, run text, marker text);
"""
STORE = """
with told as (select distinct on (id) * from json_to_recordset(:'rows') as told(id text, run text, marker text)),
     fresh as (insert into events (id) select id from told on conflict do nothing returning id),
     done as (insert into ledger select id, run, marker from told join fresh using (id) returning 1)
select count(*) from done;
"""
nats = Nats(os.environ["NATS"], "reporting")
broker, database = Breaker("nats"), Breaker("postgresql")
seen = {"stored": 0, "duplicates": 0}


def store(messages):
    rows = [json.loads(body) for _, body in messages]
    fresh = int(database.call(sql, STORE, rows)[0])
    seen["stored"] += fresh
    if fresh < len(rows):
        seen["duplicates"] += len(rows) - fresh
        print(f"duplicate_event: {len(rows) - fresh} of {len(rows)} were there already", flush=True)


def work():
    known = False
    while True:
        try:
            if not known:
                database.call(sql, SCHEMA)
                broker.call(nats.request, "$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.reporting", json.dumps(CONSUMER))
                known = True
            messages = broker.call(nats.pull, "EVENTS", "reporting", 100, 0.3)
            if messages:
                store(messages)
                broker.call(nats.acknowledge, [reply for reply, _ in messages])
        except OSError:
            time.sleep(0.2)
        except Refused as error:
            print(error, flush=True)
            time.sleep(1)


def checks():
    return {"nats": "up" if broker.failed == 0 else "down", "postgresql": "up" if database.failed == 0 else "down"}


def numbers(_):
    return metrics({
        "nats_up": broker.failed == 0,
        "postgresql_up": database.failed == 0,
        "nats_retry_total": broker.retries,
        "events_stored_total": seen["stored"],
        "duplicate_events_total": seen["duplicates"],
    })


threading.Thread(target=work, daemon=True).start()
serve(8080, {
    "GET /healthz": lambda _: (200, {"checks": checks()}),
    "GET /metrics": numbers,
    "GET /events": lambda _: (200, {**seen, "checks": checks()}),
})
