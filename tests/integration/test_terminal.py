"""On a terminal: `run` hands it to the command, a role keeps it, so that Ctrl-C drains."""

from __future__ import annotations

import os
import pathlib
import pty
import select
import time
from typing import Iterator, Mapping

import pytest
import rig

CTRL_C = b"\x03"


class Session:
    """sparkpod with a terminal of its own, as an interactive shell would start it."""

    def __init__(self, *args: str, env: Mapping[str, str]) -> None:
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            binary = str(rig.sparkpod_binary())
            os.execve(binary, [binary, *args], {**rig.base_env(), **env})

    def read_until(self, words: bytes, timeout: float = 20.0) -> None:
        end = time.monotonic() + timeout
        while words not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:  # the other side is closed
                    assert words in self.seen, self.seen

    def wait(self) -> int:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    continue
        raise AssertionError(self.seen)


@pytest.fixture
def fast() -> Iterator[dict[str, str]]:
    yield {
        "SPARKPOD_HEALTH_PORT": "0",
        "SPARKPOD_SHUTDOWN_ENDPOINT_DELAY": "0",
        "SPARKPOD_SHUTDOWN_DRAIN": "0",
    }


def test_run_gives_the_terminal_to_the_command(fast: dict[str, str]) -> None:
    session = Session(
        *["run", "--", "bash", "-c", 'read -r line; echo "got $line"; exit 5'], env=fast
    )
    session.read_until(b"run started")
    os.write(session.fd, b"hello\n")
    session.read_until(b"got hello")
    assert session.wait() == 5


def test_ctrl_c_reaches_the_command_of_run_and_not_us(fast: dict[str, str]) -> None:
    script = "trap 'echo interrupted; exit 6' INT; echo up; while :; do sleep 0.05; done"
    session = Session("run", "--", "bash", "-c", script, env=fast)
    session.read_until(b"up\r\n")
    os.write(session.fd, CTRL_C)
    session.read_until(b"interrupted")
    assert session.wait() == 6
    assert b"SIGINT" not in session.seen


def test_ctrl_c_stops_a_role_as_sigterm_does(fast: dict[str, str], work: pathlib.Path) -> None:
    script = work / "sbin" / "start-thriftserver.sh"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/bash\ntrap 'echo terminated; exit 143' TERM\ntrap 'echo interrupted' INT\n"
        "[ -t 0 ] || echo no terminal\necho up\nwhile :; do sleep 0.05; done\n"
    )
    script.chmod(0o755)
    (work / "conf").mkdir()
    session = Session("thrift-server", env={**fast, "SPARK_HOME": str(work)})
    session.read_until(b"up\r\n")
    assert b"no terminal" in session.seen
    os.write(session.fd, CTRL_C)
    session.read_until(b"SIGINT: stopping")
    session.read_until(b"terminated")
    assert session.wait() == 0
    assert b"interrupted" not in session.seen
