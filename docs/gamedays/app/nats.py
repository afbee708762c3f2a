"""NATS and JetStream, in the protocol's own words: publish with an acknowledgement, and pull."""

import json
import os
import socket
import threading


class Nats:
    """One connection, opened when needed. A failure closes it."""

    def __init__(self, address, name, timeout=1.0):
        host, _, port = address.partition(":")
        self.address, self.name, self.timeout = (host, int(port or 4222)), name, timeout
        self.file = None
        self.inbox = f"_INBOX.{name}.{os.getpid()}"
        self.asked = 0
        self.lock = threading.Lock()

    def close(self):
        file, self.file = self.file, None
        if file:
            file.close()

    def send(self, *parts):
        self.file.write(b"".join(part if isinstance(part, bytes) else part.encode() for part in parts))

    def open(self):
        with socket.create_connection(self.address, self.timeout) as connection:
            connection.settimeout(self.timeout)
            self.file = connection.makefile("rwb")
        if not self.file.readline().startswith(b"INFO"):
            raise ConnectionError("this is no NATS server")
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "name": self.name, "lang": "python", "version": "0"}
        self.send("CONNECT ", json.dumps(options), f"\r\nSUB {self.inbox}.* 1\r\nPING\r\n")
        self.file.flush()
        while self.line() != b"PONG":
            pass

    def line(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("NATS has closed the connection")
        if line.startswith(b"-ERR"):
            raise ConnectionError(line.decode().strip())
        if line.startswith(b"PING"):
            self.send("PONG\r\n")
            self.file.flush()
        return line[:-2]

    def message(self):
        """The next one: `(subject, where to reply, headers, body)`."""
        while True:
            words = self.line().decode().split(" ")
            if words[0] not in ("MSG", "HMSG"):
                continue
            head = int(words[-2]) if words[0] == "HMSG" else 0
            reply = words[3] if len(words) == (6 if words[0] == "HMSG" else 5) else None
            data = self.file.read(int(words[-1]) + 2)[:-2]
            return words[1], reply, data[:head].decode(), data[head:].decode()

    def publish(self, subject, body, reply="", headers=None):
        data = body.encode()
        reply = f" {reply}" if reply else ""
        if headers is None:
            self.send(f"PUB {subject}{reply} {len(data)}\r\n", data, "\r\n")
            return
        head = ("NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode()
        self.send(f"HPUB {subject}{reply} {len(head)} {len(head) + len(data)}\r\n", head, data, "\r\n")

    def ask(self, subject, body, headers=None):
        """One question and the answers to it, each a `message`, without end. Raises OSError when there is none in time."""
        if self.file is None:
            self.open()
        self.asked += 1
        inbox = f"{self.inbox}.{self.asked}"
        self.publish(subject, body, inbox, headers)
        self.file.flush()
        while True:
            subject, reply, head, answer = self.message()
            if subject == inbox or reply:
                if head.startswith("NATS/1.0 503"):
                    raise ConnectionError("nobody answers: is JetStream on?")
                yield reply, head, answer

    def guarded(self, function):
        with self.lock:
            try:
                return function()
            except OSError:
                self.close()
                raise

    def request(self, subject, body, headers=None):
        """JSON there and back."""
        answers = lambda: next(text for reply, _, text in self.ask(subject, body, headers) if not reply)
        answer = json.loads(self.guarded(answers))
        if "error" in answer:
            raise ConnectionError(answer["error"]["description"])
        return answer

    def pull(self, stream, consumer, most, wait):
        """Up to `most` messages that are not acknowledged yet, each `(where to acknowledge, body)`; after `wait` seconds those that there are."""

        def pulled():
            found = []
            question = json.dumps({"batch": most, "expires": int(wait * 1e9)})
            for reply, head, body in self.ask(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}", question):
                if head.startswith("NATS/1.0 4"):        # 404, 408: no more
                    break
                if reply:
                    found.append((reply, body))
                if len(found) == most:
                    break
            return found

        return self.guarded(pulled)

    def acknowledge(self, replies):
        def acknowledged():
            for reply in replies:
                self.publish(reply, "+ACK")
            self.file.flush()

        self.guarded(acknowledged)
