"""The page at / in a real Chromium, through a whole life of a real Thrift Server.

The pictures are kept in build/page; with SPARKPOD_PICTURES=FOLDER the light ones are written there as
page-NAME.png, too (tests/pictures does that for docs/).
"""

from __future__ import annotations

import contextlib
import http.server
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import urllib.request
from typing import Callable, Iterator

import rig

Start = Callable[..., rig.Sparkpod]

PICTURES = rig.ROOT / "build" / "page"
WORKERS = 8
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--enable-logging=stderr"),
)
LOOKS = {
    "light": ("--window-size=860,{height}", "--blink-settings=preferredColorScheme=1"),
    "dark": ("--window-size=860,{height}", "--blink-settings=preferredColorScheme=0"),
    "phone": ("--window-size=390,1500", "--blink-settings=preferredColorScheme=1"),
}


def chromium(url: str, *options: str) -> str:
    """Load a page in a Chromium of its own and return what the page's console said."""
    with tempfile.TemporaryDirectory() as profile:
        run = subprocess.run(
            ["chromium", *QUIET, f"--user-data-dir={profile}", *options, url],
            env=rig.base_env(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    return "\n".join(line for line in run.stderr.splitlines() if ":CONSOLE" in line)


def size(picture: pathlib.Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    return width, height


def take_pictures(name: str, port: int, height: int) -> None:
    """One of each look; nothing is to be on the console."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for look, options in LOOKS.items():
        picture = PICTURES / f"{name}-{look}.png"
        picture.unlink(missing_ok=True)
        filled = [option.format(height=height) for option in options]
        console = chromium(f"http://127.0.0.1:{port}/", f"--screenshot={picture}", *filled)
        assert console == "", look
        assert size(picture)[0] == (390 if look == "phone" else 860)
    assert len({(PICTURES / f"{name}-{look}.png").read_bytes() for look in LOOKS}) == len(LOOKS)
    if os.environ.get("SPARKPOD_PICTURES"):
        target = pathlib.Path(os.environ["SPARKPOD_PICTURES"]) / f"page-{name}.png"
        shutil.copy(PICTURES / f"{name}-light.png", target)


class Door:
    """A port that forwards to another once it is opened."""

    def __init__(self, target: int) -> None:
        self.port, self.target = rig.free_port(), target

    def open(self) -> None:
        """From now on connections are taken."""
        server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(server,), daemon=True).start()

    def _serve(self, server: socket.socket) -> None:
        while True:
            client, _ = server.accept()
            upstream = socket.create_connection(("127.0.0.1", self.target))
            for ends in ((client, upstream), (upstream, client)):
                threading.Thread(target=self._copy, args=ends, daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def all_workers_taken(port: int) -> Iterator[None]:
    """As many connections as the server has workers, that say nothing."""
    with contextlib.ExitStack() as crowd:
        for _ in range(WORKERS):
            crowd.enter_context(socket.create_connection(("127.0.0.1", port)))
        yield


def running(ui_port: int) -> int:
    """How many statements run, as Spark's own page has it."""
    url = f"http://127.0.0.1:{ui_port}/sqlserver/"
    with urllib.request.urlopen(url, timeout=10) as answer:
        found = re.search(r"running\s+(\d+)\s+SQL", answer.read().decode())
    assert found
    return int(found.group(1))


def test_the_page_shows_a_whole_life(
    sparkpod: Start, homes: rig.Homes, work: pathlib.Path, metastore: rig.Metastore
) -> None:
    door, port, ui_port = Door(metastore.port), rig.free_port(), rig.free_port()
    values = {
        "METASTORE_PORT": str(door.port),
        "THRIFT_PORT": str(port),
        "SPARK_UI_PORT": str(ui_port),
        "SPARKPOD_HEALTH_INTERVAL": "1s",
        "SPARKPOD_HEALTH_TIMEOUT": "1s",
    }
    pod = sparkpod(
        *["thrift-server", "--", "--hiveconf"],
        f"hive.server2.thrift.max.worker.threads={WORKERS}",
        env=rig.role_env(homes, "thrift-server", work, values),
    )

    def page() -> str:
        return pod.get("/")[1]

    pod.wait_until(lambda: "connection refused" in page())
    assert "<h1>Waiting</h1>" in page()
    take_pictures("waiting", pod.port, 680)

    door.open()
    pod.wait_ready()
    assert "<h1>Serving</h1>" in page() and page().count("<article>") == 4
    pod.wait_until(lambda: page().count('<i class="t') >= 45)
    take_pictures("serving", pod.port, 1160)

    with all_workers_taken(port):
        pod.wait_until(lambda: "<h1>Degraded</h1>" in page())
        assert pod.get("/livez")[0] == 200
        pod.wait_until(lambda: page().count('class="f t') >= 4)
        take_pictures("degraded", pod.port, 1160)
    pod.wait_ready()

    statement = "SELECT id, reflect('java.lang.Thread', 'sleep', 1000L) FROM range(0, 25, 1, 1)"
    client = rig.Beeline(homes, port).start(work, statement)
    client.wait_until(lambda: running(ui_port) == 1, what="the statement runs")
    pod.term()
    pod.wait_until(lambda: re.search("<b>[0-9]+</b> statements? still running", page()) is not None)
    take_pictures("draining", pod.port, 1310)
    assert client.wait(120) == 0
    assert pod.wait(120) == 0


def test_what_the_policy_forbids_would_be_on_the_console() -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # pylint: disable=invalid-name
            self.send_response(200)
            self.send_header("Content-Security-Policy", "default-src 'none'")
            self.end_headers()
            self.wfile.write(b"<!doctype html><style>p {}</style><p style='color: red'>")

        def log_message(self, *_: object) -> None:  # pylint: disable=arguments-differ
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        console = chromium(f"http://127.0.0.1:{server.server_port}/", "--dump-dom")
        server.shutdown()
    assert "Content Security Policy" in console
