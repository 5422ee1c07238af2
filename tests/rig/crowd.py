"""crowd.py PORT ADDRESS: from ADDRESS keep 1,000 connections to PORT of 127.0.0.1 open, and open
again what the server closes, 400 a second at most. Nine in ten are idle, the others send a byte of a
header a second. Says "open" once all were open."""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import time

CONNECTIONS = 1000
PASS_S = 0.05
REOPENED_A_PASS = 20
PASSES_A_BYTE = 20


def main(port: int, address: str) -> None:
    """Go on until killed."""
    crowd: dict[int, socket.socket] = {}
    poll = select.poll()

    def add() -> None:
        sock = socket.create_connection(("127.0.0.1", port), source_address=(address, 0))
        sock.setblocking(False)
        crowd[sock.fileno()] = sock
        poll.register(sock, select.POLLIN)

    while len(crowd) < CONNECTIONS:
        add()
    print("open", flush=True)
    turn = 0
    while True:
        if turn % PASSES_A_BYTE == 0:
            for sock in list(crowd.values())[::10]:
                with contextlib.suppress(OSError):
                    sock.send(b"G")
        for descriptor, _ in poll.poll(0)[:REOPENED_A_PASS]:
            poll.unregister(descriptor)
            crowd.pop(descriptor).close()
            add()
        turn += 1
        time.sleep(PASS_S)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
