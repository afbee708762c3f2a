"""A small HTTP server, and a client that never waits longer than it says."""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ADDRESS = os.environ.get("ADDRESS", "127.0.0.1")


def metrics(values):
    """Prometheus' text format of `{name: number}`."""
    return 200, "".join(f"{name} {float(value):g}\n" for name, value in sorted(values.items()))


def serve(port, routes):
    """Answers `routes`, `{"GET /path": function(body) -> (status, text, JSON or an iterator of events)}`, until the process ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode()
            path = self.path.split("?")[0]
            route = routes.get(f"{self.command} {path}")
            status, reply = route(body) if route else (404, {"error": f"there is no {path}"})
            if isinstance(reply, Iterator):
                self.stream(reply)
                return
            text = reply if isinstance(reply, str) else json.dumps(reply) + "\n"
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(reply, str) else "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def stream(self, lines):
            """Server-sent events, until the client has enough of them."""
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            try:
                for line in lines:
                    self.wfile.write(f"data: {line}\n\n".encode())
            except OSError:
                lines.close()

        do_GET = do_POST = answer

        def log_message(self, *_):
            """Probes ask every second: what matters is logged by the services themselves."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            """Who asks and does not wait for the answer is no error of ours."""
            if not isinstance(sys.exc_info()[1], OSError):
                super().handle_error(request, client_address)

    Server((ADDRESS, port), Handler).serve_forever()


def ask(url, body=None, timeout=1.0):
    """`(status, text)` of a GET, or of a POST of `body`. Raises OSError if nobody answers in time."""
    data = None if body is None else body.encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=timeout) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
