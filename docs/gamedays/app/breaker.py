"""A circuit breaker: after some failures in a row nobody is asked for a while, then one call tries."""

import threading
import time


class Open(OSError):
    """The breaker is open: the call was not made."""


class Breaker:
    def __init__(self, name, failures=3, rest=1.0, most=8.0):
        """Opens after `failures` in a row for `rest` seconds, and twice as long each time a try fails, up to `most`."""
        self.name, self.failures, self.rest, self.most = name, failures, rest, most
        self.failed = 0
        self.retries = 0
        self.until = 0.0
        self.lock = threading.Lock()

    @property
    def state(self):
        if self.failed < self.failures:
            return "closed"
        return "open" if time.monotonic() < self.until else "half-open"

    def call(self, function, *arguments):
        with self.lock:
            if self.failed >= self.failures:
                if time.monotonic() < self.until:
                    raise Open(f"{self.name}: circuit open")
                self.retries += 1
                self.until = time.monotonic() + self.rest
        try:
            result = function(*arguments)
        except OSError as error:
            with self.lock:
                self.failed += 1
                if self.failed >= self.failures:
                    pause = min(self.rest * 2 ** (self.failed - self.failures), self.most)
                    self.until = time.monotonic() + pause
                    print(f"{self.name}: {error}; attempt {self.failed}, next in {pause:g}s", flush=True)
            raise
        with self.lock:
            if self.failed >= self.failures:
                print(f"{self.name}: works again after {self.failed} failures", flush=True)
            self.failed = 0
        return result
