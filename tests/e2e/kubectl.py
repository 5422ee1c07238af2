"""kubectl, and the API itself where it is asked again and again."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from typing import Any, Callable


class Proxy:
    """`kubectl proxy`: the API as plain HTTP, without a process for each question."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["kubectl", "proxy", "--port=0"], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        said = self._process.stdout.readline()  # Starting to serve on 127.0.0.1:PORT
        self._url = f"http://{said.split()[-1]}"

    def get(self, path: str, timeout: float = 10.0) -> Any:
        """Return what GET of a path answers, parsed; OSError if that is no 200."""
        with urllib.request.urlopen(self._url + path, timeout=timeout) as answer:
            return json.load(answer)

    def open(self, path: str) -> Any:
        """Return the answer of GET itself, to read what comes as it comes."""
        return urllib.request.urlopen(self._url + path)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


def run(
    command: list[str], environment: dict[str, str], given: str, check: bool, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; AssertionError with all it said when it fails and check is set."""
    ended = subprocess.run(
        command,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check and ended.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {ended.stdout}{ended.stderr}")
    return ended


class Kubectl:
    """kubectl, in one namespace where that is given."""

    def __init__(
        self, environment: dict[str, str], proxy: Proxy, namespace: str = "default"
    ) -> None:
        self.environment = environment
        self.proxy = proxy
        self.namespace = namespace

    def of(self, namespace: str) -> Kubectl:
        """Return the same in another namespace."""
        return Kubectl(self.environment, self.proxy, namespace)

    def run(
        self, *args: str, given: Any = None, check: bool = True, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end; given goes to its stdin, as JSON unless it is a string."""
        text = given if isinstance(given, str) or given is None else json.dumps(given)
        command = ["kubectl", f"--namespace={self.namespace}", *args]
        return run(command, self.environment, text or "", check, timeout)

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start it; stdout and stderr are one pipe."""
        return subprocess.Popen(
            ["kubectl", f"--namespace={self.namespace}", *args],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def apply(self, *objects: Any) -> None:
        """Apply objects."""
        self.run("apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": objects})

    def get(self, *args: str) -> Any:
        """Return what `kubectl get` tells, parsed."""
        return json.loads(self.run("get", "-o", "json", *args).stdout)

    def api(self, path: str, timeout: float = 10.0) -> Any:
        """Return what the API says below this namespace: api("pods?labelSelector=…")."""
        return self.proxy.get(f"/api/v1/namespaces/{self.namespace}/{path}", timeout)

    def until(self, what: str, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        """Wait until the condition holds, and return what it gave."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := condition():
                return value
            time.sleep(0.2)
        raise AssertionError(f"not after {seconds:.0f} s: {what}\n{self.state()}")

    def state(self) -> str:
        """Return what there is to see: pods, the ends of their logs, the last events."""
        pods = self.run("get", "pods", "--output=wide", check=False).stdout
        out = [pods]
        for pod in self.run("get", "pods", "--output=name", check=False).stdout.split():
            out.append(f"--- {pod}")
            out.append(self.run("logs", pod, "--all-containers", "--tail=15", check=False).stdout)
        events = self.run("get", "events", "--sort-by=.lastTimestamp", check=False).stdout
        return "\n".join([*out, *events.splitlines()[-30:]])
