"""Each Spark on each metastore, both as pods: ready means that a query works, every probe tells the
truth, and being asked leaves no trace in a log. All pods stay up until the last test has counted."""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
import os
import pathlib
import re
import shutil
import signal
import time
from typing import Iterator, Optional

import pytest
import rig

SPARKS = ("3.5.9", "3.5.0", "4.3.0")
METASTORES = ("3.1.3", "4.0.1")
MATRIX = list(itertools.product(SPARKS, METASTORES))

CHECKS = 1000
# What a new health worker costs: connections it opens, lines at WARN or above in its service's log,
# and what they say. Each of a Thrift Server opens one to the metastore as well, which costs there
# what one of the metastore's own does. libthrift of Spark 3.5 reports each connection that has logged in and ends; metastore 3.1.3 says
# something of its own settings on the first get_database of a connection.
COST = {
    "metastore 3.1.3": (2, 1, "datanucleus.autoStartMechanismMode is set to unsupported value null"),
    "metastore 4.0.1": (2, 0, ""),
    "Spark 3": (2, 1, "Thrift error occurred during processing of message"),
    "Spark 4": (2, 0, ""),
}
# A worker that lived half a minute is replaced after 100 ms, else after twice the time of the one
# before it.
GROUPS, KILLS_A_GROUP, LIVES_S = 5, 4, 31.0


def hive_client(spark: str, metastore: str) -> Optional[str]:
    """What Spark needs to talk to the metastore. Its own client asks 4.0.1 for get_table, which is
    gone; Spark 3.5 refuses spark.sql.hive.metastore.version=4.0, but works with a 3.1.3."""
    if metastore == "3.1.3":
        return None
    return "3.1.3" if spark.startswith("3.") else "4.0.1"


def loud(lines: list[str]) -> list[str]:
    """The lines of a log4j log at WARN or above; sparkpod writes its own levels in small letters."""
    pattern = re.compile(r"\S+ +(\S+ +)?(WARN|ERROR|FATAL) ")
    return [line for line in lines if pattern.match(line)]


class Pods:
    """The pods of the matrix, each started when it is first asked for."""

    def __init__(self, folder: pathlib.Path, postgres: rig.Postgres) -> None:
        self.folder, self.postgres = folder, postgres
        self.metastores: dict[str, rig.Sparkpod] = {}
        self.thrift_servers: dict[tuple[str, str], rig.Sparkpod] = {}
        self.ports: collections.defaultdict[tuple[str, ...], int]
        self.ports = collections.defaultdict(rig.free_port)

    def homes(self, spark: str, metastore: str) -> rig.Homes:
        client = hive_client(spark, metastore)
        return rig.Homes(
            rig.fetch("spark", spark),
            rig.fetch("metastore", metastore),
            rig.fetch("hive-client", client) if client else None,
        )

    def start(self, role: str, homes: rig.Homes, name: str, ports: dict[str, int]) -> rig.Sparkpod:
        database = rig.Database(self.postgres, self.database(name[-5:]), "hive", "hive's")
        values = {**database.env(), **{key: str(port) for key, port in ports.items()}}
        values["WAREHOUSE"] = f"file:{self.folder}/warehouse-{name[-5:]}"
        env = rig.role_env(homes, role, self.folder / name, values)
        env["SPARKPOD_HEALTH_INTERVAL"] = "100ms"
        args = ["--", *homes.spark_options] if role == "thrift-server" else []
        return rig.Sparkpod(role, *args, folder=self.folder / name, env=env)

    def database(self, metastore: str) -> str:
        return f"hive_{metastore.replace('.', '_')}"

    def metastore(self, version: str) -> rig.Sparkpod:
        """The pod of that metastore, on a database of its own."""
        if version not in self.metastores:
            self.postgres.create_database(self.database(version), owner="hive")
            self.metastores[version] = self.start(
                "metastore",
                self.homes(SPARKS[0], version),
                f"metastore-{version}",
                {"METASTORE_PORT": self.ports["metastore", version]},
            )
        return self.metastores[version]

    def thrift_server(self, spark: str, metastore: str) -> rig.Sparkpod:
        """The pod of that Spark on that metastore."""
        key = (spark, metastore)
        if key not in self.thrift_servers:
            self.metastore(metastore).wait_ready()
            ports = {
                "METASTORE_PORT": self.ports["metastore", metastore],
                "THRIFT_PORT": self.ports["thrift", *key],
                "SPARK_UI_PORT": self.ports["ui", *key],
            }
            self.thrift_servers[key] = self.start(
                "thrift-server", self.homes(*key), f"spark-{spark}-on-{metastore}", ports
            )
        return self.thrift_servers[key]

    def all(self) -> dict[str, rig.Sparkpod]:
        pods = {f"metastore {version}": pod for version, pod in self.metastores.items()}
        for (spark, metastore), pod in self.thrift_servers.items():
            pods[f"Spark {spark} on {metastore}"] = pod
        return pods


@pytest.fixture(name="pods", scope="module")
def fixture_pods() -> Iterator[Pods]:
    folder = rig.work_folder("sparkpod-matrix-")
    with rig.Postgres(folder / "postgres").start() as postgres:
        postgres.create_role("hive", "hive's")
        pods = Pods(folder, postgres)
        yield pods
        for pod in pods.all().values():
            pod.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("spark,metastore", MATRIX)
def test_once_ready_the_first_query_works(pods: Pods, spark: str, metastore: str) -> None:
    pod = pods.thrift_server(spark, metastore)
    pod.wait_ready()
    beeline = rig.Beeline(pods.homes(spark, metastore), pods.ports["thrift", spark, metastore])
    table = f"fruit_{spark.replace('.', '_')}"
    rows = beeline.query(
        f"CREATE TABLE {table} (name STRING, pieces INT)",
        f"INSERT INTO {table} VALUES ('apple', 3), ('pear', 4)",
        f"SELECT name, pieces FROM {table} ORDER BY name",
    )
    assert rows == [["apple", "3"], ["pear", "4"]]
    assert pod.get("/livez")[0] == 200
    assert pods.metastore(metastore).get("/livez")[0] == 200


@pytest.mark.parametrize("spark,metastore", MATRIX)
def test_each_direct_probe_says_who_answers(pods: Pods, spark: str, metastore: str) -> None:
    pods.thrift_server(spark, metastore).wait_ready()
    thrift = pods.ports["thrift", spark, metastore]
    cases = {
        f"hive2://127.0.0.1:{thrift}": f"Spark {spark}",
        f"jdbc:hive2://127.0.0.1:{thrift}/default": f"Spark {spark}",
        f"thrift://127.0.0.1:{pods.ports['metastore', metastore]}": "ALIVE",
        f"http://127.0.0.1:{pods.ports['ui', spark, metastore]}/": "302",
        f"tcp://127.0.0.1:{thrift}": "ready",
    }
    for url, expected in cases.items():
        run = rig.run_sparkpod("probe", url)
        assert run.returncode == 0, run.stdout + run.stderr
        assert expected in run.stdout, (url, run.stdout)


# --- what asking costs ---------------------------------------------------------------------------


def checks_made(pod: rig.Sparkpod) -> float:
    return sum(
        pod.metric(f'checks_total{{check="{check}",result="{result}"}}')
        for check in ("alive", "ui", "usable")
        for result in ("passed", "failed")
    )


def kill_worker(pod: rig.Sparkpod, connections: float) -> None:
    """End the health worker between two rounds of checks, as a half said word would be an error of
    its own, and wait until the next one has opened its connections and made a round."""
    worker = rig.wait_for(pod.worker, what="a worker")
    before = rig.wait_for(lambda: pod.metric("probe_connections_total"))
    wchan = pathlib.Path(f"/proc/{worker}/wchan")
    rig.wait_for(lambda: "nanosleep" in wchan.read_text(), what="it sleeps", interval=0.001)
    os.kill(worker, signal.SIGKILL)
    rig.wait_for(
        lambda: pod.metric("probe_connections_total") == before + connections,
        what="another worker is connected",
    )


def bother(pod: rig.Sparkpod, connections: float) -> None:
    """Kill its worker 20 times, in groups, and let it be asked a thousand times."""
    asked = checks_made(pod)
    for group in range(GROUPS):
        time.sleep(LIVES_S if group else 0)
        for _ in range(KILLS_A_GROUP):
            kill_worker(pod, connections)
    rig.wait_for(lambda: checks_made(pod) - asked >= CHECKS, 120, "a thousand checks")


def test_a_thousand_checks_with_20_restarts_of_the_worker_cost_what_the_docs_say(
    pods: Pods,
) -> None:
    for spark, metastore in MATRIX:
        pods.thrift_server(spark, metastore).wait_ready()
    time.sleep(5)  # what the queries before left behind is written by now
    names = pods.all()
    costs = {
        name: next(cost for start, cost in COST.items() if name.startswith(start)) for name in names
    }
    before = {name: (len(pod.stdout), len(pod.stderr)) for name, pod in names.items()}
    connected = {name: pod.metric("probe_connections_total") for name, pod in names.items()}
    asked = {name: checks_made(pod) for name, pod in names.items()}
    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(bother, names.values(), [cost[0] for cost in costs.values()]))
    kills = GROUPS * KILLS_A_GROUP
    new: dict[str, list[str]] = {}
    for name, pod in names.items():
        out, err = before[name]
        lines = (pod.stdout[out:] + pod.stderr[err:]).splitlines()
        new[name] = [line for line in lines if not re.match(r"\S+Z warn  pid1: ", line)]
        assert len(lines) - len(new[name]) == kills, name
        print(
            f"{name}: {checks_made(pod) - asked[name]:.0f} checks, {kills} restarts,"
            f" {len(new[name])} lines, {len(loud(new[name]))} of them at WARN or above"
        )
    for name, pod in names.items():
        connections, lines_at_warn, says = costs[name]
        assert pod.get("/readyz")[0] == 200, name
        assert pod.metric("health_worker_starts_total") == kills + 1, name
        opened = pod.metric("probe_connections_total") - connected[name]
        assert opened == kills * connections, name
        bad = loud(new[name])
        workers = 1 + len(SPARKS) * name.startswith("metastore")
        assert len(bad) == kills * workers * lines_at_warn, (name, bad[:3])
        assert all(says in line for line in bad), (name, bad[:3])


def test_every_pod_ends_in_order(pods: Pods) -> None:
    thrift_servers = pods.thrift_servers.values()
    for group in (thrift_servers, pods.metastores.values()):
        for pod in group:
            pod.term()
        assert [pod.wait(60) for pod in group] == [0] * len(group)
