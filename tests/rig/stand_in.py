"""What the stand-ins for Kubernetes and Azure share: certificates made by openssl, and a TLS server
on 127.0.0.1 that keeps the requests it got."""

from __future__ import annotations

import dataclasses
import email.utils
import http.server
import pathlib
import ssl
import subprocess
import threading
import time
from typing import Mapping, Optional, TypeVar

S = TypeVar("S", bound="StandIn")


class Authority:
    """A certificate authority of a test's own; .certificate is what clients trust."""

    def __init__(self, folder: pathlib.Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.certificate = folder / "ca.crt"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        self._issue()

    def _openssl(self, *args: str) -> None:
        """Make the authority's key and certificate, or run another command of openssl."""
        if args[0] == "req" and "-x509" in args:
            args += ("-nodes", "-days", "2", "-subj", "/CN=a test's authority")
            args += ("-keyout", "ca.key", "-out", "ca.crt")
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True)

    def _issue(self) -> None:
        """Make the one certificate that all servers of this authority use."""
        names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
        (self.folder / "extensions").write_text(names + "\n")
        self._openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"),
        )
        self._openssl(
            *("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-days", "2", "-extfile", "extensions", "-out", "server.crt"),
        )

    def server_context(self) -> ssl.SSLContext:
        """Return what a server on 127.0.0.1 or localhost needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.crt", self.folder / "server.key")
        return context


@dataclasses.dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str


@dataclasses.dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


class StandIn:
    """A TLS server whose answer() is its subclass's; delay holds every answer back."""

    def __init__(self, authority: Authority, *, delay: float = 0, clock_offset: float = 0) -> None:
        self.requests: list[Request] = []
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """Hands each request to the stand-in."""

            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def date_time_string(self, timestamp: Optional[float] = None) -> str:
                return email.utils.formatdate(
                    (timestamp or time.time()) + clock_offset, usegmt=True
                )

            def log_message(self, format: str, *args: object) -> None:
                # pylint: disable=redefined-builtin
                pass

            def handle_any(self) -> None:
                """Answer whatever the method is."""
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.command, self.path, dict(self.headers), body.decode())
                stand_in.requests.append(request)
                time.sleep(delay)
                answer = stand_in.answer(request)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_GET = do_POST = do_HEAD = do_DELETE = handle_any  # pylint: disable=invalid-name

        class Server(http.server.ThreadingHTTPServer):
            """Says nothing when a client does not like the certificate or leaves."""

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.socket = authority.server_context().wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self._server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def answer(self, request: Request) -> Answer:
        """Return what the real one would answer."""
        raise NotImplementedError

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
