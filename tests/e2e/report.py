"""What a run writes: report.txt, and report.html with a timeline of every pod's phases."""

from __future__ import annotations

import datetime
import html
import pathlib
import textwrap
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Optional

from kubectl import Proxy

HERE = pathlib.Path(__file__).resolve().parent
COMPONENTS = ("thrift-server", "hive-metastore", "postgresql", "executor")
SERVED = COMPONENTS[:2]  # they have a /status
HEALTH = 8085
PHASES = ("rendering", "waiting", "preparing", "starting", "serving", "draining", "stopping")


@dataclass
class Span:
    """From when until when something was so."""

    value: str
    begin: float
    end: float


def extend(spans: list[Span], value: str, now: float) -> None:
    """Add what is so now."""
    if spans and spans[-1].value == value:
        spans[-1].end = now
        return
    if spans:
        spans[-1].end = now
    spans.append(Span(value, now, now))


@dataclass
class Pod:
    """What was seen of a pod."""

    name: str
    component: str
    phases: list[Span] = field(default_factory=list)
    ready: list[Span] = field(default_factory=list)
    restarts: list[tuple[float, int]] = field(default_factory=list)


class Recorder(threading.Thread):
    """Looks once a second at the pods of all namespaces that begin with the prefix."""

    def __init__(self, proxy: Proxy, prefix: str) -> None:
        super().__init__(daemon=True)
        self.pods: dict[str, Pod] = {}
        self._proxy = proxy
        self._prefix = prefix
        self._over = threading.Event()

    def run(self) -> None:
        selector = "app.kubernetes.io/component%20in%20(" + ",".join(COMPONENTS) + ")"
        while not self._over.wait(1.0):
            try:
                pods = self._proxy.get(f"/api/v1/pods?labelSelector={selector}")["items"]
            except OSError:
                continue
            for pod in pods:
                if pod["metadata"]["namespace"].startswith(self._prefix):
                    self._see(pod)

    def _see(self, pod: Any) -> None:
        metadata, status = pod["metadata"], pod["status"]
        component = metadata["labels"]["app.kubernetes.io/component"]
        seen = self.pods.setdefault(metadata["uid"], Pod(metadata["name"], component))
        conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
        phase = self._phase(pod, component)
        now = time.time()
        extend(seen.phases, phase, now)
        extend(seen.ready, conditions.get("Ready", "False"), now)
        count = sum(each["restartCount"] for each in status.get("containerStatuses", []))
        if count and (not seen.restarts or seen.restarts[-1][1] != count):
            seen.restarts.append((now, count))

    def _phase(self, pod: Any, component: str) -> str:
        metadata, status = pod["metadata"], pod["status"]
        states = [each.get("state", {}) for each in status.get("containerStatuses", [])]
        if not any("running" in state for state in states):
            return "ended" if any("terminated" in state for state in states) else "pending"
        if component not in SERVED:
            return "deleted" if "deletionTimestamp" in metadata else "running"
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}:{HEALTH}"
        try:
            return str(self._proxy.get(f"{path}/proxy/status", timeout=3.0)["phase"])
        except (OSError, ValueError):
            return "silent"

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self.join()


@dataclass
class Test:
    """One test of a scenario."""

    name: str
    proves: str
    outcome: str = "passed"
    begin: float = 0.0
    end: float = 0.0
    evidence: str = ""


@dataclass
class Scenario:
    """A module: what it is about, and its tests."""

    number: int
    title: str
    tests: list[Test] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(test.end - test.begin for test in self.tests)

    @property
    def outcome(self) -> str:
        outcomes = {test.outcome for test in self.tests}
        return next((each for each in ("failed", "passed") if each in outcomes), "skipped")


class Report:
    """Gathers what the tests print, and what the pods did meanwhile."""

    def __init__(self, prefix: str, folder: pathlib.Path) -> None:
        self._prefix = prefix
        self._folder = folder
        self._scenarios: dict[int, Scenario] = {}
        self._tests: dict[str, Test] = {}
        self._recorder: Optional[Recorder] = None

    def watch(self, proxy: Proxy) -> None:
        """Begin to look at the pods."""
        self._recorder = Recorder(proxy, self._prefix)
        self._recorder.start()

    def stop(self) -> None:
        """Look no longer."""
        if self._recorder:
            self._recorder.stop()

    def add(self, number: int, item: Any, call: Any, result: Any) -> None:
        """Take in a setup, a call or a teardown."""
        title = " ".join((item.module.__doc__ or item.module.__name__).split())
        scenario = self._scenarios.setdefault(number, Scenario(number, title))
        test = self._tests.get(item.nodeid)
        if not test:
            name = item.name.removeprefix("test_").replace("_", " ")
            proves = " ".join((item.obj.__doc__ or "").split())
            test = self._tests[item.nodeid] = Test(name, proves, begin=call.start)
            scenario.tests.append(test)
        test.end = call.stop
        if result.failed or (result.skipped and test.outcome == "passed"):
            test.outcome = result.outcome
        test.evidence += "".join(
            text for name, text in result.sections if name == f"Captured stdout {call.when}"
        )
        if call.when == "call" or not result.passed:
            test.evidence += reason(result)

    def write(self) -> None:
        """Write both files."""
        if not self._tests:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        scenarios = sorted(self._scenarios.values(), key=lambda each: each.number)
        pods = list(self._recorder.pods.values()) if self._recorder else []
        (self._folder / "report.txt").write_text(as_text(scenarios))
        (self._folder / "report.html").write_text(as_html(scenarios, pods))


def reason(result: Any) -> str:
    """Why it failed or was left out, in short; the whole of it is in pytest's own output."""
    if result.skipped:
        return str(result.longrepr[2]) + "\n"
    if result.failed and hasattr(result.longrepr, "reprcrash"):
        return str(result.longrepr.reprcrash.message)[:2000] + "\n"
    return ""


def count(scenarios: list[Scenario]) -> str:
    """Return N passed, N failed."""
    outcomes = [test.outcome for scenario in scenarios for test in scenario.tests]
    said = [f"{outcomes.count(each)} {each}" for each in ("passed", "failed", "skipped")]
    return ", ".join(said[: 3 if "skipped" in outcomes else 2])


# --- text -----------------------------------------------------------------------------------------


def as_text(scenarios: list[Scenario]) -> str:
    """Return the summary."""
    lines = []
    for scenario in scenarios:
        lines.append(f"{scenario.number:2}  {scenario.title}  {scenario.seconds:.1f} s")
        for test in scenario.tests:
            seconds = test.end - test.begin
            lines.append(f"    {test.outcome:7} {seconds:6.1f} s  {test.name}")
            evidence = textwrap.indent(test.evidence.rstrip(), " " * 23)
            lines += [evidence] if evidence else []
        lines.append("")
    return "\n".join([*lines, count(scenarios), ""])


# --- HTML -----------------------------------------------------------------------------------------

WIDTH = 860  # of a timeline, in its own units
LABEL = 200
ROW = 22


def as_html(scenarios: list[Scenario], pods: list[Pod]) -> str:
    """Return the page: self-contained, without scripts."""
    style = (HERE / "report.css").read_text()
    begin = min(test.begin for each in scenarios for test in each.tests)
    end = max(test.end for each in scenarios for test in each.tests)
    day = datetime.datetime.fromtimestamp(begin).astimezone().strftime("%Y-%m-%d %H:%M %Z")
    legend = "".join(
        f'<span class="key"><i class="{phase}"></i>{phase}</span>'
        for phase in ("pending", *PHASES, "running", "silent", "deleted", "ended")
    )
    overview = "".join(
        f'<tr><td>{each.number}<td><a href="#s{each.number}">{html.escape(each.title)}</a>'
        f'<td class="number">{len(each.tests)}<td class="number">{each.seconds:.1f} s'
        f'<td><b class="{each.outcome}">{each.outcome}</b>'
        for each in scenarios
    )
    parts = "".join(section(each, pods) for each in scenarios)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>End-to-end scenarios: {count(scenarios)}</title><style>{style}</style>
<h1>End-to-end scenarios</h1>
<p>{day}, {end - begin:.0f} s: <strong>{count(scenarios)}</strong></p>
<table><thead><tr><th><th>scenario<th class="number">tests<th class="number">time<th>result</thead>
<tbody>{overview}</tbody></table>
<p class="legend">Bars are sparkpod's phases as <code>/status</code> tells them, once a second; of
other pods, what the kubelet says. The line below a bar:
<span class="key"><i class="line"></i>Ready</span> by the kubelet.
A mark <span class="restart">↻</span>: a container was started again.<br>{legend}</p>
{parts}</html>
"""


def section(scenario: Scenario, pods: list[Pod]) -> str:
    """Return a scenario: its timeline, then its tests with what they printed."""
    tests = "".join(
        f'<details{" open" if test.outcome == "failed" else ""}><summary>'
        f'<b class="{test.outcome}">{test.outcome}</b> {html.escape(test.name)}'
        f'<span class="number">{test.end - test.begin:.1f} s</span></summary>'
        + (f"<p>{html.escape(test.proves)}" if test.proves else "")
        + (f"<pre>{html.escape(test.evidence.strip())}</pre>" if test.evidence.strip() else "")
        + "</details>"
        for test in scenario.tests
    )
    number = f"{scenario.number}. " if scenario.number else ""
    return (
        f'<section id="s{scenario.number}"><h2>{number}{html.escape(scenario.title)}</h2>'
        f"{timeline(scenario, pods)}{tests}</section>"
    )


def timeline(scenario: Scenario, pods: list[Pod]) -> str:
    """Return the SVG of what the pods did while a scenario ran."""
    begin, end = scenario.tests[0].begin, scenario.tests[-1].end
    seen = [pod for pod in pods if pod.phases[-1].end > begin and pod.phases[0].begin < end]
    if not seen or end - begin < 2:
        return ""
    seen.sort(key=lambda pod: (COMPONENTS.index(pod.component), pod.phases[0].begin))

    def x(moment: float) -> float:
        return LABEL + WIDTH * (min(max(moment, begin), end) - begin) / (end - begin)

    def bar(kind: str, span: Span, top: float, height: float, title: str) -> str:
        width = x(span.end) - x(span.begin)
        title = f"{title}, {span.end - span.begin:.0f} s, from {span.begin - begin:.0f} s on"
        return (
            f'<rect class="{kind}" x="{x(span.begin):.1f}" y="{top}" width="{max(width, 1):.1f}" '
            f'height="{height}"><title>{html.escape(title)}</title></rect>'
        )

    def inside(spans: list[Span]) -> list[Span]:
        return [span for span in spans if span.end >= begin and span.begin <= end]

    out, top = [axis(end - begin, ROW * (len(seen) + 1) + 16)], ROW + 14
    for test in scenario.tests:
        out.append(bar(test.outcome, Span("", test.begin, test.end), 14, 8, test.name))
    for pod in seen:
        out.append(f'<text class="pod" x="{LABEL - 8}" y="{top + 10}">{label(pod)}</text>')
        for span in inside(pod.phases):
            out.append(bar(span.value, span, top, 11, f"{pod.name}: {span.value}"))
        for span in inside(pod.ready):
            if span.value == "True":
                out.append(bar("line", span, top + 12, 3, f"{pod.name}: Ready"))
        for moment, number in pod.restarts:
            if begin <= moment <= end:
                out.append(
                    f'<text class="restart" x="{x(moment):.1f}" y="{top + 10}">↻'
                    f"<title>restart {number}</title></text>"
                )
        top += ROW
    box = f"0 0 {LABEL + WIDTH + 20} {top + 4}"
    return f'<svg viewBox="{box}" role="img" aria-label="phases of the pods">{"".join(out)}</svg>'


def axis(seconds: float, bottom: float) -> str:
    """Return the lines of the time, at most a dozen."""
    steps = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1e9)
    step = next(each for each in steps if seconds / each <= 12)
    out, at = [], 0.0
    while at <= seconds:
        x = LABEL + WIDTH * at / seconds
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="12" y2="{bottom}"/>')
        out.append(f'<text x="{x:.1f}" y="9">{at:.0f} s</text>')
        at += step
    return f'<g class="axis">{"".join(out)}</g>'


def label(pod: Pod) -> str:
    """Return a short name: what it is, and what tells it from others of its kind."""
    parts = pod.name.split("-")
    return f"{pod.component} {'-'.join(parts[-3:] if pod.component == 'executor' else parts[-1:])}"
