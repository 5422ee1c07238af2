"""Fixtures: a Kubernetes (tests/e2e/cluster, or the one that KUBECONFIG names), and namespaces on it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import time
from typing import Any, Callable, Iterator

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BINARY = "localhost/sparkpod/binary:test"
DEBIAN = "localhost/stand-in/debian:test"


class Kubectl:
    """kubectl, in one namespace where that is given."""

    def __init__(self, environment: dict[str, str], namespace: str = "default") -> None:
        self.environment = environment
        self.namespace = namespace

    def run(
        self, *args: str, given: Any = None, check: bool = True, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end; given goes to its stdin, as JSON unless it is a string."""
        text = given if isinstance(given, str) or given is None else json.dumps(given)
        ended = subprocess.run(
            ["kubectl", f"--namespace={self.namespace}", *args],
            env=self.environment,
            input=text or "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and ended.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(args)}: {ended.stdout}{ended.stderr}")
        return ended

    def apply(self, *objects: Any) -> None:
        """Apply objects."""
        self.run("apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": objects})

    def get(self, *args: str) -> Any:
        """Return what `kubectl get` tells, parsed."""
        return json.loads(self.run("get", "-o", "json", *args).stdout)

    def until(self, what: str, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        """Wait until the condition holds, and return what it gave."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := condition():
                return value
            time.sleep(0.2)
        events = self.run("get", "events", "--sort-by=.lastTimestamp", check=False).stdout
        raise AssertionError(f"not after {seconds:.0f} s: {what}\n{events}")


@pytest.fixture(scope="session", name="kubectl")
def _kubectl() -> Kubectl:
    """kubectl on a cluster that runs and has the images."""
    environment = dict(os.environ)
    if not environment.get("KUBECONFIG"):
        cluster = str(HERE / "cluster")
        subprocess.run([cluster, "up"], check=True)
        subprocess.run([cluster, "load-image", BINARY, DEBIAN], check=True)
        shell = f'eval "$({cluster} env)" && env -0'
        lines = subprocess.run(["bash", "-c", shell], stdout=subprocess.PIPE, text=True, check=True)
        environment = dict(line.split("=", 1) for line in lines.stdout.split("\0") if line)
    return Kubectl(environment)


@pytest.fixture(name="restricted")
def _restricted(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """kubectl in a namespace of its own, whose pods have to pass Pod Security `restricted`."""
    name = f"e2e-{request.node.name.replace('_', '-')}"[:50].rstrip("-")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": name, "labels": labels}
    kubectl.run("delete", "namespace", name, "--ignore-not-found", timeout=180)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield Kubectl(kubectl.environment, name)
    kubectl.run("delete", "namespace", name, "--wait=false")
