"""One of a pair of PostgreSQL servers: `replica.py FIRST SECOND`. The first begins as primary, the second as its streaming replica.

A write is acknowledged when both have it. A server that finds the other one promoted past it steps back, rewinds and follows: that
is what Patroni does, in small. It promotes nobody: that is left to people, or to promote.sh.
"""

import glob
import os
import subprocess
import sys
import time

HOST, ADDRESS, DIR = os.environ["HOST"], os.environ["ADDRESS"], os.environ["DIR"]
FIRST, SECOND = sys.argv[1:3]
PEER = SECOND if HOST == FIRST else FIRST
DATA = f"{DIR}/data"
BIN = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
SOURCE = f"host={PEER} user=postgres dbname=postgres connect_timeout=2"
SETTINGS = {
    "listen_addresses": ADDRESS,
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",        # in DATA: nothing is left in /dev/shm by whoever is killed
    "wal_log_hints": "on",               # for pg_rewind
    "wal_keep_size": "256MB",
    "hot_standby": "on",
    "synchronous_standby_names": "*",
    "wal_receiver_timeout": "4s",
    "wal_sender_timeout": "4s",
}


def tool(name, *arguments):
    return subprocess.run([f"{BIN}/{name}", *arguments], check=True)


def ask(host):
    """Whether a server is a replica, and its timeline; None if it does not answer."""
    question = "select pg_is_in_recovery(), (select timeline_id from pg_control_checkpoint())"
    command = ["psql", "-X", "-A", "-t", "-c", question, f"host={host} user=postgres dbname=postgres connect_timeout=2"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=3)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        return None
    replica, timeline = done.stdout.strip().split("|")
    return replica == "t", int(timeline)


def configure():
    with open(f"{DATA}/postgresql.auto.conf", "w") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
        file.write(f"primary_conninfo = '{SOURCE} application_name={HOST}'\n")
    with open(f"{DATA}/pg_hba.conf", "w") as file:
        file.write("local all all trust\nhost all all all trust\nhost replication all all trust\n")


def follow():
    open(f"{DATA}/standby.signal", "w").close()


def build():
    if HOST == FIRST:
        tool("initdb", f"--pgdata={DATA}", "--username=postgres", "--auth=trust", "--no-sync")
    else:
        while ask(PEER) is None:
            time.sleep(0.3)
        tool("pg_basebackup", "-d", SOURCE, "-D", DATA, "-X", "stream", "-c", "fast", "--no-sync")
        follow()
    configure()


def step_back(server):
    print(f"{PEER} was promoted past {HOST}: it becomes a replica", flush=True)
    tool("pg_ctl", "stop", "-D", DATA, "-m", "fast")
    server.wait()
    tool("pg_rewind", f"--target-pgdata={DATA}", f"--source-server={SOURCE}", "--no-sync")
    configure()
    follow()


def start():
    return subprocess.Popen([f"{BIN}/postgres", "-D", DATA])


build()
server = start()
while server.poll() is None:
    time.sleep(1)
    own = ask(ADDRESS)
    if own is None or own[0]:
        continue
    peer = ask(PEER)
    if peer and not peer[0] and peer[1] > own[1]:
        step_back(server)
        server = start()
sys.exit(server.returncode)
