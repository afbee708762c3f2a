"""The addresses of a name, asked of one name server. No cache, so that a failure of DNS is felt at once."""

import random
import socket
import struct


def addresses(name, server, timeout=1.0):
    """IPv4, in the order of the answer. Raises OSError where there is none."""
    identity = random.randrange(65536)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(timeout)
        asking.connect((server, 53))
        asking.send(struct.pack("!6H", identity, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!2H", 1, 1))
        reply = asking.recv(512)
    told, flags, _, count, _, _ = struct.unpack("!6H", reply[:12])
    if told != identity or flags & 15 or count == 0:
        raise OSError(f"{name}: no address (answer {flags & 15})")
    found = []
    at = 12 + len(labels) + 4
    for _ in range(count):
        length = struct.unpack("!H", reply[at + 10 : at + 12])[0]
        found.append(socket.inet_ntoa(reply[at + 12 : at + 12 + length]))
        at += 12 + length
    return found
