"""A name server that knows one name, and the addresses of the hosts behind it: `dns.py NAME HOST...`."""

import os
import socket
import struct
import sys

NAME = b"".join(bytes([len(label)]) + label.encode() for label in sys.argv[1].split(".")) + b"\0"
A, INTERNET, SECONDS = 1, 1, 1


def answer(question):
    identity, flags, _, _, _, _ = struct.unpack("!6H", question[:12])
    end = question.index(b"\0", 12) + 5
    name, (kind, _) = question[12 : end - 4], struct.unpack("!2H", question[end - 4 : end])
    known = name.lower() == NAME
    records = b""
    count = 0
    if known and kind == A:
        for host in sys.argv[2:]:
            records += struct.pack("!3HIH", 0xC00C, A, INTERNET, SECONDS, 4) + socket.inet_aton(socket.gethostbyname(host))
            count += 1
    head = struct.pack("!6H", identity, 0x8400 | flags & 0x0100 | (0 if known else 3), 1, count, 0, 0)
    return head + question[12:end] + records


server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((os.environ["ADDRESS"], 53))
while True:
    question, client = server.recvfrom(512)
    try:
        server.sendto(answer(question), client)
    except (ValueError, struct.error):
        pass
