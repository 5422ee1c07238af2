"""How the real servers end: what is running gets its time, the JVM's own hooks get theirs, and
whatever else dies, starts or hangs meanwhile, nothing is left and the exit status says it."""

from __future__ import annotations

import http.client
import os
import pathlib
import re
import signal
import subprocess
import time
from typing import Callable, Optional

import pytest
import rig

Start = Callable[..., rig.Sparkpod]

# How often a whole life is repeated that has to end well every time.
STOPS = int(os.environ.get("SPARKPOD_TEST_STOPS") or 3)

NO_DRAIN = {"SPARKPOD_SHUTDOWN_DRAIN": "0"}

# The whole of the JVM's hooks ran, on this side of Hadoop's time limit for them.
HOOKS_DONE = "Successfully stopped SparkContext"


def sleeping_query(seconds: int) -> str:
    """A row a second, from one task."""
    return f"SELECT id, reflect('java.lang.Thread', 'sleep', 1000L) FROM range(0, {seconds}, 1, 1)"


class ThriftPod:
    """A Thrift Server under sparkpod, on a metastore that is there already."""

    def __init__(
        self,
        start: Start,
        homes: rig.Homes,
        work: pathlib.Path,
        metastore_port: int,
        more: Optional[dict[str, str]] = None,
    ) -> None:
        self.port, self.ui_port = rig.free_port(), rig.free_port()
        values = {
            "METASTORE_PORT": str(metastore_port),
            "THRIFT_PORT": str(self.port),
            "SPARK_UI_PORT": str(self.ui_port),
            **(more or {}),
        }
        self.pod = start("thrift-server", env=rig.role_env(homes, "thrift-server", work, values))
        self.beeline = rig.Beeline(homes, self.port)

    def wait_started(self) -> None:
        """Until the service is forked: all that comes before it is over."""
        self.pod.wait_until(lambda: "thrift-server started" in self.pod.stderr)

    def java(self) -> int:
        """The server's JVM."""
        java = self.pod.java()
        assert java
        return java

    def wrapper(self) -> int:
        """The bash of spark-daemon.sh, between sparkpod and the JVM."""
        return next(pid for pid in self.pod.tree() if rig.cmdline(pid)[:1] == ["bash"])

    def running(self) -> int:
        """How many statements run, as Spark's own page has it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ui_port, timeout=10)
        connection.request("GET", "/sqlserver/")
        found = re.search(r"running\s+(\d+)\s+SQL", connection.getresponse().read().decode())
        connection.close()
        assert found
        return int(found.group(1))

    def start_query(self, folder: pathlib.Path, statement: str) -> rig.Process:
        """Run a statement in the background; it runs on the server when this returns."""
        client = self.beeline.start(folder, statement)
        client.wait_until(lambda: self.running() == 1, what="the statement runs")
        return client

    def drain_lines(self) -> list[str]:
        """What was logged of the drain."""
        return re.findall(r" drain: (.*)", self.pod.stderr)

    def watch_drain(self) -> None:
        """Follow a drain to its end: it lives, takes nobody new, and the drain is not endless."""

        def over() -> bool:
            live, ready = self.pod.get("/livez")[0], self.pod.get("/readyz")[0]
            drained = self.drain_lines()[-1:] == ["0 statements running"]
            assert drained or (live, ready) == (200, 503)
            return drained

        rig.wait_for(over, 60, "nothing runs any more", interval=0.2)


Pods = Callable[..., ThriftPod]


@pytest.fixture
def thrift_pod(
    sparkpod: Start, homes: rig.Homes, work: pathlib.Path, metastore: rig.Metastore
) -> Pods:
    """Start a Thrift Server pod on the session's metastore: thrift_pod({"SPARKPOD_…": "…"})."""

    def start(more: Optional[dict[str, str]] = None) -> ThriftPod:
        return ThriftPod(sparkpod, homes, work, metastore.port, more)

    return start


# --- what runs is not cut ------------------------------------------------------------------------


def test_a_query_that_runs_is_finished_and_its_client_gets_every_row(
    thrift_pod: Pods, work: pathlib.Path
) -> None:
    server = thrift_pod()
    server.pod.wait_ready()
    client = server.start_query(work, sleeping_query(20))
    server.pod.term()
    rig.wait_for(lambda: server.pod.get("/readyz")[0] == 503, what="not ready any more")
    assert client.running()
    server.watch_drain()
    assert client.wait() == 0
    assert re.findall(r"^(?:.*> )?(\d+)\tnull$", client.stdout, re.MULTILINE) == [
        str(row) for row in range(20)
    ]
    assert server.pod.wait() == 0
    assert server.drain_lines() == ["1 statement running", "0 statements running"]
    assert HOOKS_DONE in server.pod.stderr
    assert server.pod.tree() == []


def test_a_result_that_is_fetched_slowly_is_running_work(
    thrift_pod: Pods, work: pathlib.Path
) -> None:
    """No job and no stage runs by then: the client has yet to take 20 MB, a row batch a time."""
    server = thrift_pod()
    server.pod.wait_ready()
    rows, width, seconds = 20_000, 1_000, 10.0
    argv = server.beeline.argv(f"SELECT id, repeat('x', {width}) FROM range({rows})")
    argv += ["--incremental=true"]  # else beeline takes it all before it writes a row
    with (work / "beeline.stderr").open("wb") as err, subprocess.Popen(
        argv, env=server.beeline.env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err
    ) as client:
        assert client.stdout
        text = client.stdout.read(1 << 16)
        server.pod.term()
        # What it writes waits in the pipe, and while it cannot write it does not fetch.
        while piece := client.stdout.read(1 << 16):
            text += piece
            time.sleep(seconds * len(piece) / (rows * width))
    assert client.returncode == 0
    assert len(re.findall(rb"^(?:.*> )?\d+\tx{%d}$" % width, text, re.MULTILINE)) == rows
    assert server.pod.wait() == 0
    assert server.drain_lines() == ["1 statement running", "0 statements running"]


def test_a_second_sigterm_waits_for_no_query(thrift_pod: Pods, work: pathlib.Path) -> None:
    server = thrift_pod()
    server.pod.wait_ready()
    client = server.start_query(work, sleeping_query(300))
    server.pod.term()
    server.pod.wait_until(lambda: server.drain_lines() == ["1 statement running"])
    assert client.running()
    server.pod.term()
    assert server.pod.wait() == 0
    assert client.wait() != 0
    assert "SIGTERM: stopping without waiting any longer" in server.pod.stderr
    assert HOOKS_DONE in server.pod.stderr
    assert server.pod.tree() == []


@pytest.mark.parametrize("number", range(1, STOPS + 1))
def test_without_a_drain_the_hooks_of_the_jvm_run_to_their_end(
    thrift_pod: Pods, number: int
) -> None:
    del number
    server = thrift_pod(NO_DRAIN)
    server.pod.wait_ready()
    assert server.pod.stop() == 0
    assert HOOKS_DONE in server.pod.stderr
    assert server.drain_lines() == []


# --- the way from the script to the JVM ----------------------------------------------------------

# Bash, the launcher's JVM, the server's before and after Spark's hooks are there.
MOMENTS = [0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0]


@pytest.mark.parametrize("after", MOMENTS)
def test_a_stop_while_the_thrift_server_starts_ends_all_of_it(
    thrift_pod: Pods, after: float
) -> None:
    server = thrift_pod()
    server.wait_started()
    time.sleep(after)
    server.pod.term()
    assert server.pod.wait(20) == 0
    assert server.pod.tree() == []
    assert "shutdown.grace is over" not in server.pod.stderr


def test_a_dead_wrapper_is_not_a_dead_service(thrift_pod: Pods, work: pathlib.Path) -> None:
    server = thrift_pod()
    server.pod.wait_ready()
    java = server.java()
    os.kill(server.wrapper(), signal.SIGKILL)
    server.pod.wait_until(lambda: f"the JVM, pid {java}, lives" in server.pod.stderr)
    assert server.pod.get("/readyz")[0] == 200
    client = server.start_query(work, sleeping_query(3))
    # It is drained, too; then the JVM is what SIGTERM goes to, and its status is ours to judge.
    assert server.pod.stop() == 0
    assert client.wait() == 0
    assert server.drain_lines() == ["1 statement running", "0 statements running"]
    assert HOOKS_DONE in server.pod.stderr


def test_a_thrift_server_that_dies_unasked_passes_its_status_on(thrift_pod: Pods) -> None:
    server = thrift_pod()
    server.pod.wait_ready()
    os.kill(server.java(), signal.SIGKILL)
    assert server.pod.wait() == 137
    assert "thrift-server ended with 137" in server.pod.stderr
    assert server.pod.tree() == []


def test_a_jvm_that_hangs_is_killed_within_the_budget(thrift_pod: Pods) -> None:
    drain, grace, ladder = 4, 2, 7
    server = thrift_pod(
        {
            "SPARKPOD_SHUTDOWN_DRAIN": f"{drain}s",
            "SPARKPOD_SHUTDOWN_GRACE": f"{grace}s",
            "SPARKPOD_SHUTDOWN_BUDGET": f"{drain + grace + ladder}s",
        }
    )
    server.pod.wait_ready()
    os.kill(server.java(), signal.SIGSTOP)
    server.pod.term()
    # Some seconds more for what else this machine is busy with.
    assert server.pod.wait(drain + grace + ladder + 5) == 137
    assert "the page /sqlserver/ cannot be read" in server.pod.stderr
    assert "shutdown.grace is over" in server.pod.stderr
    assert server.pod.tree() == []


# --- a server that never comes up ----------------------------------------------------------------


@pytest.fixture
def own_metastore(
    homes: rig.Homes, hive_database: rig.Database, work: pathlib.Path
) -> rig.Metastore:
    """A metastore for the test to break."""
    return rig.Metastore(homes, hive_database, work / "own-metastore")


def test_a_metastore_that_goes_away_before_the_first_call_ends_the_server_with_its_own_status(
    sparkpod: Start, homes: rig.Homes, work: pathlib.Path, own_metastore: rig.Metastore
) -> None:
    server = ThriftPod(sparkpod, homes, work, own_metastore.port)
    server.wait_started()
    own_metastore.kill()
    assert server.pod.wait(60) == 1
    assert re.search(r" error pid1: thrift-server ended with 1\b", server.pod.stderr)
    assert server.pod.tree() == []


def test_a_metastore_that_falls_silent_ends_the_server_with_69_at_the_deadline(
    sparkpod: Start, homes: rig.Homes, work: pathlib.Path, own_metastore: rig.Metastore
) -> None:
    deadline = {"SPARKPOD_HEALTH_START_DEADLINE": "20s"}
    server = ThriftPod(sparkpod, homes, work, own_metastore.port, deadline)
    server.wait_started()
    own_metastore.pause()
    assert server.pod.wait(60) == 69
    own_metastore.kill()
    late = r" error pid1: thrift-server not usable 2\d\.\ds after its start .*: connection refused"
    assert len(re.findall(late, server.pod.stderr)) == 1
    # Below the wrapper the JVM was found all the same, and its dump shows where it waits.
    assert "Full thread dump" in server.pod.stdout
    assert "HiveThriftServer2$.main" in server.pod.stdout
    assert server.pod.tree() == []


def test_a_jvm_whose_main_thread_died_is_no_running_server(
    sparkpod: Start, work: pathlib.Path
) -> None:
    subprocess.run(["javac", "-d", work, rig.RIG / "Zombie.java"], check=True)
    pod = sparkpod(
        *["run", "--probe", f"tcp://127.0.0.1:{rig.free_port()}", "--"],
        *["java", "-cp", str(work), "Zombie"],
        env={"SPARKPOD_HEALTH_START_DEADLINE": "5s"},
    )
    assert pod.wait() == 69
    assert "main dies here" in pod.stderr
    assert len(re.findall(r" error pid1: run not usable .*: connection refused", pod.stderr)) == 1
    assert "Full thread dump" in pod.stdout
    assert '"stays-behind"' in pod.stdout
    assert '"main"' not in pod.stdout
    assert pod.tree() == []


# --- the metastore -------------------------------------------------------------------------------


def metastore_env(homes: rig.Homes, database: rig.Database, work: pathlib.Path) -> dict[str, str]:
    values = {**database.env(), "METASTORE_PORT": str(rig.free_port())}
    return rig.role_env(homes, "metastore", work / "metastore", values)


def test_sigterm_stops_the_metastore(
    sparkpod: Start, homes: rig.Homes, hive_database: rig.Database, work: pathlib.Path
) -> None:
    pod = sparkpod("metastore", env=metastore_env(homes, hive_database, work))
    pod.wait_ready()
    pod.term()
    assert pod.wait() == 0
    assert "Shutting down hive metastore" in pod.stderr
    assert pod.tree() == []


def test_a_metastore_that_is_killed_is_137(
    sparkpod: Start, homes: rig.Homes, hive_database: rig.Database, work: pathlib.Path
) -> None:
    pod = sparkpod("metastore", env=metastore_env(homes, hive_database, work))
    pod.wait_ready()
    java = pod.java()
    assert java
    os.kill(java, signal.SIGKILL)
    assert pod.wait() == 137
    assert "metastore was ended by SIGKILL" in pod.stderr
    assert pod.tree() == []


def test_a_metastore_that_ends_with_0_unasked_has_failed(
    sparkpod: Start, homes: rig.Homes, hive_database: rig.Database, work: pathlib.Path
) -> None:
    """By a fake start-metastore: the real one is not to be had to do that."""
    fake = work / "fake-metastore"
    (fake / "bin").mkdir(parents=True)
    (fake / "scripts").symlink_to(homes.metastore / "scripts")
    script = fake / "bin" / "start-metastore"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    env = metastore_env(homes, hive_database, work)
    pod = sparkpod("metastore", env={**env, "METASTORE_HOME": str(fake)})
    assert pod.wait() == 1
    assert re.search(r" error pid1: metastore ended with 0\b", pod.stderr)
