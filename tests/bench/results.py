"""What a bench finds out: rows of build/bench/results.csv, and the same as a table on stdout.

A row is one run: bench, contestant, figure, unit, run, value. The first contestant of a figure is
the one that the others are compared with. Rows of run 0 are facts: what was run where, and when. A
bench replaces the rows of its run before, so that the file has the last run of each.
"""

from __future__ import annotations

import argparse
import collections
import csv
import datetime
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "rig"))

import rig as rig  # noqa: E402  pylint: disable=wrong-import-position,useless-import-alias

CSV = ROOT / "build" / "bench" / "results.csv"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sparkpod"

# Of each contestant, by figure and unit.
Figures = dict[tuple[str, str], dict[str, list[float]]]


class Row(NamedTuple):
    """One value, with the columns of the file."""

    bench: str
    contestant: str
    figure: str
    unit: str
    run: int
    value: str


def read() -> list[Row]:
    """Return all rows of the file; none where there is no file."""
    if not CSV.exists():
        return []
    with CSV.open(newline="") as file:
        _, *lines = csv.reader(file)
    return [
        Row(bench, contestant, figure, unit, int(run), value)
        for bench, contestant, figure, unit, run, value in lines
    ]


def figures(rows: Iterable[Row]) -> Figures:
    """Return the values of one bench's rows, in their order."""
    found: Figures = {}
    for row in rows:
        if row.run:
            contestants = found.setdefault((row.figure, row.unit), {})
            contestants.setdefault(row.contestant, []).append(float(row.value))
    return found


def number(value: float) -> str:
    """Write a value with about three digits."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3}f}"


def times(ratio: float) -> str:
    """Write a ratio."""
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.1g}"


def ratios(contestants: dict[str, list[float]]) -> dict[str, float]:
    """Return each contestant's median, divided by that of the first."""
    medians = {name: statistics.median(values) for name, values in contestants.items()}
    base = next(iter(medians.values()))
    return {name: median / base if base else float("nan") for name, median in medians.items()}


def arguments(text: str, runs: int) -> argparse.ArgumentParser:
    """Return what reads a bench's command line: the binary, and how many runs."""
    parser = argparse.ArgumentParser(description=text.partition("\n\n")[0])
    binary = ROOT / "build" / "release" / "sparkpod"
    parser.add_argument("binary", nargs="?", type=pathlib.Path, default=binary)
    parser.add_argument("--runs", type=int, default=runs, help=f"default: {runs}")
    return parser


def output(*argv: str | os.PathLike[str]) -> str:
    """Return what a command says, on stdout or stderr."""
    run = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    return run.stdout.strip()


def version(*argv: str | os.PathLike[str]) -> str:
    """Return the first number in what a command says of its version."""
    said = output(*argv)
    match = re.search(r"\d[\d.]*\d|\d", said)
    return match[0] if match else said


def java() -> str:
    """Return the version of the JVM that is used."""
    home = os.environ.get("JAVA_HOME")
    return version(f"{home}/bin/java" if home else "java", "-version")


def postgres() -> str:
    """Return PostgreSQL's version."""
    return version(rig._postgres_bin("postgres"), "--version")


def packaged(name: str) -> str:
    """Return the version of a Debian package that is installed."""
    return output("dpkg-query", "-W", "-f", "${Version}", name)


def machine() -> str:
    """Return what the machine is: processor, cores, memory, kernel."""
    cpu = re.search(r"^model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    cores = len(os.sched_getaffinity(0))
    name = cpu[1] if cpu else platform.machine()
    return f"{name}, {cores} cores, {memory:.0f} GiB, Linux {platform.release()}"


class Results:
    """The rows of one bench. As a context they are written and printed in the end."""

    def __init__(self, bench: str, binary: pathlib.Path, **versions: str) -> None:
        self.bench = bench
        self.rows: list[Row] = []
        self._runs = collections.Counter[tuple[str, str]]()
        program = pathlib.Path(sys.argv[0]).resolve().relative_to(ROOT)
        self._fact("command", " ".join([str(program), *sys.argv[1:]]))
        self._fact("date", f"{datetime.date.today()}")
        self._fact("machine", machine())
        said = {"": output(binary, "version").splitlines()[0], **versions}
        self._fact("versions", ", ".join(f"{name} {what}".strip() for name, what in said.items()))

    def _fact(self, name: str, value: str) -> None:
        self.rows.append(Row(self.bench, "", name, "", 0, value))

    def add(self, figure: str, unit: str, contestant: str, *values: float) -> None:
        """Add a run, or several."""
        for value in values:
            self._runs[contestant, figure] += 1
            run = self._runs[contestant, figure]
            text = f"{value:.6g}" if value != int(value) else f"{value:.0f}"
            self.rows.append(Row(self.bench, contestant, figure, unit, run, text))

    def __enter__(self) -> Results:
        print(f"== {self.bench}", flush=True)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind:
            return
        rows = [row for row in read() if row.bench != self.bench] + self.rows
        CSV.parent.mkdir(parents=True, exist_ok=True)
        new = CSV.with_suffix(".new")
        with new.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([Row._fields, *rows])
        new.replace(CSV)
        show(figures(self.rows))


def show(found: Figures) -> None:
    """Print a table for each figure."""
    for (figure, unit), contestants in found.items():
        print(f"{figure}, {unit}")
        width = max(32, *map(len, contestants))
        for (name, ratio), values in zip(ratios(contestants).items(), contestants.values()):
            median, least, most = map(number, spread(values))
            line = f"  {name:{width}}{median:>10}"
            if len(values) > 1:
                line += f" ({least} to {most}, {len(values)} runs)  ratio {times(ratio)}"
            print(line)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return median, minimum and maximum."""
    return statistics.median(values), min(values), max(values)
