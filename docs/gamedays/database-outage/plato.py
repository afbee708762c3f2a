"""Governance on PostgreSQL. Without a primary it decides by the policies that it remembers, reads from a replica, and refuses writes with 503."""

import json
import threading
import time

from app.breaker import Breaker
from app.sql import Refused, sql
from app.web import metrics, serve

SCHEMA = """
create table if not exists policies (id text primary key, changed_at timestamptz not null default now());
create table if not exists ledger (id text not null, run text, marker text);
"""
WRITE = """
with told as (select * from json_to_recordset(:'rows') as told(id text, run text, marker text)),
     put as (insert into policies (id) select id from told on conflict (id) do update set changed_at = now() returning id, xmax = 0 as fresh),
     done as (insert into ledger select id, run, marker from told join put using (id) where fresh returning 1)
select count(*) from done;
"""
STATE = """
select pg_is_in_recovery(), (select count(*) from pg_stat_replication),
       case when pg_is_in_recovery() then 0
            else coalesce((select max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)) from pg_stat_replication), 0) end,
       (select timeline_id from pg_control_checkpoint());
"""
SERVERS = ["postgres-1", "postgres-2"]
breaker = Breaker("postgresql", most=4.0)
policies = {"known": None}
state = {"primary": SERVERS[0], "up": False, "readable": False, "replicas": 0, "lag": -1}


def write(body):
    """201: it is on the primary, and on the replica as well if there is one."""
    try:
        breaker.call(sql, WRITE, [json.loads(body)], state["primary"])
    except (OSError, Refused) as error:
        return 503, {"error": "nothing can be changed at the moment", "because": str(error)}
    return 201, {"written": True}


def evaluate(_):
    if policies["known"] is None:
        return 503, {"error": "no policies are known yet"}
    return 200, {"allowed": True, "policies": policies["known"], "cached": not state["up"]}


def look_at(server):
    """What a server is: `(replica, its timeline, its replicas, their lag in bytes)`."""
    replica, replicas, lag, timeline = sql(STATE, (), server, 2.5)[0].split("|")
    return replica == "t", int(timeline), int(replicas), int(float(lag))


def look():
    """Of two primaries the one on the later timeline is right: it was promoted past the other."""
    prepared = False
    while True:
        primaries, readable = [], False
        for server in SERVERS:
            try:
                replica, *rest = look_at(server)
                policies["known"] = int(sql("select count(*) from policies", (), server)[0]) if prepared else 0
                readable = True
                if not replica:
                    primaries.append((*rest, server))
            except (OSError, Refused):
                pass
        state.update(up=bool(primaries), readable=readable)
        if primaries:
            _, state["replicas"], state["lag"], state["primary"] = max(primaries)
            try:
                if not prepared:
                    sql(SCHEMA, (), state["primary"])
                    prepared = True
            except (OSError, Refused):
                pass
        time.sleep(1)


def health(_):
    status = "UP" if state["up"] and breaker.failed == 0 else "DOWN"
    return 200, {"status": status, "components": {"db": {"status": status, **state}}, "circuit": breaker.state}


def numbers(_):
    return metrics({
        "postgres_primary_up": state["up"],
        "postgres_replicas": state["replicas"],
        "pg_replication_lag": state["lag"],
    })


threading.Thread(target=look, daemon=True).start()
serve(8080, {
    "GET /actuator/health": health,
    "GET /metrics": numbers,
    "GET /evaluate": evaluate,
    "POST /policies": write,
})
