"""What happens in namespaces while the tests run: every line of every container, and how each of them
ended, kept beyond the life of its pod."""

from __future__ import annotations

import dataclasses
import http.client
import json
import pathlib
import threading
import time
from typing import Any, Iterator

from kubectl import Proxy


@dataclasses.dataclass
class Ended:
    """A container that has ended."""

    namespace: str
    pod: str
    component: str
    reason: str
    code: int


def containers(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The statuses of all of a pod's containers."""
    for kind in ("initContainerStatuses", "containerStatuses"):
        yield from pod["status"].get(kind, [])


class Journal:
    """Follows the pods of the namespaces that begin with a prefix."""

    def __init__(self, proxy: Proxy, prefix: str, folder: pathlib.Path) -> None:
        self.folder = folder
        self.ended: dict[str, Ended] = {}  # by the container's id
        self._proxy = proxy
        self._prefix = prefix
        self._followed: set[str] = set()
        self._over = False
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._over = True

    def logs(self, namespace: str = "") -> Iterator[tuple[str, str]]:
        """Names (NAMESPACE_POD_CONTAINER_START) and texts of all logs."""
        for path in sorted(self.folder.glob(f"{namespace or '*'}_*.log")):
            yield path.stem, path.read_text(encoding="utf-8", errors="replace")

    def _watch(self) -> None:
        while not self._over:
            try:
                with self._proxy.open("/api/v1/pods?watch=1") as answer:
                    for line in answer:
                        event = json.loads(line)
                        if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                            self._note(event["object"])
            except (OSError, ValueError, http.client.HTTPException):
                time.sleep(0.5)

    def _note(self, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        if not metadata["namespace"].startswith(self._prefix):
            return
        component = metadata.get("labels", {}).get("app.kubernetes.io/component", "")
        for status in containers(pod):
            for state in (status["state"], status.get("lastState", {})):
                if end := state.get("terminated"):
                    ended = Ended(metadata["namespace"], metadata["name"], component, end.get("reason", ""), end["exitCode"])
                    self.ended.setdefault(end.get("containerID", ""), ended)
            started = status.get("containerID")
            if started and started not in self._followed:
                self._followed.add(started)
                args = (metadata["namespace"], metadata["name"], status["name"], started[-12:])
                threading.Thread(target=self._follow, args=args, daemon=True).start()

    def _follow(self, namespace: str, pod: str, container: str, start: str) -> None:
        url = f"/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&follow=1"
        path = self.folder / f"{namespace}_{pod}_{container}_{start}.log"
        try:
            with path.open("wb") as file, self._proxy.open(url) as answer:
                while data := answer.read1(65536):
                    file.write(data)
                    file.flush()
        except (OSError, http.client.HTTPException):  # its end, or it is gone
            pass
