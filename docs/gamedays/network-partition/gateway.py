"""The API: writes go to the database, jobs into the queue. What cannot be done is refused with 503, reads go on from memory."""

import json
import os
import socket
import threading
import time

from app import redis
from app.breaker import Breaker
from app.sql import Refused, sql
from app.web import metrics, serve

SCHEMA = """
create table if not exists writes (id text primary key, created_at timestamptz not null default now());
create table if not exists ledger (id text not null, run text, marker text, kind text not null);
"""
WRITE = """
with told as (select * from json_to_recordset(:'rows') as told(id text, run text, marker text)),
     fresh as (insert into writes (id) select id from told on conflict do nothing returning id),
     done as (insert into ledger select id, run, marker, 'write' from told join fresh using (id) returning 1)
select count(*) from done;
"""
queue = redis.from_environment()
breakers = {name: Breaker(name, most=4.0) for name in ("database", "queue")}
seen = {"read": None, "database_ms": 0}
errors = {"database": 0, "queue": 0}


def guarded(component, function, *arguments):
    try:
        return breakers[component].call(function, *arguments)
    except OSError:
        errors[component] += 1
        raise


def write(body):
    """201 when it is in the database; an id that is there already is not written again."""
    try:
        guarded("database", sql, WRITE, [json.loads(body)])
    except (OSError, Refused) as error:
        return 503, {"error": "the database cannot be reached", "because": str(error)}
    return 201, {"written": True}


def job(body):
    """202 when the queue has it."""
    try:
        guarded("queue", queue, "RPUSH", "jobs", body)
    except (OSError, redis.Refused) as error:
        return 503, {"error": "the queue cannot be reached", "because": str(error)}
    return 202, {"queued": True}


def log_in(_):
    try:
        guarded("database", sql, "select 1")
    except (OSError, Refused) as error:
        return 503, {"error": "nobody can log in at the moment", "because": str(error)}
    return 200, {"welcome": True}


def distance():
    """Milliseconds to open a connection to the database: a round trip, and little that depends on how busy anybody is."""
    begun = time.monotonic()
    with socket.create_connection((os.environ["DATABASE"], 5432), 2.0):
        return round((time.monotonic() - begun) * 1000)


def look():
    """What reads are answered with, and the health of what is behind us."""
    known = False
    while True:
        try:
            if not known:
                guarded("database", sql, SCHEMA)
                known = True
            seen["read"] = guarded("database", sql, "select count(*) from writes")[0]
            seen["database_ms"] = distance()
        except (OSError, Refused):
            pass
        try:
            guarded("queue", queue, "PING")
        except (OSError, redis.Refused):
            pass
        time.sleep(1)


def read(_):
    if seen["read"] is None:
        return 503, {"error": "nothing was read yet"}
    return 200, {"writes": int(seen["read"]), "stale": breakers["database"].failed > 0}


def health(_):
    return 200, {
        "checks": {name: "down" if breaker.failed else "up" for name, breaker in breakers.items()},
        "circuits": {name: breaker.state for name, breaker in breakers.items()},
        "database_ms": seen["database_ms"],
    }


def numbers(_):
    values = {"database_ms": seen["database_ms"]}
    for name, breaker in breakers.items():
        values[f'dependency_up{{component="{name}"}}'] = breaker.failed == 0
        values[f'circuit_open{{component="{name}"}}'] = breaker.state != "closed"
        values[f'errors_total{{component="{name}"}}'] = errors[name]
    return metrics(values)


threading.Thread(target=look, daemon=True).start()
serve(8080, {
    "GET /healthz": health,
    "GET /metrics": numbers,
    "GET /read": read,
    "POST /write": write,
    "POST /jobs": job,
    "POST /login": log_in,
})
