"""The figures of README.md: which of the results it has, and in whose words."""

from __future__ import annotations

import re
from typing import NamedTuple

import results
from results import Figures, number

README = results.ROOT / "README.md"
BLOCK = "<!-- {0}: by tests/bench/report -->\n{1}<!-- end of {0} -->"
CASES = {  # figures of init-cases
    "exit status": "exit status",
    "signals": "signals",
    "descriptors": "descriptors",
    "10,000 zombies": "zombies",
    "stop: leftovers, grandchildren, fork storms": "stop",
    "the same, not as PID 1": "stop, not as PID 1",
    "stop at any of 200 moments of a start": "stop at any moment",
    "the same at any moment, not as PID 1": "stop at any moment, not as PID 1",
    "under load": "under load",
    "idle without waking up": "idle",
}
INITS = ("sparkpod", "tini", "dumb-init", "catatonit")
Benches = dict[str, Figures]


class Line(NamedTuple):
    """A line of the table beside what a user would take instead, if there is anything."""

    text: str
    bench: str
    figure: str
    ours: str
    peer: str = ""


LINES = [
    Line("Thrift Server, from its exec to the first answered query",
         "cold_start", "Thrift Server, from exec to the first answered query",
         "sparkpod, archive", "stock script"),
    Line("metastore, from its exec to its first answer",
         "cold_start", "metastore, from exec to its first answer",
         "sparkpod, archive", "stock script"),
    Line("executor, from its container's start to being registered",
         "kubernetes", "executor, from container start to registered",
         "sparkpod, archive", "sparkpod, no archive"),
    Line("`helm install` of everything, to the first answered query",
         "kubernetes", "from helm install to the first answered query",
         "sparkpod, archive", "sparkpod, no archive"),
    Line("a dependency in the same pod answers after 5 s → the service starts",
         "wait", "a port is opened after 5 to 6 s", "sparkpod, same pod", "loop, one a second"),
    Line("the same over a network",
         "wait", "a port is opened after 5 to 6 s",
         "sparkpod, over the network", "loop, one a second"),
    Line("`probe ready`, as an exec probe",
         "probe", "readiness, as an exec probe", "sparkpod probe ready", "curl of /readyz"),
    Line("`probe --deep hive2://…`, SELECT 1",
         "probe", "SELECT 1 in a session of its own", "sparkpod probe --deep", "beeline"),
    Line("a hive-site.xml and a spark-defaults.conf",
         "render", "hive-site.xml and spark-defaults.conf, a process each",
         "sparkpod", "GNU envsubst"),
    Line("10 MB of text",
         "render", "10 MB, 1 % placeholders", "sparkpod, text", "GNU envsubst"),
    Line("10 MB of properties, escaped and read back",
         "render", "10 MB, 1 % placeholders", "sparkpod, properties", "GNU envsubst"),
    Line("10 MB of XML, escaped, judged by libxml2 and read back",
         "render", "10 MB, 1 % placeholders", "sparkpod, XML", "GNU envsubst"),
    *(Line(f"peak memory for 10 MB of {kind}, beyond that for none",
           "render", f"{kind}: memory beyond an empty template's", "10 MB")
      for kind in ("text", "properties", "XML")),
    Line("SIGTERM at the init → the command's handler",
         "init", "from SIGTERM at the init to the command's handler", "sparkpod", "tini"),
    Line("resident memory of PID 1",
         "init", "resident memory of PID 1, idle", "sparkpod", "tini"),
    Line("PSS with the health worker",
         "init", "PSS of all its processes, idle", "sparkpod", "tini"),
    Line("start and exit",
         "start_up", "start and exit", "sparkpod version", "empty static program"),
]  # fmt: skip


def cases(benches: Benches) -> list[str]:
    """Return the table of what an init has to do; KeyError if it was not run."""
    by_figure = {figure: (unit, each) for (figure, unit), each in benches["init-cases"].items()}
    lines = [f"| checks that held | {' | '.join(INITS)} |", "|---|" + "---|" * len(INITS)]
    for text, figure in CASES.items():
        unit, held = by_figure[figure]
        total = unit.split()[1]  # of 314 checks held
        cells = [f"{held[name][0]:.0f}/{total}" if name in held else "-" for name in INITS]
        lines.append(f"| {text} | {' | '.join(cells)} |")
    return lines


def beside(benches: Benches) -> list[str]:
    """Return the table beside what a user would take instead; KeyError if anything was not run."""
    lines = ["| median (min to max) | sparkpod | beside it | ratio |", "|---|---|---|---|"]
    for line in LINES:
        found = {figure: (unit, each) for (figure, unit), each in benches[line.bench].items()}
        unit, contestants = found[line.figure]
        ours = contestants[line.ours]
        cells = [line.text, f"{spread(ours)} {unit}", "–", "–"]
        if line.peer:
            peer = contestants[line.peer]
            cells[2] = f"{line.peer}: {spread(peer)} {unit}"
            cells[3] = results.times(results.ratios({line.peer: peer, line.ours: ours})[line.ours])
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def spread(values: list[float]) -> str:
    """Write median, minimum and maximum."""
    median, least, most = map(number, results.spread(values))
    return f"{median} ({least} to {most})"


def write(benches: Benches) -> None:
    """Fill in both tables; one of which something was not run stays as it is."""
    text = README.read_text()
    for name, table in {"cases": cases, "figures": beside}.items():
        try:
            lines = table(benches)
        except KeyError as missing:
            print(f"README.md: {name} are left as they are, as there is no {missing}")
            continue
        block = BLOCK.format(name, "\n".join(["", *lines, "", ""]))
        pattern = re.escape(BLOCK.format(name, "@")).replace("@", ".*?")
        text, count = re.subn(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
        assert count == 1, f"README.md has no place for {name}"
    README.write_text(text)
