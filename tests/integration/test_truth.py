"""The truth table: what /livez and /readyz say while something is broken for real, how soon, and
that what is mended comes back untouched. live false means that a restart would help; ready true
means that a client can be served."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import time
from typing import Callable, Iterator, Optional

import pytest
import rig

INTERVAL_S = TIMEOUT_S = 1.0
METASTORE_OF = {"spark-3.5.9": "metastore-3.1.3", "spark-4.3.0": "metastore-4.0.1"}
TOLD_S = 2 * (INTERVAL_S + TIMEOUT_S)
BUSY_S = 4.0  # for a machine that does something else as well

WORKERS = 10
SASL_START, SASL_COMPLETE = 1, 5
ENV = {"SPARKPOD_HEALTH_INTERVAL": "1s", "SPARKPOD_HEALTH_TIMEOUT": "1s"}


class Stand:
    """Two metastores and two Thrift Servers, each a pod on a port of its own."""

    def __init__(self, folder: pathlib.Path, postgres: rig.Postgres) -> None:
        self.folder, self.postgres = folder, postgres
        self.pods: dict[str, rig.Sparkpod] = {}
        self.ports: dict[str, int] = {}

    def metastore(self, version: str) -> None:
        """Start metastore-VERSION, for the first time or again."""
        name = f"metastore-{version}"
        database = rig.Database(self.postgres, name, "hive", "hive's")
        if name not in self.ports:
            self.postgres.create_database(name, owner="hive")
            self.ports[name] = rig.free_port()
        values = {**database.env(), "METASTORE_PORT": str(self.ports[name])}
        homes = rig.Homes(rig.fetch("spark"), rig.fetch("metastore", version))
        env = {**rig.role_env(homes, "metastore", self.folder / name, values), **ENV}
        self.pods[name] = rig.Sparkpod("metastore", folder=self.folder / name, env=env)

    def thrift_server(self, spark: str, metastore: str, client: Optional[str] = None) -> None:
        """Start spark-VERSION on that metastore, with few workers and a way to stop its context."""
        name = f"spark-{spark}"
        self.ports[name] = rig.free_port()
        folder = self.folder / name
        homes = rig.Homes(
            rig.fetch("spark", spark),
            rig.fetch("metastore", metastore),
            rig.fetch("hive-client", client) if client else None,
        )
        classes = folder / "classes"
        jars = str(homes.spark / "jars" / "*")
        source = rig.RIG / "ContextStopper.java"
        subprocess.run(["javac", "-cp", jars, "-d", classes, source], check=True)
        values = {
            "METASTORE_PORT": str(self.ports[f"metastore-{metastore}"]),
            "THRIFT_PORT": str(self.ports[name]),
            "SPARK_UI_PORT": str(rig.free_port()),
            "CONTEXT_STOPPER_FILE": str(folder / "stop"),
        }
        args = ["--hiveconf", f"hive.server2.thrift.max.worker.threads={WORKERS}"]
        args += ["--conf", "spark.extraListeners=ContextStopper"]
        args += ["--conf", f"spark.driver.extraClassPath={classes}", *homes.spark_options]
        env = {**rig.role_env(homes, "thrift-server", folder, values), **ENV}
        self.pods[name] = rig.Sparkpod("thrift-server", "--", *args, folder=folder, env=env)


@pytest.fixture(name="stand", scope="module")
def fixture_stand() -> Iterator[Stand]:
    folder = rig.work_folder("sparkpod-truth-")
    with rig.Postgres(folder / "postgres").start() as postgres:
        postgres.create_role("hive", "hive's")
        stand = Stand(folder, postgres)
        stand.metastore("3.1.3")
        stand.metastore("4.0.1")
        stand.thrift_server("3.5.9", "3.1.3")
        stand.thrift_server("4.3.0", "4.0.1", client="4.0.1")
        yield stand
        for pod in stand.pods.values():
            pod.kill()
    shutil.rmtree(folder, ignore_errors=True)


# --- telling -------------------------------------------------------------------------------------


def probes(pod: rig.Sparkpod) -> tuple[bool, bool]:
    """What is live and what is ready now."""
    live, ready = pod.get("/livez")[0], pod.get("/readyz")[0]
    assert {live, ready} <= {200, 503}
    return live == 200, ready == 200


def told(
    pod: rig.Sparkpod, live: bool, ready: bool, what: str, within_s: float = TOLD_S + BUSY_S
) -> None:
    """The probes say so within two intervals, to kubelet and to `sparkpod probe` alike."""
    started = time.monotonic()
    rig.wait_for(lambda: probes(pod) == (live, ready), within_s, what)
    print(f"{what}: after {time.monotonic() - started:.1f} s, {pod.get('/readyz')[1].strip()}")
    env = {"SPARKPOD_HEALTH_PORT": str(pod.port)}
    for name, says in (("live", live), ("ready", ready)):
        run = rig.run_sparkpod("probe", name, env=env)
        assert run.returncode == (0 if says else 1), run.stdout + run.stderr


def stays(pod: rig.Sparkpod, live: bool, ready: bool, intervals: int = 3) -> None:
    """And they go on saying so."""
    until = time.monotonic() + intervals * INTERVAL_S
    while time.monotonic() < until:
        assert probes(pod) == (live, ready), pod.get("/readyz")[1]
        time.sleep(0.1)


# --- breaking ------------------------------------------------------------------------------------

Break = Callable[[Stand, rig.Sparkpod], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def jvm_stopped(stand: Stand, pod: rig.Sparkpod) -> Iterator[None]:
    """SIGSTOP: connections are still accepted, by the kernel."""
    del stand
    java = pod.java()
    assert java
    os.kill(java, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(java, signal.SIGCONT)


@contextlib.contextmanager
def postgres_stopped(stand: Stand, pod: rig.Sparkpod) -> Iterator[None]:
    """Every call that asks the database hangs; only one of ours does so at a time: the metastore's
    own, and that of each Thrift Server."""
    stand.postgres.pause()
    try:
        yield
        (name,) = [name for name, other in stand.pods.items() if other is pod]
        java = stand.pods[METASTORE_OF.get(name, name)].java()
        assert java
        for _ in range(3):
            dump = subprocess.run(
                ["jcmd", str(java), "Thread.print"], capture_output=True, text=True, check=True
            ).stdout
            hanging = [thread for thread in dump.split("\n\n") if ".get_database(" in thread]
            assert len(hanging) == 2, "\n\n".join(hanging)
            time.sleep(3 * INTERVAL_S)
    finally:
        stand.postgres.resume()


def log_in(port: int) -> Optional[socket.socket]:
    """Open a connection and log in by SASL PLAIN; None where no worker takes it."""
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    try:
        for status, payload in ((SASL_START, b"PLAIN"), (SASL_COMPLETE, b"\0hog\0hog")):
            client.sendall(struct.pack(">BI", status, len(payload)) + payload)
        if client.recv(5)[:1] == bytes([SASL_COMPLETE]):
            return client
    except OSError:
        pass  # Spark 4 closes it, Spark 3.5 lets it wait
    client.close()
    return None


@contextlib.contextmanager
def workers_taken(stand: Stand, pod: rig.Sparkpod) -> Iterator[None]:
    """Idle clients have all workers but the one that serves the connection we keep."""
    (name,) = [name for name, other in stand.pods.items() if other is pod]
    with contextlib.ExitStack() as stack:
        for _ in range(WORKERS - 1):
            stack.enter_context(rig.wait_for(lambda: log_in(stand.ports[name]), what="a login"))
        yield


@contextlib.contextmanager
def workers_taken_before_ours(stand: Stand, pod: rig.Sparkpod) -> Iterator[None]:
    """And the health worker, started again, finds none for the connection that it would keep."""
    (name,) = [name for name, other in stand.pods.items() if other is pod]
    with workers_taken(stand, pod), contextlib.ExitStack() as stack:
        for _ in range(2):  # who waits already is served first
            client = socket.create_connection(("127.0.0.1", stand.ports[name]), timeout=30)
            stack.enter_context(client)
            for status, payload in ((SASL_START, b"PLAIN"), (SASL_COMPLETE, b"\0hog\0hog")):
                client.sendall(struct.pack(">BI", status, len(payload)) + payload)
        worker = pod.worker()
        assert worker
        os.kill(worker, signal.SIGKILL)
        rig.wait_for(lambda: pod.worker() not in (None, worker), what="another worker")
        yield


@contextlib.contextmanager
def context_stopped(stand: Stand, pod: rig.Sparkpod) -> Iterator[None]:
    """SparkContext.stop() in a JVM that lives on."""
    (name,) = [name for name, other in stand.pods.items() if other is pod]
    (stand.folder / name / "stop").touch()
    yield
    assert pod.java() and pod.running()


@contextlib.contextmanager
def metastore_gone(stand: Stand, pod: rig.Sparkpod) -> Iterator[None]:
    """The process of the Thrift Server's metastore is killed: its own pod ends with it."""
    del pod
    metastore = stand.pods["metastore-3.1.3"]
    java = metastore.java()
    assert java
    os.kill(java, signal.SIGKILL)
    assert metastore.wait() == 137
    yield
    stand.metastore("3.1.3")
    stand.pods["metastore-3.1.3"].wait_ready()


@dataclasses.dataclass(frozen=True)
class Case:
    """One line of the table. What cannot be mended comes last for its pod."""

    pod: str
    broken: Break
    live: bool
    ready: bool
    proves: str
    mends: bool = True

    def __str__(self) -> str:
        return f"{self.pod}-{self.broken.__name__}"


TABLE = [
    *(
        Case(pod, jvm_stopped, False, False, "a JVM that hangs is told, though it accepts")
        for pod in ("metastore-3.1.3", "metastore-4.0.1", "spark-3.5.9", "spark-4.3.0")
    ),
    *(
        Case(pod, postgres_stopped, True, False, "what is outside the pod never costs a restart")
        for pod in ("metastore-3.1.3", "metastore-4.0.1", "spark-3.5.9", "spark-4.3.0")
    ),
    *(
        Case(pod, workers_taken, True, False, "a restart would kill every client's session")
        for pod in ("spark-3.5.9", "spark-4.3.0")
    ),
    Case(
        *("spark-3.5.9", workers_taken_before_ours, True, False),
        "nor does it matter whether we were among those who are served",
    ),
    Case(
        *("spark-3.5.9", metastore_gone, True, False),
        "no table can be queried, and a restart would not bring the metastore back",
    ),
    *(
        Case(pod, context_stopped, False, False, "the JVM runs, and nobody is served", mends=False)
        for pod in ("spark-3.5.9", "spark-4.3.0")
    ),
]


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_the_probes_tell(stand: Stand, case: Case) -> None:
    pod = stand.pods[case.pod]
    pod.wait_ready()
    java, worker = pod.java(), pod.worker()
    connections = pod.metric("probe_connections_total")
    with case.broken(stand, pod):
        told(pod, case.live, case.ready, str(case))
        stays(pod, case.live, case.ready)
    if not case.mends:
        return
    # A server that was overrun takes its own time to accept again.
    told(pod, True, True, f"{case} mended", 30)
    stays(pod, True, True)
    if case.broken is workers_taken_before_ours:
        worker = pod.worker()
    assert (pod.java(), pod.worker()) == (java, worker), "something was restarted"
    # No reconnect is needed to see it, and a few are no storm.
    assert pod.metric("probe_connections_total") - connections <= 2


# --- what needs a start of its own ---------------------------------------------------------------


@pytest.fixture(name="pod_on_a_small_disk")
def fixture_pod_on_a_small_disk(
    homes: rig.Homes, metastore: rig.Metastore, work: pathlib.Path
) -> Iterator[rig.Sparkpod]:
    """A Thrift Server all of whose folders and output are on 64 MiB of its own."""
    disk = work / "disk"
    disk.mkdir()
    values = {
        "METASTORE_PORT": str(metastore.port),
        "THRIFT_PORT": str(rig.free_port()),
        "SPARK_UI_PORT": str(rig.free_port()),
    }
    script = 'mount -t tmpfs -o size=64m none "$0" && mkdir "$0/tmp" && exec "$@" >"$0/log" 2>&1'
    pod = rig.Sparkpod(
        "thrift-server",
        folder=work,
        env={**rig.role_env(homes, "thrift-server", disk, values), **ENV},
        prefix=[*rig.mount_namespace(), "sh", "-c", script, str(disk)],
    )
    yield pod
    pod.kill()


def test_a_full_disk_changes_no_answer(
    pod_on_a_small_disk: rig.Sparkpod, work: pathlib.Path
) -> None:
    pod = pod_on_a_small_disk
    pod.wait_ready()
    disk = pathlib.Path(f"/proc/{pod.pid}/root{work}/disk")
    with (disk / "filling").open("wb", buffering=0) as filling:
        with pytest.raises(OSError, match="No space left"):
            while True:
                filling.write(bytes(1 << 20) if filling.tell() < 1 << 20 else bytes(4096))
    size = (disk / "log").stat().st_size
    stays(pod, True, True)
    # What sparkpod itself has to say now is lost, and nothing else.
    worker = pod.worker()
    assert worker
    os.kill(worker, signal.SIGKILL)
    rig.wait_for(lambda: pod.worker() not in (None, worker), what="another worker")
    told(pod, True, True, "disk full")
    stays(pod, True, True)
    assert (disk / "log").stat().st_size - size < 4096
    (disk / "filling").unlink()
    worker = pod.worker()
    assert worker
    os.kill(worker, signal.SIGKILL)
    rig.wait_for(lambda: pod.worker() not in (None, worker), what="another worker")
    told(pod, True, True, "disk free again")
    assert "ended by SIGKILL, starting another" in (disk / "log").read_text()[size:]
    assert pod.stop() == 0


def test_a_ui_on_another_port_than_the_one_asked_for_costs_no_restart(
    sparkpod: Callable[..., rig.Sparkpod],
    homes: rig.Homes,
    metastore: rig.Metastore,
    work: pathlib.Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        values = {
            "METASTORE_PORT": str(metastore.port),
            "THRIFT_PORT": str(rig.free_port()),
            "SPARK_UI_PORT": str(taken.getsockname()[1]),
        }
        env = {**rig.role_env(homes, "thrift-server", work, values), **ENV}
        pod = sparkpod("thrift-server", env=env)
        pod.wait_ready(60)
        stays(pod, True, True, 5)
        assert pod.stop() == 0


def test_a_main_thread_that_dies_later_is_told(
    sparkpod: Callable[..., rig.Sparkpod], work: pathlib.Path
) -> None:
    subprocess.run(["javac", "-d", work, rig.RIG / "Zombie.java"], check=True)
    port = rig.free_port()
    pod = sparkpod(
        *["run", "--probe", f"tcp://127.0.0.1:{port}", "--"],
        *["java", "-cp", str(work), "Zombie", str(port), str(work / "end")],
        env=ENV,
    )
    pod.wait_ready()
    (work / "end").touch()
    told(pod, False, False, "main thread dead")
    assert pod.java() and pod.running()
