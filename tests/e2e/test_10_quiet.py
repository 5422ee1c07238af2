"""Nothing but the kubelet's probes for five minutes."""

from __future__ import annotations

import datetime
import re
import time

from faults import condition, identity
from release import Release

COMPONENTS = ("postgresql", "hive-metastore", "thrift-server", "executor")
SERVED = ("hive-metastore", "thrift-server")
SECONDS = 300
BAD = re.compile(r"\b(ERROR|FATAL|PANIC|SEVERE)\b|^\s+at [\w.$]+\(|Exception")


def test_five_minutes_of_probes(quiet: Release) -> None:
    """A release that nobody has used since it became ready: no service has written an ERROR, the
    kubelet has seen it ready all the time, and /status says the same."""
    quiet.wait_ready(*COMPONENTS, seconds=300)
    since = {
        each: datetime.datetime.fromisoformat(condition(quiet.pod(each))["lastTransitionTime"][:-1])
        for each in SERVED
    }
    last = max(since.values()).replace(tzinfo=datetime.timezone.utc)
    left = SECONDS - (datetime.datetime.now(datetime.timezone.utc) - last).total_seconds()
    assert left < SECONDS
    before = identity(quiet, *COMPONENTS)
    while left > 0:
        time.sleep(min(left, 5))
        left -= 5
        for each in SERVED:
            agree(quiet, each)
    for each in SERVED:
        agree(quiet, each)
        pod = quiet.pod(each)
        now = datetime.datetime.fromisoformat(condition(pod)["lastTransitionTime"][:-1])
        assert now == since[each], f"{each} was unready"
        checks = quiet.status(pod["metadata"]["name"])["checks"]
        print(f"{each}: {({name: (said['passed'], said['failed']) for name, said in checks.items()})}")
    assert identity(quiet, *COMPONENTS) == before
    assert all(restarts == 0 for _, restarts in before.values())
    for event in quiet.kubectl.get("events")["items"]:
        when = event["lastTimestamp"] or event["eventTime"]
        assert event["reason"] != "Unhealthy" or when <= last.strftime("%Y-%m-%dT%H:%M:%SZ"), event
    lines = 0
    for each in COMPONENTS:
        name = quiet.pod(each)["metadata"]["name"]
        # Before that Spark itself writes an ERROR: it waits a second for its own pod to be ready.
        said = quiet.logs(name, f"--since-time={last.strftime('%Y-%m-%dT%H:%M:%SZ')}").splitlines()
        bad = [line for line in said if BAD.search(line)]
        assert not bad, (each, bad[:5])
        lines += len(said)
        print(f"{each}: {len(said)} lines, none of them bad")
    assert lines > 100


def agree(release: Release, component: str) -> None:
    """The kubelet's condition and sparkpod's own."""
    pod = release.pod(component)
    status = release.status(pod["metadata"]["name"])
    assert status["probes"]["ready"]["ok"], status
    assert condition(pod)["status"] == "True", condition(pod)
