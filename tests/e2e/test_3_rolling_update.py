"""A rolling update while a query runs and a result is fetched slowly."""

from __future__ import annotations

import re
import time

from release import Client, Release, rows

ROWS, WIDTH = 20_000, 1_000  # 20 MB: more than the pipes between server and client hold

# A query that an executor works on until it is told, by a file on the volume that pods share, that
# it was long enough.
LONG_ENOUGH = "/warehouse/long-enough"
QUERY = f"""SELECT TRANSFORM(id) USING 'until [ -e {LONG_ENOUGH} ]; do sleep 0.2; done; cat' AS (id)
FROM range(0, 20, 1, 1)""".replace("\n", " ")

# Every half second a session with SELECT 1, until it is told to stop.
ASK = """
asked=0 failed=0
until [ -e /tmp/enough ]; do
    asked=$((asked + 1))
    said=$(/usr/local/bin/sparkpod probe --deep --timeout 20s hive2://spark-thrift:10000 2>&1) ||
        { failed=$((failed + 1)); echo "$(date +%T) $said"; }
    sleep 0.5
done
echo "asked $asked, failed $failed"
"""

# What beeline writes waits in the pipe, and while it cannot write it does not fetch.
FETCH = f"""
"$@" | {{ head -c 65536; until [ -e /tmp/read-on ]; do sleep 0.2; done; cat; }} |
    grep -cP '^(.*> )?\\d+\\tx{{{WIDTH}}}$'
"""


def running(release: Release, pod: str) -> int:
    """How many statements run on a server, by the page that its drain goes by."""
    namespace = release.kubectl.namespace
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}:4040/proxy/sqlserver/"
    page = release.kubectl.run("get", "--raw", path).stdout
    found = re.search(r"running\s+(\d+)\s+SQL", page)
    assert found, page
    return int(found.group(1))


def test_clients_get_their_rows_and_new_ones_a_server(release: Release, client: Client) -> None:
    """The old server serves until its clients have their rows; a new session always gets a server.

    Afterwards nothing of the old driver is left: no executor, ConfigMap or claim.
    """
    client.query("SELECT 1")  # its executors are there
    old = release.pod("thrift-server")["metadata"]
    before = release.left_of(old["uid"])
    print(f"of the old driver: {', '.join(before)}")
    assert {each.split("/")[0] for each in before} == {"pod", "configmap", "persistentvolumeclaim"}
    client.run("rm", "-f", "/tmp/enough", "/tmp/read-on")
    release.kubectl.run("exec", old["name"], "--", "rm", "-f", LONG_ENOUGH)
    query = client.start(*client.beeline(QUERY))
    statement = f"SELECT id, repeat('x', {WIDTH}) FROM range({ROWS})"
    beeline = [*client.beeline(statement), "--incremental=true"]
    fetch = client.start("bash", "-c", FETCH, "fetch", *beeline)
    release.kubectl.until("both run", lambda: running(release, old["name"]) == 2, 60)
    asking = client.start("bash", "-c", ASK)
    log = release.kubectl.start("logs", old["name"], "--follow", "--tail=0")

    release.upgrade(values=[f"thriftServer.podAnnotations.again=at-{time.time():.0f}"])
    name = release.kubectl.until(
        "the new pod",
        lambda: next(
            (
                pod["metadata"]["name"]
                for pod in release.pods("thrift-server")
                if pod["metadata"]["uid"] != old["uid"]
            ),
            None,
        ),
    )
    release.kubectl.until(
        "the old server says what it waits for",
        lambda: " drain: " in release.kubectl.run("logs", old["name"]).stdout,
        180,
    )
    assert release.phase(old["name"]) == "draining"
    assert release.ready("thrift-server") == [name]
    assert query.poll() is None, query.communicate()
    release.kubectl.run("exec", old["name"], "--", "touch", LONG_ENOUGH)
    client.run("touch", "/tmp/read-on")

    got = query.communicate(timeout=120)[0]
    assert query.returncode == 0, got
    numbers = [int(row[0]) for row in rows(got) if row[0].isdigit()]
    print(f"the query, over the whole update: {len(numbers)} of 20 rows")
    assert numbers == list(range(20)), got
    fetched = fetch.communicate(timeout=120)[0]
    print(f"the slow fetch: {fetched.split()[-1]} of {ROWS} rows")
    assert (fetch.returncode, fetched.split()[-1]) == (0, str(ROWS)), fetched
    drained = re.findall(r" drain: (.*)", log.communicate(timeout=150)[0])
    print(f"the old server: {' → '.join(drained)}")
    assert int(drained[0].split()[0]) >= 2  # one of the new sessions may be there as well
    assert drained[-1] == "0 statements running"
    release.wait_ready("thrift-server")
    assert [pod["metadata"]["name"] for pod in release.pods("thrift-server")] == [name]
    client.run("touch", "/tmp/enough")
    asked = asking.communicate(timeout=60)[0]
    print(f"new sessions meanwhile: {asked.strip()}")
    assert asked.endswith("failed 0\n")

    def gone() -> bool:
        return not release.left_of(old["uid"])

    begin = time.monotonic()
    release.kubectl.until("nothing of the old driver is left", gone, 30)
    print(f"nothing of the old driver is left {time.monotonic() - begin:.1f} s after its end")
    assert client.query("SELECT count(*) FROM range(1000)") == [["1000"]]
