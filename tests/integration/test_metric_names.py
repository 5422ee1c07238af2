"""The chart's alerts and dashboard on real metrics: a Thrift Server with executors and a metastore,
both pods, scraped by a real Prometheus with the labels that the chart's ServiceMonitor gives. The
Thrift Server is stopped with a statement that outlives its drain, so that this is seen as well."""

from __future__ import annotations

import itertools
import json
import pathlib
import re
import shutil
import urllib.parse
import urllib.request
from typing import Any, Iterator

import pytest
import rig
from test_stop import ThriftPod, sleeping_query

CHART = rig.ROOT / "helm" / "files"
RUNBOOKS = rig.ROOT / "docs" / "runbooks"
DASHBOARD = json.loads((CHART / "dashboard.json").read_text())

# What the files call the release and its namespace until Helm or Grafana put in the real ones.
NAMES = {"$namespace": "RELEASE_NAMESPACE", "$release": "RELEASE_NAME", "$__rate_interval": "15s"}
# Of kube-state-metrics, which the chart does without where there is none.
KUBE_STATE_METRICS = {
    "kube_pod_container_status_last_terminated_reason",
    "kube_pod_container_status_restarts_total",
}
# name and path of what the monitors scrape.
SPARK_ENDPOINTS = {"ui": "/metrics/prometheus/", "executors": "/metrics/executors/prometheus/"}


def spark_options() -> list[str]:
    """What the chart sets for metrics, and executors that come and go, each a JVM of its own."""
    lines = (CHART / "spark-metrics.conf").read_text().splitlines()
    confs = [line for line in lines if line and not line.startswith("#")]
    confs += ["spark.executor.memory=512m", "spark.dynamicAllocation.enabled=true"]
    confs += ["spark.dynamicAllocation.shuffleTracking.enabled=true"]
    confs += ["spark.dynamicAllocation.minExecutors=1", "spark.dynamicAllocation.maxExecutors=2"]
    return ["--master", "local-cluster[2,1,1024]", *(f"--conf={conf}" for conf in confs)]


class Prometheus(rig.Process):
    """Debian's Prometheus, which scrapes every second and evaluates the chart's rules."""

    def __init__(self, folder: pathlib.Path, scrapes: list[dict[str, Any]]) -> None:
        self.port = rig.free_port()
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(CHART / "alerts.yaml")],
            "scrape_configs": scrapes,
        }
        folder.mkdir()
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        program = rig.fetch("prometheus") / "bin" / "prometheus"
        argv = [str(program), f"--config.file={folder}/prometheus.yml"]
        argv += [f"--storage.tsdb.path={folder}/data"]
        argv += [f"--web.listen-address=127.0.0.1:{self.port}"]
        super().__init__("prometheus", argv, rig.base_env(), folder)
        self.wait_until(lambda: rig.port_open(self.port), 60, "Prometheus listens")

    def api(self, path: str, **parameters: str) -> Any:
        """The data of an answer; HTTPError where Prometheus takes the expression for wrong."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an expression, now."""
        return self.api("query", query=expression)["result"]

    def firing(self) -> set[tuple[str, str]]:
        """The alerts that fired at any time until now, and the pods they named."""
        alerts = self.query('max_over_time(ALERTS{alertstate="firing"}[1h])')
        return {(alert["metric"]["alertname"], alert["metric"].get("pod", "")) for alert in alerts}


def scrape(component: str, endpoint: str, port: int, path: str = "/metrics") -> dict[str, Any]:
    """A scrape configuration whose series have the labels that they get through the monitors."""
    labels = {
        "namespace": "RELEASE_NAMESPACE",
        "app_kubernetes_io_instance": "RELEASE_NAME",
        "app_kubernetes_io_component": component,
        "pod": f"{component}-0",
        "container": component,
        "endpoint": endpoint,
    }
    targets = [{"targets": [f"127.0.0.1:{port}"], "labels": labels}]
    name = f"{component}-{endpoint}"
    return {"job_name": name, "metrics_path": path, "static_configs": targets}


def start_metastore(
    homes: rig.Homes, postgres: rig.Postgres, folder: pathlib.Path, name: str
) -> tuple[rig.Sparkpod, int]:
    """A metastore pod on a database of its own, and its Thrift port."""
    postgres.create_role(name, "hive's")
    postgres.create_database(name, owner=name)
    port = rig.free_port()
    values = {**rig.Database(postgres, name, name, "hive's").env(), "METASTORE_PORT": str(port)}
    env = rig.role_env(homes, "metastore", folder, values)
    return rig.Sparkpod("metastore", folder=folder, env=env), port


def start_thrift_server(homes: rig.Homes, folder: pathlib.Path, metastore_port: int) -> ThriftPod:
    """A Thrift Server pod whose cgroup says 4 GiB, as a container's does."""
    cgroup = folder / "cgroup"
    cgroup.mkdir(parents=True)
    (cgroup / "memory.max").write_text(f"{4 << 30}\n")
    (cgroup / "memory.current").write_text(f"{1 << 30}\n")
    (cgroup / "memory.events").write_text("oom 0\noom_kill 0\n")
    script = 'mount --bind "$0" /sys/fs/cgroup && exec "$@"'
    prefix = [*rig.mount_namespace(), "sh", "-c", script, str(cgroup)]

    def start(role: str, env: dict[str, str]) -> rig.Sparkpod:
        return rig.Sparkpod(role, "--", *spark_options(), folder=folder, env=env, prefix=prefix)

    more = {"SPARKPOD_SHUTDOWN_DRAIN": "5s", "SPARK_DRIVER_MEMORY": "1g"}
    return ThriftPod(start, homes, folder, metastore_port, more)


def run_to_its_end(server: ThriftPod, prometheus: Prometheus, folder: pathlib.Path) -> None:
    """A query, then a stop while another one runs that takes longer than the drain."""
    server.beeline.query("SELECT count(*) FROM range(0, 1000, 1, 4)", timeout=2 * rig.START_S)
    done = 'metrics_executor_completedTasks_total{executor_id!="driver"} > 0'
    rig.wait_for(lambda: prometheus.query(done), 60, "an executor's tasks are scraped")
    assert not prometheus.firing()
    client = server.start_query(folder / "client", sleeping_query(300))
    server.pod.term()
    server.pod.wait(60)
    client.kill()
    rig.wait_for(prometheus.firing, 30, "the cut is noticed", interval=0.5)


@pytest.fixture(name="seen", scope="module", params=["3.5.9", "4.3.0"])
def fixture_seen(request: pytest.FixtureRequest, postgres: rig.Postgres) -> Iterator[Prometheus]:
    """The Prometheus that has seen all of a release's life."""
    homes = rig.Homes(rig.fetch("spark", request.param), rig.fetch("metastore"))
    folder = rig.work_folder("sparkpod-metrics-")
    name = f"metrics_{request.param.replace('.', '_')}"
    metastore, port = start_metastore(homes, postgres, folder / "metastore", name)
    server = start_thrift_server(homes, folder / "thrift-server", port)
    processes: list[rig.Process] = [metastore, server.pod]
    try:
        server.pod.wait_ready(2 * rig.START_S)
        scrapes = [scrape("hive-metastore", "health", metastore.port)]
        scrapes += [scrape("thrift-server", "health", server.pod.port)]
        for endpoint, path in SPARK_ENDPOINTS.items():
            scrapes.append(scrape("thrift-server", endpoint, server.ui_port, path))
        prometheus = Prometheus(folder / "prometheus", scrapes)
        processes.append(prometheus)
        run_to_its_end(server, prometheus, folder)
        yield prometheus
    finally:
        for process in processes:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def rules(seen: Prometheus) -> list[dict[str, Any]]:
    """The alerts as Prometheus has read them."""
    return [rule for group in seen.api("rules")["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """What shows something on the dashboard."""
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    """What the dashboard asks, with values in the place of its variables."""
    found = []
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in NAMES.items():
                expression = expression.replace(name, value)
            found.append(expression)
    return found


def test_every_series_that_is_asked_for_is_served(seen: Prometheus) -> None:
    kubernetes = set()
    for expression in [*queries(), *(rule["query"] for rule in rules(seen))]:
        bare = re.findall(r"\b(?:sparkpod|metrics|kube)_\w+\b(?!\{)(?![^{]*\})", expression)
        assert not bare, f"of every release and namespace: {bare}"
        for selector in re.findall(r"\b[a-z]\w*\{[^}]*\}", expression):
            name = selector.partition("{")[0]
            assert 'namespace="RELEASE_NAMESPACE"' in selector
            if name in KUBE_STATE_METRICS:
                kubernetes.add(name)
                continue
            assert 'app_kubernetes_io_instance="RELEASE_NAME"' in selector
            assert seen.query(f"last_over_time({selector}[1h])"), selector
    assert kubernetes == KUBE_STATE_METRICS


def test_every_rule_can_be_evaluated_and_has_its_runbook(seen: Prometheus) -> None:
    found = rules(seen)
    assert [rule["name"] for rule in found if rule["health"] != "ok"] == []
    names = {rule["name"] for rule in found}
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {*names, "README"}
    index = (RUNBOOKS / "README.md").read_text()
    assert all(f"[{name}]({name}.md)" in index for name in names)


def test_a_drain_that_is_cut_is_the_only_alert(seen: Prometheus) -> None:
    assert seen.firing() == {("SparkpodDrainCutShort", "thrift-server-0")}


def test_every_query_of_the_dashboard_has_an_answer(seen: Prometheus) -> None:
    for expression in queries():
        # At any moment of the last 5 minutes, as a drain is short.
        assert seen.query(f"last_over_time(({expression})[5m:1s])"), expression


def test_no_panel_of_the_dashboard_is_empty_twice_there_or_on_another() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    variables = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert variables == ["datasource", "namespace", "release"]
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        columns = range(at["x"], at["x"] + at["w"])
        cells = set(itertools.product(columns, range(at["y"], at["y"] + at["h"])))
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["title"] and panel["description"] and panel["targets"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(target["expr"] and target["legendFormat"] for target in panel["targets"])
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)
