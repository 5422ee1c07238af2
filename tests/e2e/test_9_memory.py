"""Memory runs out: in executors again and again, in the driver's heap, in the driver's container."""

from __future__ import annotations

import re
import time
from typing import Any

from faults import DYNAMIC, Alone, column
from journal import Journal

KILLS = 20
# More than the pod has beside the heap, in memory that the heap's limit does not hold.
GREEDY = "SELECT reflect('java.nio.ByteBuffer', 'allocateDirect', 500000000) FROM range(0, 8, 1, 4)"


def ask(alone: Alone, statement: str) -> str:
    """Run a statement there, and return what its client sees, errors too."""
    return alone.client.run(*alone.client.beeline(statement), check=False, timeout=300)


def test_executors_that_the_kernel_kills(alone: Alone, journal: Journal) -> None:
    """Twenty executors in a row are killed for their memory: their statements fail, the server lives,
    and the next statement is answered."""
    name = alone.serve(*DYNAMIC)
    begin = time.monotonic()

    def killed() -> int:
        return sum(
            each.component == "executor" and each.reason == "OOMKilled"
            for each in journal.ended.values()
            if each.namespace == alone.kubectl.namespace
        )

    before, failed = killed(), 0
    while killed() - before < KILLS:
        assert time.monotonic() < begin + 400, f"{killed() - before} were killed"
        said = ask(alone, GREEDY)
        assert "ExecutorLostFailure" in said and "137" in said, said[-2000:]
        failed += 1
    print(
        f"{killed() - before} executors OOMKilled in {time.monotonic() - begin:.0f} s, "
        f"{failed} statements failed"
    )
    assert column(alone.client, "SELECT count(*) FROM range(10)") == ["10"]
    assert alone.ready("thrift-server") == [name]
    assert alone.restarts("thrift-server") == 0


def wait_restarted(alone: Alone, name: str, count: int) -> dict[str, Any]:
    """Wait until the container has been started so often and is ready; return how it ended last."""

    def ended() -> Any:
        pod = alone.kubectl.get("pod", name)
        status = pod["status"]["containerStatuses"][0]
        return status["restartCount"] == count and status["ready"] and status["lastState"]

    last: dict[str, Any] = alone.kubectl.until(f"{name} is ready again", ended, 180)["terminated"]
    return last


def described(alone: Alone, name: str) -> str:
    """What `kubectl describe` tells of the container's last end."""
    said = alone.kubectl.run("describe", "pod", name).stdout
    found = re.search(r"^ +Last State: .*?(?=^ +Ready: )", said, re.MULTILINE | re.DOTALL)
    assert found, said
    return found.group()


def test_a_statement_that_exhausts_the_drivers_heap(alone: Alone) -> None:
    """The JVM ends at once, the container is started again, and `kubectl describe` tells why."""
    name = alone.serve(*DYNAMIC)
    count = alone.restarts("thrift-server")
    ask(alone, "SELECT length(repeat('x', 1500000000))")
    last = wait_restarted(alone, name, count + 1)
    said = described(alone, name)
    telling = re.compile(r"State|Reason|OutOfMemory|pid1:|Exit Code")
    print("\n".join(line for line in said.splitlines() if telling.search(line)))
    assert last["exitCode"] == 3, last
    assert re.search(r"pid1: thrift-server ended .*OutOfMemoryError", said), said
    assert column(alone.client, "SELECT 41 + 1") == ["42"]


def test_the_drivers_container_runs_out_of_memory(alone: Alone) -> None:
    """Beside the JVM others take what the container has: the kernel kills, the container is started
    again, and `kubectl describe` says OOMKilled."""
    name = alone.serve(*DYNAMIC)
    count = alone.restarts("thrift-server")
    eat = "for i in $(seq 16); do (head -c 100000000 /dev/zero | tail -c 100000000 | sleep 5) & done; wait"
    alone.kubectl.run("exec", name, "--", "bash", "-c", eat, check=False)
    last = wait_restarted(alone, name, count + 1)
    print("\n".join(described(alone, name).splitlines()[:2]))
    assert last["reason"] == "OOMKilled", last
    assert column(alone.client, "SELECT 41 + 1") == ["42"]
