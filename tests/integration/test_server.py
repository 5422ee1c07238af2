"""The HTTP server of the built binary: what it answers, and what nobody can do to it."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pathlib
import re
import select
import socket
import subprocess
import sys
import threading
import time
from typing import Callable, Iterator

import jsonschema
import pytest
import rig
from prometheus_client.parser import text_string_to_metric_families

Start = Callable[..., rig.Sparkpod]

DOCS = rig.ROOT / "docs"
REQUEST = b"GET /livez HTTP/1.1\r\nHost: pod\r\n\r\n"


# --- a service to ask, and clients ---------------------------------------------------------------


class Service(http.server.ThreadingHTTPServer):
    """Answers 200, or what .status says, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # pylint: disable=invalid-name
                service.asked += 1
                self.send_response(service.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:  # pylint: disable=arguments-differ
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """What to probe."""
        return f"http://127.0.0.1:{self.server_port}/"


@pytest.fixture
def service() -> Iterator[Service]:
    """A running one."""
    with Service() as server:
        yield server
        server.shutdown()


@pytest.fixture
def pod(sparkpod: Start, service: Service) -> rig.Sparkpod:
    """A pod that serves, and asks the service every 500 ms."""
    started = sparkpod(
        *["run", "--probe", service.url, "--", "sleep", "600"],
        env={"SPARKPOD_HEALTH_INTERVAL": "500ms"},
    )
    started.wait_ready()
    return started


def dial(pod: rig.Sparkpod, host: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((host, pod.port), timeout=30)


def exchange(pod: rig.Sparkpod, data: bytes, host: str = "127.0.0.1") -> bytes:
    """Send bytes as they are, and return all that comes until the server closes."""
    with dial(pod, host) as sock:
        sock.sendall(data)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return answer


def worker(pod: rig.Sparkpod) -> int:
    """The health worker: the child that runs the same program."""
    program = os.readlink(f"/proc/{pod.pid}/exe")
    return next(
        pid
        for pid in rig.descendants(pod.pid)
        if os.readlink(f"/proc/{pid}/exe") == program
    )


def resident_kb(pid: int) -> int:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0])


# --- load ----------------------------------------------------------------------------------------


def test_2000_requests_a_second_cost_the_service_nothing(
    pod: rig.Sparkpod, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds, rate, interval = 30, 2000, 0.5
    client = rig.ROOT / "build" / "bench" / "constant_rate"
    client.parent.mkdir(parents=True, exist_ok=True)
    source = rig.ROOT / "tests" / "bench" / "constant_rate.c"
    subprocess.run(["gcc", "-O2", "-pthread", "-o", client, source], check=True)

    before, asked = resident_kb(worker(pod)), service.asked
    run = subprocess.run(
        [client, str(pod.port), "/readyz", str(rate), str(seconds)],
        capture_output=True,
        check=True,
    )
    result = json.loads(run.stdout)
    grown, asked = resident_kb(worker(pod)) - before, service.asked - asked
    with capsys.disabled():
        print(f"\n/readyz: {result}, p99 goal 2 ms; worker's RSS +{grown} kB; {asked} checks")
    assert result["sent"] == rate * seconds
    assert result["failed"] == 0
    assert grown < 1024
    # Alive and usable once an interval, and what was under way at both ends.
    assert 0 < asked <= 2 * seconds / interval + 4


@pytest.mark.parametrize("address", ["127.0.0.2", "127.0.0.1"])
def test_a_thousand_idle_and_slow_connections_keep_no_probe_waiting(
    pod: rig.Sparkpod, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = resident_kb(worker(pod))
    argv = [sys.executable, rig.RIG / "crowd.py", str(pod.port), address]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as crowd:
        try:
            assert crowd.stdout and crowd.stdout.readline() == b"open\n"
            took = []
            for _ in range(75):
                started = time.monotonic()
                status, body = pod.get("/readyz")
                took.append(time.monotonic() - started)
                assert (status, body) == (200, "ok\n")
                time.sleep(0.2)
            grown = resident_kb(worker(pod)) - before
            assert crowd.poll() is None
        finally:
            crowd.kill()
    with capsys.disabled():
        print(f"\n1,000 from {address}: slowest {max(took) * 1000:.0f} ms; RSS +{grown} kB")
    assert max(took) < 1
    assert pod.stderr.count("health") == pod.stderr.count(" ok: "), "the worker is the first one"


def test_a_connection_that_does_not_get_on_is_ended(pod: rig.Sparkpod) -> None:
    idle, slow, deaf = dial(pod), dial(pod), dial(pod)
    deaf.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(10000):  # as many as go: the answers are never read
            deaf.send(b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n" * 100)
    poll = select.poll()
    left = {sock.fileno(): sock for sock in (idle, slow, deaf)}
    poll.register(idle, select.POLLIN)
    poll.register(slow, select.POLLIN)
    poll.register(deaf, 0)
    deadline = time.monotonic() + 40
    while left and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            slow.send(b"G")
        for descriptor, _ in poll.poll(1000):
            poll.unregister(descriptor)
            left.pop(descriptor).close()
    assert not left
    assert pod.get("/readyz")[0] == 200


# --- what it answers -----------------------------------------------------------------------------


def test_requests_in_one_piece_are_answered_in_their_order(pod: rig.Sparkpod) -> None:
    paths = ["/livez", "/nothing", "/readyz", "/status"] * 25
    last = b"GET /startupz HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n"
    requests = "".join(f"GET {path} HTTP/1.1\r\nHost: pod\r\n\r\n" for path in paths)
    answer = exchange(pod, requests.encode() + last).decode()
    statuses = re.findall(r"HTTP/1\.1 (\d+) ", answer)
    assert statuses == ["200", "404", "200", "200"] * 25 + ["200"]


def test_methods_and_paths_beyond_what_there_is_are_refused(pod: rig.Sparkpod) -> None:
    for method, path, status in [
        ("HEAD", "/", 200),
        ("HEAD", "/metrics", 200),
        ("POST", "/livez", 405),
        ("BREW", "/livez", 405),
        ("GET", "/livez/", 404),
        ("GET", "/../etc/passwd", 404),
        ("GET", "/" + "x" * 8000, 404),
    ]:
        got, body = pod.get(path, method=method)
        assert got == status, (method, path)
        assert (body == "") == (method == "HEAD")


def test_a_header_of_a_megabyte_is_refused_and_costs_nobody_else(pod: rig.Sparkpod) -> None:
    with dial(pod) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(b"GET /livez HTTP/1.1\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n")
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := sock.recv(65536):
                answer += piece
    assert not answer or re.match(rb"HTTP/1\.1 4\d\d ", answer)
    assert pod.get("/livez")[0] == 200


def test_ipv6_is_served_by_the_same_port(pod: rig.Sparkpod) -> None:
    close = REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert exchange(pod, close, "::1").startswith(b"HTTP/1.1 200 ")


def test_a_port_that_is_taken_ends_the_start_and_names_the_setting(pod: rig.Sparkpod) -> None:
    run = rig.run_sparkpod("run", "--", "true", env={"SPARKPOD_HEALTH_PORT": str(pod.port)})
    assert run.returncode == 78
    assert f"port {pod.port} " in run.stderr and "health.port" in run.stderr
    assert re.search("Address (already )?in use", run.stderr)  # glibc and musl


# --- thresholds ----------------------------------------------------------------------------------


def test_a_check_counts_as_failed_after_as_many_failures_as_set(
    sparkpod: Start, service: Service
) -> None:
    pod = sparkpod(
        *["run", "--probe", service.url, "--", "sleep", "600"],
        env={
            "SPARKPOD_HEALTH_INTERVAL": "300ms",
            "SPARKPOD_HEALTH_FAILURE_THRESHOLD": "4",
            "SPARKPOD_HEALTH_SUCCESS_THRESHOLD": "3",
        },
    )

    def alive() -> dict[str, object]:
        checks = json.loads(pod.get("/status")[1])["checks"]
        return dict(checks["alive"])

    pod.wait_ready()
    assert int(str(alive()["passed"])) >= 3
    service.status = 500
    seen = []
    while not seen or seen[-1]["up"]:
        seen.append(alive())
        time.sleep(0.02)
    assert seen[-1]["in_a_row"] == 4
    assert {check["in_a_row"] for check in seen if check["state"] == "retry"} == {1, 2, 3, 4}
    assert pod.get("/livez") == (503, "alive: answered 500\n")
    service.status = 200
    pod.wait_until(lambda: alive()["state"] == "ready")
    assert pod.get("/readyz")[0] == 503
    pod.wait_ready()


# --- /status and /metrics ------------------------------------------------------------------------


def check_metrics(text: str) -> dict[str, str]:
    """Parse it as Prometheus does, check what the conventions want, and return names and types."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation.endswith("."), family
        assert family.type in ("gauge", "counter", "histogram"), family
        assert family.name.startswith("sparkpod_")
        found[family.name] = family.type
        for sample in family.samples:
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
            assert sample.name.removeprefix(family.name) in suffixes.get(family.type, [""])
        if family.type == "histogram":
            for check in {sample.labels["check"] for sample in family.samples}:
                mine = [sample for sample in family.samples if sample.labels["check"] == check]
                buckets = [sample.value for sample in mine if sample.name.endswith("_bucket")]
                assert buckets == sorted(buckets) and len(buckets) == 14
                count = [sample.value for sample in mine if sample.name.endswith("_count")]
                assert count == [buckets[-1]]
    return found


def check_status(text: str) -> None:
    schema = json.loads((DOCS / "status.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(text))


def test_status_and_metrics_keep_to_their_schemas_all_the_way(
    sparkpod: Start, service: Service
) -> None:
    door = rig.free_port()
    pod = sparkpod(
        *["run", "--wait", f"tcp://127.0.0.1:{door}", "--probe", service.url],
        *["--", "sleep", "600"],
        env={"SPARKPOD_HEALTH_INTERVAL": "200ms"},
    )

    def look() -> dict[str, str]:
        check_status(pod.get("/status")[1])
        return check_metrics(pod.get("/metrics")[1])

    pod.wait_until(lambda: "connection refused" in pod.get("/status")[1])
    names = look()
    assert "sparkpod_wait_seconds" in names
    assert "sparkpod_service_start_time_seconds" not in names
    with socket.create_server(("127.0.0.1", door)):
        pod.wait_ready()
    names.update(look())
    service.status = 500
    pod.wait_until(lambda: pod.get("/readyz")[0] == 503)
    names.update(look())
    documented = set(re.findall(r"^\| `(sparkpod_\w+)", (DOCS / "monitoring.md").read_text(), re.M))
    documented = {name.removesuffix("_total") for name in documented}
    sometimes = {
        "sparkpod_drain_running_statements",
        "sparkpod_memory_limit_bytes",
        "sparkpod_memory_usage_bytes",
        "sparkpod_phase_left_seconds",
        "sparkpod_oom_kills",
    }
    assert documented - sometimes == set(names) - sometimes
    assert sometimes <= documented


def test_a_new_worker_goes_on_counting(pod: rig.Sparkpod) -> None:
    def count(name: str) -> float:
        found = re.search(rf"^sparkpod_{re.escape(name)} (\S+)$", pod.get("/metrics")[1], re.M)
        return float(found.group(1)) if found else 0

    passed = 'checks_total{check="alive",result="passed"}'
    pod.wait_until(lambda: count(passed) >= 5)
    before = count(passed)
    os.kill(worker(pod), 9)
    pod.wait_until(lambda: count("health_worker_starts_total") == 2)
    assert count(passed) >= before
    assert count('check_duration_seconds_count{check="alive"}') >= before
