"""A Thrift Server without its metastore, with sparkpod and without."""

from __future__ import annotations

import copy
import time
from typing import Any

from release import Client, Release, is_ready

WATCHED = 30.0  # seconds
RENDER = """
for file in /etc/sparkpod/templates/*; do
    /opt/sparkpod/sparkpod render --secrets /run/sparkpod/secrets \\
        "$file" "/run/sparkpod/conf/${file##*/}"
done
"""


def bare(release: Release) -> dict[str, Any]:
    """Return the Thrift Server's own pod with start-thriftserver.sh in sparkpod's place.

    An init container renders its files; what sparkpod would have added stands in the arguments.
    """
    deployment = release.kubectl.get("deployment", release.name)
    spec = copy.deepcopy(deployment["spec"]["template"]["spec"])
    server = spec["containers"][0]
    render = {key: server[key] for key in ("image", "imagePullPolicy", "env", "volumeMounts")}
    render |= {"securityContext": server["securityContext"], "command": ["bash", "-ec", RENDER]}
    spec["initContainers"].append({"name": "render", **render})
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        server.pop(key, None)
    conf = {
        "spark.driver.host": "$(SPARKPOD_KUBERNETES_POD_IP)",
        "spark.kubernetes.driver.pod.name": "$(SPARKPOD_KUBERNETES_POD_NAME)",
        "spark.kubernetes.namespace": release.kubectl.namespace,
        "spark.kubernetes.container.image": server["image"],
        "spark.executor.instances": "1",
    }
    server["command"] = ["/opt/spark/sbin/start-thriftserver.sh"]
    server["args"] = ["--master", "k8s://https://kubernetes.default.svc"]
    server["args"] += [arg for key, value in conf.items() for arg in ("--conf", f"{key}={value}")]
    server["env"] += [
        {"name": "SPARK_NO_DAEMONIZE", "value": "1"},
        {"name": "SPARK_CONF_DIR", "value": "/run/sparkpod/conf"},
    ]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, "spec": spec}


def test_the_zombie(release: Release, client: Client) -> None:
    """Metastore scaled to 0, Thrift Server deleted: never ready, no restart, then on by itself.

    Beside it the same image, account and values with start-thriftserver.sh alone: Running, 1/1, and
    nobody listens.
    """
    release.scale("hive-metastore", 0)
    release.kubectl.until("no metastore", lambda: not all_pods(release, "hive-metastore"))
    release.kubectl.apply(bare(release))
    old = release.pod("thrift-server")["metadata"]["name"]
    release.kubectl.run("delete", "pod", old, "--wait=false")
    name = release.kubectl.until(
        "a new pod", lambda: next((pod for pod in names(release) if pod != old), None)
    )
    release.kubectl.until("it waits", lambda: release.phase(name) == "waiting")

    begin, dead = time.monotonic(), 0.0
    while time.monotonic() - begin < WATCHED or not dead:
        assert release.ready("thrift-server") == []
        assert release.phase(name) == "waiting"
        if not dead and "SessionHiveMetaStoreClient" in log_of(release, "bare"):
            dead = time.monotonic()
        assert time.monotonic() - begin < 180, "start-thriftserver.sh still tries"
        time.sleep(1)
    assert release.restarts("thrift-server") == 0
    waited = release.status(name)["waiting"][0]
    print(f"sparkpod: waiting, not ready, 0 restarts for {time.monotonic() - begin:.0f} s: ")
    print(f"  {waited['url']}: {waited['reason']}")
    zombie(release, client)
    release.kubectl.run("delete", "pod", "bare", "--wait=false", "--grace-period=1")

    release.scale("hive-metastore", 1)
    release.wait_ready("hive-metastore")
    back = time.monotonic()
    release.kubectl.until("the wait is over", lambda: release.phase(name) != "waiting", seconds=30)
    over = time.monotonic() - back
    release.wait_ready("thrift-server")
    print(f"the wait ended {over:.1f} s after the metastore was Ready; ", end="")
    print(f"Ready {time.monotonic() - back:.1f} s after it: the rest is Spark's own start")
    assert over <= 5.0
    assert release.ready("thrift-server") == [name]
    assert release.restarts("thrift-server") == 0


def zombie(release: Release, client: Client) -> None:
    """The bare pod's main thread has died; Kubernetes shows it as well as can be."""
    time.sleep(10)  # were it to end, it would by now
    pod = release.kubectl.api("pods/bare")
    status = pod["status"]["containerStatuses"][0]
    refused = client.probe(f"tcp://{pod['status']['podIP']}:10000")
    line = next(text for text in release.logs("bare").splitlines() if "Exception" in text)
    print(f"without sparkpod: {pod['status']['phase']}, Ready {is_ready(pod)}, ", end="")
    print(f"{status['restartCount']} restarts; port 10000: {refused}  its log: {line}")
    assert (pod["status"]["phase"], is_ready(pod)) == ("Running", True)
    assert status["restartCount"] == 0
    assert refused and "refused" in refused


def log_of(release: Release, pod: str) -> str:
    """Return what its containers have written, those that have begun."""
    return release.kubectl.run("logs", pod, "--all-containers", check=False).stdout


def names(release: Release) -> list[str]:
    """Return the names of the Thrift Server's pods."""
    return [pod["metadata"]["name"] for pod in release.pods("thrift-server")]


def all_pods(release: Release, component: str) -> list[Any]:
    """Return a component's pods, those that are being deleted too."""
    label = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component={component}"
    return release.select("pods", label)
