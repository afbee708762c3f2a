"""Redis: its protocol over one connection, and the master that sentinels name."""

import os
import socket
import threading

TIMEOUT = 1.0


class Refused(Exception):
    """Redis has answered with an error: -READONLY, -LOADING and the like."""


class Redis:
    """One connection to one server, opened when needed. A failure closes it, as the next answer would be that of an earlier question."""

    def __init__(self, address, timeout=TIMEOUT):
        host, _, port = address.partition(":")
        self.address = (host, int(port or 6379))
        self.timeout = timeout
        self.file = None
        self.lock = threading.Lock()

    def close(self):
        file, self.file = self.file, None
        if file:
            file.close()

    def __call__(self, *words):
        """One command and its answer. Raises OSError if there is none in time, Refused for an error."""
        with self.lock:
            try:
                if self.file is None:
                    with socket.create_connection(self.address, self.timeout) as connection:
                        connection.settimeout(self.timeout)
                        self.file = connection.makefile("rwb")
                parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
                self.file.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
                self.file.flush()
                answer = self.read()
            except OSError:
                self.close()
                raise
        if isinstance(answer, Refused):
            raise answer
        return answer

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError(f"{self.address[0]}: connection closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return Refused(rest.decode())
        if kind == b":":
            return int(rest)
        count = int(rest)
        if kind == b"$":
            return None if count < 0 else self.file.read(count + 2)[:-2].decode()
        return None if count < 0 else [self.read() for _ in range(count)]


class Master:
    """The master that sentinels name, and that says itself that it is one. Kept for as long as it answers."""

    def __init__(self, sentinels, name):
        self.sentinels, self.name = sentinels, name
        self.redis = None
        self.lock = threading.Lock()

    def find(self):
        tried = {}
        for sentinel in self.sentinels:
            asked = Redis(sentinel, 0.3)
            try:
                host, port = asked("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)
                if host in tried:
                    continue
                tried[host] = "no master"
                master = Redis(f"{host}:{port}")
                if master("ROLE")[0] == "master":
                    print(f"{sentinel} says that the master is {host}", flush=True)
                    return master
            except (OSError, Refused, TypeError) as error:
                tried[sentinel] = error
            finally:
                asked.close()
        raise ConnectionError("no master: " + "; ".join(f"{who}: {why}" for who, why in tried.items()))

    def __call__(self, *words):
        with self.lock:
            try:
                if self.redis is None:
                    self.redis = self.find()
                return self.redis(*words)
            except Refused as error:
                self.redis = None
                raise ConnectionError(str(error)) from error
            except OSError:
                self.redis = None
                raise


def from_environment():
    """REDIS=HOST:PORT, or SENTINELS=HOST:PORT,... of the master called `main`."""
    if "REDIS" in os.environ:
        return Redis(os.environ["REDIS"])
    return Master(os.environ["SENTINELS"].split(","), "main")
