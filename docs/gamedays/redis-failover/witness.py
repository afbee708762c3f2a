"""Beside a redis: its role for Prometheus, and every plain value that it has taken into a list, from MONITOR. It knows what the redis forgets later."""

import os
import re
import socket
import threading
import time

from app.redis import Redis, Refused
from app.web import metrics, serve

own = Redis(f"{os.environ['ADDRESS']}:6379")
pushed = []
PUSH = re.compile(r'"rpush" "([^"]*)" "([^"\\]*)"$', re.IGNORECASE)


def watch():
    while True:
        try:
            with socket.create_connection((os.environ["ADDRESS"], 6379)) as connection:
                connection.sendall(b"MONITOR\r\n")
                for line in connection.makefile():
                    if found := PUSH.search(line.rstrip()):
                        pushed.append(found.groups())
        except OSError:
            time.sleep(0.2)


def numbers(_):
    try:
        role = own("ROLE")[0]
        return metrics({"redis_up": 1, "redis_master": role == "master"})
    except (OSError, Refused):
        return metrics({"redis_up": 0, "redis_master": 0})


threading.Thread(target=watch, daemon=True).start()
serve(9121, {
    "GET /metrics": numbers,
    "GET /pushed": lambda _: (200, "".join(f"{key} {value}\n" for key, value in list(pushed))),
})
