"""`sparkpod wait` and the waiting of roles: rotation, names, stops, how often is asked, terminals."""

from __future__ import annotations

import fcntl
import os
import pathlib
import re
import socket
import struct
import termios
import threading
import time
from typing import Callable, Iterator, Mapping

import pytest
import rig
from test_terminal import Session

Start = Callable[..., rig.Sparkpod]

# Generous: a machine that runs other tests, too. What was measured is printed (pytest -s).
STOP_S = 2.0


def start_wait(work: pathlib.Path, *args: str, env: Mapping[str, str] | None = None) -> rig.Process:
    argv = [rig.sparkpod_binary(), "wait", *args]
    return rig.Process("wait", argv, {**rig.base_env(), **(env or {})}, work)


# --- rotation ------------------------------------------------------------------------------------


class MountedSecret:
    """A folder of secrets as the kubelet mounts it: all files change at once, by one rename."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.generation = 0
        folder.mkdir()

    def put(self, **values: str) -> None:
        """Replace all of it."""
        self.generation += 1
        data = self.folder / f"..{self.generation}"
        data.mkdir()
        for name, value in values.items():
            (data / name).write_text(value + "\n")
            (data / name).chmod(0o600)
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(data.name)
        fresh.rename(self.folder / "..data")


@pytest.fixture
def secret(work: pathlib.Path) -> MountedSecret:
    return MountedSecret(work / "secret")


def test_a_role_takes_a_secret_that_is_rotated_while_it_waits(
    work: pathlib.Path, database: rig.Database, secret: MountedSecret, sparkpod: Start
) -> None:
    secret.put(DB_PASSWORD="not the password", OTHER="x")
    env = database.env()
    del env["DB_PASSWORD"]
    env |= {
        "METASTORE_HOME": str(work / "no-distribution"),  # so it ends behind the wait
        "METASTORE_PORT": str(rig.free_port()),
        "WAREHOUSE": f"file:{work}/warehouse",
        "SPARKPOD_RENDER_SOURCE": str(rig.TEMPLATES / "metastore"),
        "SPARKPOD_RENDER_TARGET": str(work / "conf"),
        "SPARKPOD_RENDER_SECRETS": str(secret.folder),
        "ANOTHER_PASSWORD": "in the environment 4711",
    }
    pod = sparkpod("metastore", env=env)
    pod.wait_until(lambda: "28P01" in pod.stderr)
    # The helper that waits has the values, but shows them nowhere.
    for pid in pod.tree():
        environ = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        assert b"4711" not in environ, rig.cmdline(pid)
    secret.put(DB_PASSWORD=database.password, OTHER="x")
    assert pod.wait(30) == 78, pod.stderr
    lines = pod.stderr
    assert lines.count("secrets changed, trying again") == 1
    assert " ready after " in lines
    assert lines.count("placeholders filled") == 1, "rendering again is quiet"
    assert database.password not in lines


def test_wait_takes_a_password_file_that_is_replaced(
    work: pathlib.Path, database: rig.Database
) -> None:
    path = work / "password"
    path.write_text("not the password")
    path.chmod(0o600)
    waiting = start_wait(work, database.url, env={"PGPASSWORD_FILE": str(path)})
    waiting.wait_until(lambda: "28P01" in waiting.stderr)
    path.write_text(database.password)
    assert waiting.wait(30) == 0, waiting.stderr
    assert "secrets changed, trying again" in waiting.stderr


def test_a_rotation_begins_the_grace_anew_and_nothing_else_does(
    work: pathlib.Path, database: rig.Database
) -> None:
    path = work / "password"
    path.write_text("not the password")
    path.chmod(0o600)
    env = {"PGPASSWORD_FILE": str(path), "SPARKPOD_WAIT_FATAL_GRACE": "8s"}
    started = time.monotonic()
    waiting = start_wait(work, database.url, env=env)
    waiting.wait_until(lambda: "28P01" in waiting.stderr)
    path.write_text("not the password either")
    assert waiting.wait(60) == 77
    assert time.monotonic() - started > 8 + 3.5, "the grace counts from the rotation"
    assert waiting.stderr.count("secrets changed") == 1


# --- names ---------------------------------------------------------------------------------------

# In namespaces of its own: loopback is up, a name server answers nothing on it, /etc/hosts is the
# test's. Then become sparkpod, with the name server's socket open.
NAMESPACE = """
import fcntl, os, socket, struct, subprocess, sys
lo = struct.pack("16sH14x", b"lo", 1)
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, lo)
server = socket.socket(type=socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
server.set_inheritable(True)
for name in ("hosts", "resolv.conf"):
    subprocess.run(["mount", "--bind", f"{sys.argv[1]}/{name}", f"/etc/{name}"], check=True)
os.execv(sys.argv[2], sys.argv[2:])
"""


def in_namespace(work: pathlib.Path, *args: str, hosts: str = "") -> rig.Process:
    (work / "hosts").write_text(hosts)
    (work / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:1\n")
    rights = rig.namespace()[: rig.namespace().index("--pid")]
    python = ["/usr/bin/python3", "-c", NAMESPACE, str(work), str(rig.sparkpod_binary())]
    return rig.Process(
        "named", [*rights, "--net", "--mount", *python, *args], rig.base_env(), work
    )


def test_a_name_that_does_not_resolve_yet_is_waited_for(work: pathlib.Path) -> None:
    argv = ["wait", "tcp://localhost:1", "tcp://db.test:1", "postgres://hive@db.test:1/hive"]
    env_argv = ["--timeout", "30s"]
    waiting = in_namespace(work, argv[0], *env_argv, *argv[1:], hosts="127.0.0.1 localhost\n")
    waiting.wait_until(lambda: "localhost:1 not yet: connection refused" in waiting.stderr)
    # The kernel keeps the file that is mounted: it is written to, not replaced.
    with (work / "hosts").open("a") as hosts:
        hosts.write("127.0.0.1 db.test\n")
    for url in ("tcp://db.test:1", "postgres://hive@db.test:1/hive"):
        waiting.wait_until(lambda u=url: f"{u} not yet: connection refused" in waiting.stderr)
    waiting.kill()


# --- SIGTERM -------------------------------------------------------------------------------------


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where connections are made and nobody answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def measured_stop(process: rig.Process, moment: str) -> int:
    pid, started = process.pid, time.monotonic()
    os.kill(pid, 15)
    status = process.wait(10)
    took = time.monotonic() - started
    print(f"SIGTERM {moment}: status {status} after {took * 1000:.0f} ms (goal 50)")
    assert took < STOP_S
    assert process.tree() == []
    return status


COMMANDS = {
    "wait": (143, lambda urls: ["wait", *urls]),
    "run": (0, lambda urls: ["run", *(x for url in urls for x in ("--wait", url)), "--", "true"]),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_sigterm_ends_it_at_every_moment(work: pathlib.Path, command: str, silent: int) -> None:
    expected, argv = COMMANDS[command]
    refused = f"tcp://127.0.0.1:{rig.free_port()}"
    env = {**rig.base_env(), "SPARKPOD_HEALTH_PORT": "0"}
    moments = {
        "between two tries": ([refused], "connection refused"),
        "in a try that hangs": ([f"thrift://127.0.0.1:{silent}"], None),
        "in libpq": ([f"postgres://hive@127.0.0.1:{silent}/hive"], None),
        "with sixteen targets": ([f"thrift://127.0.0.1:{silent}"] * 8 + [refused] * 8, "refused"),
    }
    for number, (moment, (urls, words)) in enumerate(moments.items()):
        process = rig.Process(f"at-{number}", [rig.sparkpod_binary(), *argv(urls)], env, work)
        if words:
            process.wait_until(lambda p=process, w=words: w in p.stderr)
        else:
            process.wait_until(lambda p=process: rig.descendants(p.pid))
            time.sleep(0.2)
        assert measured_stop(process, f"{command}, {moment}") == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_sigterm_ends_it_while_dns_hangs(work: pathlib.Path, command: str) -> None:
    expected, argv = COMMANDS[command]
    urls = ["tcp://db.test:1", "postgres://hive@db.test:1/hive"]
    process = in_namespace(work, *argv(urls))
    process.wait_until(
        lambda: sum("sparkpod" in rig.cmdline(pid)[0] for pid in process.tree() if rig.cmdline(pid))
        >= 3
    )
    time.sleep(0.5)
    assert "not yet" not in process.stderr
    assert measured_stop(process, f"{command}, while DNS hangs") == expected


def test_sigterm_ends_it_while_postgresql_is_paused(work: pathlib.Path) -> None:
    with rig.Postgres(work / "postgres").start() as server:
        server.pause()
        waiting = start_wait(work, f"postgres://hive@127.0.0.1:{server.port}/hive")
        waiting.wait_until(lambda: rig.descendants(waiting.pid))
        time.sleep(0.3)
        assert measured_stop(waiting, "wait, PostgreSQL paused") == 143


# --- how often -----------------------------------------------------------------------------------


class CountingServer:
    """Accepts and closes; where it is fickle, it says something first every other time."""

    def __init__(self, fickle: bool = False) -> None:
        self.fickle = fickle
        self.count = 0
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            self.count += 1
            with client:
                if self.fickle and self.count % 2:
                    client.sendall(b"no protocol of ours")


def refused_connects(work: pathlib.Path, argv: list[str]) -> int:
    """Run it in a network of its own and count connections that failed there."""
    script = '"$@"; grep "^Tcp:" /proc/net/snmp'
    rights = rig.namespace()[: rig.namespace().index("--pid")]
    up = NAMESPACE.split("server = ")[0] + 'os.execvp("sh", ["sh", "-c", sys.argv[1], *sys.argv[1:]])'
    process = rig.Process(
        *("counted", [*rights, "--net", "/usr/bin/python3", "-c", up, script, *argv]),
        *(rig.base_env(), work),
    )
    process.wait(90)
    names, values = (line.split() for line in process.stdout.splitlines()[-2:])
    return int(values[names.index("AttemptFails")])


def test_an_outage_of_a_minute_costs_at_most_80_connections_a_target(work: pathlib.Path) -> None:
    servers = {
        scheme: CountingServer() for scheme in ("thrift", "postgres", "hive2", "http", "jdbc")
    }
    servers["fickle thrift"] = CountingServer(fickle=True)
    urls = [
        f"postgres://hive@127.0.0.1:{servers['postgres'].port}/hive",
        f"jdbc:postgresql://127.0.0.1:{servers['jdbc'].port}/hive?user=hive&sslmode=require",
        f"thrift://127.0.0.1:{servers['thrift'].port}",
        f"thrift://127.0.0.1:{servers['fickle thrift'].port}",
        f"hive2://127.0.0.1:{servers['hive2'].port}",
        f"http://127.0.0.1:{servers['http'].port}",
    ]
    waiting = start_wait(work, "--timeout", "60s", *urls, env={"SPARKPOD_WAIT_FATAL_GRACE": "5m"})
    binary = str(rig.sparkpod_binary())
    refused = refused_connects(work, [binary, "wait", "--timeout", "60s", "tcp://127.0.0.1:1"])
    assert waiting.wait(30) == 69
    counts = {name: server.count for name, server in servers.items()} | {"refused": refused}
    print(f"connections in an outage of 60 s: {counts}")
    for name, count in counts.items():
        assert 20 <= count <= 80, counts
        servers.get(name, servers["http"]).socket.close()


# --- terminals -----------------------------------------------------------------------------------

CLEAR = b"\r\x1b[K"


def resize(session: Session, columns: int) -> None:
    fcntl.ioctl(session.fd, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))


def on_terminal(*args: str, **env: str) -> Session:
    return Session(*args, env={"TERM": "xterm", "NO_COLOR": "1", **env})


def test_a_terminal_shows_one_line_that_is_kept_up_to_date(silent: int) -> None:
    refused = rig.free_port()
    urls = [f"tcp://127.0.0.1:{refused}", f"thrift://127.0.0.1:{silent}"]
    session = on_terminal("wait", "--timeout", "1m", *urls)
    resize(session, 200)
    both = f"0 of 2 ready: {urls[0]}: connection refused; {urls[1]}: no answer yet"
    session.read_until(f"waiting 1s, {both}".encode())
    session.read_until(f"waiting 2s, {both}".encode())
    with socket.create_server(("127.0.0.1", refused)):
        session.read_until(f"s, 1 of 2 ready: {urls[1]}: no answer yet".encode())
    resize(session, 30)
    session.read_until(b"\r\x1b[Kwaiting 5s, 1 of 2 ready: ")
    session.read_until(b"waiting 6s")
    os.kill(session.pid, 15)
    session.read_until(b"cancelled\r\n")
    assert session.wait() == 143
    parts = session.seen.split(CLEAR)
    narrow = [part for part in parts if re.match(rb"waiting [56]s", part)]
    assert len(narrow) >= 2
    assert {len(part) for part in narrow} == {29}, "one column is left, or the line would wrap"
    # A log line begins on a line that was cleared, and no status line is left behind.
    for part in parts:
        assert part.count(b"\n") == (0 if part.startswith(b"waiting") or not part else 1), part
    assert not parts[-1].startswith(b"waiting")


@pytest.mark.parametrize("env", [{"SPARKPOD_LOG_FORMAT": "json"}, {"TERM": "dumb"}])
def test_no_status_line_where_lines_are_read_by_programs(env: dict[str, str]) -> None:
    session = on_terminal("wait", "--timeout", "2s", f"tcp://127.0.0.1:{rig.free_port()}", **env)
    assert session.wait() == 69
    assert b"waiting" not in session.seen
    assert CLEAR not in session.seen
