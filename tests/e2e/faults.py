"""What goes wrong around a release, brought about: databases, frozen pods, planted secrets looked for."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import signal
import urllib.parse
import xml.sax.saxutils
from typing import Any, Iterator, Optional

from kubectl import Kubectl
from release import Client, Release

DYNAMIC = (
    "spark.dynamicAllocation.enabled=true",
    "spark.dynamicAllocation.initialExecutors=0",
    "spark.dynamicAllocation.maxExecutors=2",
    "spark.dynamicAllocation.executorIdleTimeout=5s",
    "spark.dynamicAllocation.shuffleTrackingTimeout=10s",
)

ADMIN = 'PGPASSWORD=$(cat /run/secrets/postgresql/admin-password) exec psql -h 127.0.0.1 -U postgres "$@"'


class Alone(Release):
    """A Thrift Server on the metastore of another release, which goes on undisturbed."""

    def __init__(self, kubectl: Kubectl, helm: str, other: Release) -> None:
        super().__init__(kubectl, helm, "alone")
        self.prepare()
        self.client = Client(kubectl)
        host = f"{other.name}-hive-metastore.{other.kubectl.namespace}"
        self._values = (
            f"externalMetastore.uris=thrift://{host}:9083",
            "spark.executor.memoryOverhead=32m",
        )

    def serve(self, *values: str) -> str:
        """Install or upgrade it, and return the name of its pod once that is ready."""
        self.upgrade(values=[*self._values, *values])
        self.wait_ready("thrift-server")
        return str(self.pod("thrift-server")["metadata"]["name"])


def psql(release: Release, *statements: str, database: str = "postgres") -> str:
    """Run statements as the superuser, and return their rows."""
    args = ["exec", "-i", f"{release.name}-postgresql-0", "--", "bash", "-c", ADMIN, "psql"]
    args += ["-qAt", "-v", "ON_ERROR_STOP=1", "-d", database]
    return release.kubectl.run(*args, given=";\n".join(statements) + ";").stdout.strip()


def column(client: Client, statement: str) -> list[str]:
    """The one column of what a statement gives."""
    return [row[0] for row in client.query(statement)]


def databases(client: Client) -> list[str]:
    """What a new session is told by the metastore, and so by its database."""
    return column(client, "SHOW DATABASES")


def kill_pod(kubectl: Kubectl, name: str) -> None:
    """End a pod as a node's failure does: nothing of it is asked."""
    kubectl.run("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")


def processes(pod: dict[str, Any]) -> list[int]:
    """The host's numbers of a pod's processes."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"/pod{pod['metadata']['uid']}/" in (folder / "cgroup").read_text(encoding="ascii"):
                found.append(int(folder.name))
    return found


@contextlib.contextmanager
def frozen(pod: dict[str, Any]) -> Iterator[list[int]]:
    """All of a pod's processes stand still: it is not dead, and answers nobody."""
    stopped = processes(pod)
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        yield stopped
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def identity(release: Release, *components: str) -> dict[str, tuple[str, int]]:
    """Each pod's uid and how often its containers were started again: equal means untouched."""
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            sum(each["restartCount"] for each in pod["status"].get("containerStatuses", [])),
        )
        for component in components
        for pod in release.pods(component)
    }


def condition(pod: dict[str, Any]) -> dict[str, Any]:
    """A pod's condition Ready."""
    found: dict[str, Any] = next(
        each for each in pod["status"]["conditions"] if each["type"] == "Ready"
    )
    return found


def forms(secret: str) -> set[str]:
    """How a text would stand in YAML, JSON, XML, a URL, properties, or base64."""
    texts = {secret, secret.replace("\\", "\\\\")}
    texts.add(xml.sax.saxutils.escape(secret))
    texts.add(xml.sax.saxutils.escape(secret, {'"': "&quot;", "'": "&apos;"}))
    texts.add(xml.sax.saxutils.escape(secret, {'"': "&#34;", "'": "&#39;"}))
    texts.add(urllib.parse.quote(secret, safe=""))
    texts.add(json.dumps(secret)[1:-1])
    texts.add(secret.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
    # Within a longer text base64 depends on what stands before it: what all three have whole.
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret.encode()).decode().rstrip("=")
        texts.add(encoded[4 if before else 0 : -1])
    return texts


def find_secret(text: str, secrets: dict[str, str]) -> Optional[str]:
    """The name of the first secret that is in a text, in whatever form."""
    for name, value in secrets.items():
        if any(form in text for form in forms(value)):
            return name
    return None
