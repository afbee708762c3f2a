"""Takes jobs from the queue and writes them into the database. A job stays in the worker's own list until the database has it."""

import json
import os
import threading
import time

from app import redis
from app.breaker import Breaker
from app.sql import Refused, sql
from app.web import metrics, serve

DO = """
with told as (select distinct on (id) * from json_to_recordset(:'rows') as told(id text, run text, marker text)),
     fresh as (insert into writes (id) select id from told on conflict do nothing returning id),
     done as (insert into ledger select id, run, marker, 'job' from told join fresh using (id) returning 1)
select count(*) from done;
"""
MOST = 100
MINE = f"working:{os.environ['HOST']}"
queue = redis.from_environment()
breakers = {name: Breaker(name, most=4.0) for name in ("database", "queue")}
seen = {"done": 0, "again": 0}


def round():
    """Jobs that an earlier round has left come first: whoever took them may not have heard that it has."""
    jobs = breakers["queue"].call(queue, "LRANGE", MINE, 0, MOST - 1)
    while len(jobs) < MOST and (job := breakers["queue"].call(queue, "LMOVE", "jobs", MINE, "LEFT", "RIGHT")):
        jobs.append(job)
    if not jobs:
        breakers["database"].call(sql, "select 1")
        time.sleep(0.7)
        return
    fresh = int(breakers["database"].call(sql, DO, [json.loads(job) for job in jobs])[0])
    seen["done"] += fresh
    seen["again"] += len(jobs) - fresh
    for job in jobs:
        breakers["queue"].call(queue, "LREM", MINE, 1, job)


def work():
    while True:
        try:
            round()
        except (OSError, Refused, redis.Refused):
            time.sleep(0.2)
        time.sleep(0.3)


def health(_):
    return 200, {"checks": {name: "down" if breaker.failed else "up" for name, breaker in breakers.items()}}


def numbers(_):
    values = {"done_jobs_total": seen["done"], "repeated_jobs_total": seen["again"]}
    for name, breaker in breakers.items():
        values[f'dependency_up{{component="{name}"}}'] = breaker.failed == 0
    return metrics(values)


threading.Thread(target=work, daemon=True).start()
serve(8080, {"GET /healthz": health, "GET /metrics": numbers})
