"""A release of the chart on a cluster, and what a user does with it."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import time
import urllib.parse
from typing import Any, Optional, Sequence

from kubectl import Kubectl, run

HERE = pathlib.Path(__file__).resolve().parent
CHART = HERE.parent.parent / "helm"
NOTE = CHART / "ci" / "note.yaml"
VALUES = HERE / "values.yaml"
SPARK = "localhost/sparkpod/spark-thrift-server:test"

# Planted: no log, ConfigMap or pod spec may ever show one of them.
SECRETS = {
    "adls-sp-secret": {
        "client-id": "5f0c6f4e-3f53-4b8e-9d5e-planted-id",
        "client-secret": "planted~Client&Secret<9>",
        "tenant-id": "0e4c1b6e-planted-tenant",
    },
    "hive-metastore-db-secret": {
        "hive-password": "planted&Hive<Pass>'word",
        "postgres-password": "planted-Admin/Password",
    },
}


def secret(name: str, data: dict[str, str], kind: str = "Opaque") -> dict[str, Any]:
    """Return a Secret."""
    metadata = {"name": name}
    return {
        "apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "stringData": data
    }  # fmt: skip


def claim(name: str) -> dict[str, Any]:
    """Return a claim that driver, executors and metastore share."""
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": name}
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec
    }  # fmt: skip


class Release:
    """The chart, installed under a name in kubectl's namespace."""

    def __init__(self, kubectl: Kubectl, helm: str, name: str = "spark-thrift-server") -> None:
        self.kubectl = kubectl
        self.name = name
        self._helm = helm

    def prepare(self) -> None:
        """Make what the chart's user makes first: the secrets, and here a volume for tables."""
        objects = [secret(each, data) for each, data in SECRETS.items()]
        login = {"username": "puller", "password": "planted-Registry-Password"}
        docker = {".dockerconfigjson": json.dumps({"auths": {"registry.example": login}})}
        objects.append(secret("acr-secret", docker, "kubernetes.io/dockerconfigjson"))
        self.kubectl.apply(*objects, claim("warehouse"))

    def helm(
        self, *args: str, check: bool = True, timeout: float = 300.0
    ) -> subprocess.CompletedProcess[str]:
        """Run helm in the namespace."""
        command = [self._helm, f"--namespace={self.kubectl.namespace}", *args]
        return run(command, self.kubectl.environment, "", check, timeout)

    def upgrade(
        self, *files: pathlib.Path, values: Sequence[str] = (), chart: pathlib.Path = CHART
    ) -> str:
        """Install or upgrade: the user's own values, what the tests change, files, KEY=VALUE."""
        options = [f"--values={file}" for file in (NOTE, VALUES, *files)]
        values = (f"spark.executor.localDirs.storageClass={self._storage_class()}", *values)
        options += [f"--set={value}" for value in values]
        return self.helm("upgrade", "--install", self.name, str(chart), *options).stdout

    def _storage_class(self) -> str:
        """Return the cluster's default one, without which Spark makes no claims for executors."""
        mark = "storageclass.kubernetes.io/is-default-class"
        classes = [each["metadata"] for each in self.kubectl.get("storageclass")["items"]]
        return next(
            str(each["name"])
            for each in classes
            if each.get("annotations", {}).get(mark) == "true"
        )

    def uninstall(self) -> None:
        """Remove it, and wait until its pods are gone."""
        self.helm("uninstall", self.name, "--wait", "--timeout=150s")

    # --- its pods -----------------------------------------------------------------------------

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Return a component's pods that are not being deleted, the oldest first."""
        label = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        pods = self.select("pods", label)
        pods = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def select(self, kind: str, labels: str = "") -> list[dict[str, Any]]:
        """Return the objects of a kind of the core API that have the labels."""
        items: list[dict[str, Any]] = self.kubectl.api(
            f"{kind}?labelSelector={urllib.parse.quote(labels)}"
        )["items"]
        return items

    def pod(self, component: str) -> dict[str, Any]:
        """Return the component's youngest pod."""
        return self.pods(component)[-1]

    def ready(self, component: str) -> list[str]:
        """Return the names of the pods that are ready."""
        return [pod["metadata"]["name"] for pod in self.pods(component) if is_ready(pod)]

    def restarts(self, component: str) -> int:
        """How often containers of its pods were started again."""
        return sum(
            status["restartCount"]
            for pod in self.pods(component)
            for status in pod["status"].get("containerStatuses", [])
        )

    def wait_ready(self, *components: str, seconds: float = 150.0, count: int = 1) -> float:
        """Wait until each has that many ready pods and no other; return how long it took."""
        begin = time.monotonic()

        def all_ready() -> bool:
            return all(
                len(self.ready(component)) == len(self.pods(component)) == count
                for component in components
            )

        self.kubectl.until(f"{', '.join(components)} ready", all_ready, seconds)
        return time.monotonic() - begin

    def scale(self, component: str, replicas: int) -> None:
        """Set the replicas of the metastore or PostgreSQL."""
        kind = "statefulset" if component == "postgresql" else "deployment"
        self.kubectl.run("scale", f"{kind}/{self.name}-{component}", f"--replicas={replicas}")

    def status(self, pod: str, port: int = 8085) -> dict[str, Any]:
        """What sparkpod's /status says, through the API server; OSError if nobody answers."""
        answer: dict[str, Any] = self.kubectl.api(f"pods/{pod}:{port}/proxy/status")
        return answer

    def phase(self, pod: str) -> str:
        """The phase sparkpod is in, or why it cannot be known."""
        try:
            return str(self.status(pod)["phase"])
        except OSError as error:
            return str(error)

    def logs(self, pod: str, *options: str) -> str:
        """What a pod has written."""
        return self.kubectl.run("logs", pod, "--all-containers", *options).stdout

    def left_of(self, driver: str) -> list[str]:
        """Return what there is of the driver with this uid: executors, ConfigMaps, claims."""
        left = [
            f"pod/{pod['metadata']['name']}"
            for pod in self.select("pods", f"sparkpod-driver-uid={driver}")
        ]
        for kind in ("pods", "configmaps", "persistentvolumeclaims"):
            for each in self.select(kind):
                owners = [owner["uid"] for owner in each["metadata"].get("ownerReferences", [])]
                if driver in owners and f"pod/{each['metadata']['name']}" not in left:
                    left.append(f"{kind[:-1]}/{each['metadata']['name']}")
        return left


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether the kubelet says that it is."""
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


class Client:
    """A pod in the namespace that asks the Thrift Server by its Service's name."""

    def __init__(self, kubectl: Kubectl, name: str = "client") -> None:
        self.kubectl = kubectl
        self.name = name
        security = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        container = {
            "name": "client",
            "image": SPARK,
            "imagePullPolicy": "Never",
            "args": ["run", "--", "sleep", "infinity"],  # what reaps
            "securityContext": security,
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            "env": [{"name": "HOME", "value": "/tmp"}],
        }
        spec = {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 185,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        }
        kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
        kubectl.run("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")

    def run(self, *args: str, check: bool = True, timeout: float = 120.0) -> str:
        """Run a command in the pod and return what it wrote."""
        ended = self.kubectl.run("exec", self.name, "--", *args, check=check, timeout=timeout)
        return ended.stdout + ("" if check else ended.stderr)

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start a command in the pod."""
        return self.kubectl.start("exec", self.name, "--", *args)

    def beeline(self, *statements: str, host: str = "spark-thrift", options: str = "") -> list[str]:
        """Return the arguments of a beeline that runs the statements, a session for all of them."""
        name = f"{host}.{self.kubectl.namespace}.svc.cluster.local"
        url = f"jdbc:hive2://{name}:10000/default{options}"
        command = ["/opt/spark/bin/beeline", "-u", url, "-n", "e2e", "--silent=true"]
        command += ["--showHeader=false", "--outputformat=tsv2"]
        for statement in statements:
            command += ["-e", statement]
        return command

    def query(self, *statements: str, timeout: float = 120.0) -> list[list[str]]:
        """Run statements, and return all their rows."""
        out = self.run(*self.beeline(*statements), timeout=timeout)
        return rows(out)

    def probe(self, *args: str) -> Optional[str]:
        """Ask with sparkpod's own probe; None if it says ready, else why not."""
        ended = self.kubectl.run(
            "exec", self.name, "--", "/usr/local/bin/sparkpod", "probe", *args, check=False
        )
        return None if ended.returncode == 0 else ended.stdout + ended.stderr


def rows(out: str) -> list[list[str]]:
    """What beeline wrote as rows. It writes a prompt for each statement, though nobody types."""
    lines = [re.sub(r"^(\d+: jdbc:[^>]*> )+", "", line) for line in out.splitlines()]
    return [line.split("\t") for line in lines if line and not line.startswith("SLF4J")]
