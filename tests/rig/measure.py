"""What processes take: CPU, memory, a JVM's heap; and how long something takes."""

from __future__ import annotations

import contextlib
import pathlib
import re
import statistics
import subprocess
import time
from typing import Callable

MB = 1e6


def cpu_ms(pid: int) -> float:
    """Return what all threads of a process have used of a processor; 0 once it is gone."""
    with contextlib.suppress(OSError):
        tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
        return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e6
    return 0


def memory_mb(pid: int, name: str) -> float:
    """Return a line of smaps_rollup, such as Rss or Private_Dirty."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(re.findall(rf"^{name}:\s+(\d+)", text, re.M)[0]) * 1024 / MB


def below(pid: int) -> set[int]:
    """Return all that a process started, and what these did."""
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        found = set(map(int, text.split()))
        return found.union(*map(below, found))
    return set()


class Peaks:
    """The most that processes were seen to have taken, of those that look() was told of."""

    def __init__(self) -> None:
        self.cpu_ms = self.mb = 0.0

    def look(self, pids: set[int]) -> None:
        """Look at them now."""
        for pid in pids:
            self.cpu_ms = max(self.cpu_ms, cpu_ms(pid))
            with contextlib.suppress(OSError):
                status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
                peak = re.search(r"VmHWM:\s+(\d+) kB", status)
                self.mb = max(self.mb, int(peak[1]) * 1024 / MB if peak else 0)


def heap_mb(java: int) -> float:
    """Return what is used of a JVM's heap after a full collection."""
    subprocess.run(["jcmd", str(java), "GC.run"], check=True, capture_output=True)
    argv = ["jcmd", str(java), "GC.heap_info"]
    found = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return int(re.findall(r"used (\d+)K", found)[0]) * 1024 / MB


def median_ms(action: Callable[[], object], runs: int) -> float:
    """Return the median of how long an action takes."""
    took = []
    for _ in range(runs):
        begun = time.perf_counter()
        action()
        took.append(time.perf_counter() - begun)
    return statistics.median(took) * 1000
