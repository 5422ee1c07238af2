"""Stand-ins for what Spark's driver has on both its sides: its own UI, and the Kubernetes API as it
is asked for executors."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from typing import Any

# Bytes of Spark 3.5.9's page: up to the count, of a row without the statement.
HEAD, SESSION_ROW, STATEMENT_ROW = 3500, 300, 1400


class _Quiet(http.server.BaseHTTPRequestHandler):
    """Logs nothing."""

    def log_message(self, format: str, *args: object) -> None:
        # pylint: disable=redefined-builtin
        pass


class _Server:
    """Serves on a port of 127.0.0.1 from its making to stop()."""

    def __init__(self, handler: type[_Quiet]) -> None:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


class SparkPage(_Server):
    """A stand-in for Spark's UI: /sqlserver/ with so many sessions and statements until it was read
    polls times, none after that. It obeys pageSize as Spark does, unless told not to; before is
    what stands before the count, in bytes."""

    def __init__(
        self, sessions: int, statements: int, polls: int, *, paged: bool = True, before: int = HEAD
    ):
        self.asked: list[float] = []
        self.sent, self.statements = 0, statements
        page = self

        class Handler(_Quiet):
            """Answers every path; only one has a body."""

            def do_GET(self) -> None:  # pylint: disable=invalid-name
                body = b""
                if self.path.startswith("/sqlserver/"):
                    page.asked.append(time.monotonic())
                    running = statements if len(page.asked) <= polls else 0
                    size = 1 if paged and "pageSize=1" in self.path else 100 if paged else 10**9
                    rows = min(sessions, size) * SESSION_ROW + min(statements, size) * STATEMENT_ROW
                    text = f"{sessions} session(s) are online, running {running} SQL statement(s)"
                    body = b" " * before + text.encode() + b" " * rows
                    page.sent = max(page.sent, len(body))
                with contextlib.suppress(ConnectionError):
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

        super().__init__(Handler)


class SparkApi(_Server):
    """A stand-in for the API server as Spark's driver asks it: pods are made and stay pending,
    lists and watches show them."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, str, int]] = []
        self.pods: list[dict[str, Any]] = []
        api = self

        class Handler(_Quiet):
            """Keeps what it was asked."""

            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                """Answer whatever it is."""
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path, _, query = self.path.partition("?")
                kind = path.rpartition("/")[2]
                is_watch = "watch=true" in query
                verb = "WATCH" if is_watch else self.command
                api.calls.append((time.monotonic(), f"{verb} {kind}", len(body)))
                found: dict[str, Any] = {"kind": "List", "metadata": {}, "items": api.pods}
                if self.command == "POST":
                    found = json.loads(body)
                    found["metadata"] |= {"uid": kind, "resourceVersion": str(len(api.calls))}
                    if kind == "pods":
                        found["status"] = {"phase": "Pending"}
                        api.pods.append(found)
                elif self.command == "DELETE":
                    found = {"kind": "Status", "status": "Success"}
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                if is_watch and "Upgrade" not in self.headers:
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    self.watch()
                    return
                answer = json.dumps({"apiVersion": "v1", **found}).encode()
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def watch(self) -> None:
                """Tell of every pod, for ever."""
                told = 0
                with contextlib.suppress(OSError):
                    while True:
                        for pod in api.pods[told:]:
                            event = json.dumps({"type": "ADDED", "object": pod}).encode() + b"\n"
                            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                            told += 1
                        time.sleep(0.05)

            do_GET = do_POST = do_DELETE = handle_any  # pylint: disable=invalid-name

        super().__init__(Handler)
