"""The database's password is changed, in PostgreSQL and in the Secret: by the documented way, and in
the order that leaves a new metastore with the old one."""

from __future__ import annotations

import base64
import json
import time
from typing import Iterator

import pytest

from faults import databases, identity, psql
from release import SECRETS, Client, Release

SECRET = "hive-metastore-db-secret"
OLD = SECRETS[SECRET]["hive-password"]
SERVERS = ("hive-metastore", "thrift-server")
NEW = "planted%Rotated&'Password"


def alter_role(release: Release, password: str) -> None:
    """Change it in PostgreSQL."""
    quoted = password.replace("'", "''")
    psql(release, f"ALTER ROLE hive PASSWORD '{quoted}'")


def patch_secret(release: Release, password: str) -> None:
    """Change it in the Secret."""
    patch = json.dumps({"stringData": {"hive-password": password}})
    release.kubectl.run("patch", "secret", SECRET, "--patch", patch)


def waiting_for(release: Release) -> list[str]:
    """What the youngest metastore waits for, and why."""
    try:
        status = release.status(release.pod("hive-metastore")["metadata"]["name"])
    except (OSError, IndexError):
        return []
    return [f"{each['url']}: {each['reason']}" for each in status["waiting"]]


def refusal(client: Client, release: Release) -> str:
    """What PostgreSQL says to a login with the old password."""
    url = f"postgres://hive@{release.name}-postgresql:5432/hive"
    said = client.run(
        *("env", f"PGPASSWORD={OLD}", "/usr/local/bin/sparkpod", "probe", url), check=False
    )
    assert "28P01" in said, said
    return said.splitlines()[0]


def encoded(password: str) -> str:
    """As it stands in the Secret."""
    return base64.b64encode(password.encode()).decode()


def restart_metastore(release: Release) -> None:
    """As its user does: a new pod, ready before the old one goes."""
    deployment = f"deployment/{release.name}-hive-metastore"
    release.kubectl.run("rollout", "restart", deployment)
    release.kubectl.run("rollout", "status", deployment, "--timeout=180s", timeout=200)


@pytest.fixture(name="as_it_was")
def _as_it_was(release: Release) -> Iterator[None]:
    """The password that the other scenarios know, even if the test fails."""
    yield
    if release.kubectl.get("secret", SECRET)["data"]["hive-password"] == encoded(OLD):
        return
    alter_role(release, OLD)
    patch_secret(release, OLD)
    restart_metastore(release)
    release.wait_ready("hive-metastore", "thrift-server")


@pytest.mark.usefixtures("as_it_was")
def test_a_changed_password(release: Release, client: Client) -> None:
    """With the password changed in PostgreSQL alone, running pods go on over their open connections,
    and a new metastore waits, saying why. Once the Secret has it, too, that one gets ready without
    being touched. Then the documented way: PostgreSQL, Secret, restart; nobody waits."""
    before = identity(release, *SERVERS, "postgresql")
    alter_role(release, NEW)
    print(f"a new connection with the old password: {refusal(client, release)}")
    for _ in range(3):
        assert databases(client) == ["default"]
        time.sleep(3)
    assert identity(release, *SERVERS, "postgresql") == before
    print("running pods go on: 3 new sessions, 3 answers from the metastore")

    release.kubectl.run("delete", "pod", release.pod("hive-metastore")["metadata"]["name"])
    waiting = release.kubectl.until(
        "the new metastore says that it is refused",
        lambda: [said for said in waiting_for(release) if "28P01" in said],
    )
    print(f"a new metastore with the old password waits: {waiting[0]}")
    started = identity(release, *SERVERS)
    patch_secret(release, NEW)
    patched = time.monotonic()
    release.wait_ready(*SERVERS, seconds=240)
    print(f"ready {time.monotonic() - patched:.0f} s after the Secret was right")
    assert identity(release, *SERVERS) == started
    log = release.logs(release.pod("hive-metastore")["metadata"]["name"])
    print("\n".join(line for line in log.splitlines() if " wait: " in line))
    assert "secrets changed, trying again" in log

    alter_role(release, OLD)
    patch_secret(release, OLD)
    restart_metastore(release)
    assert databases(client) == ["default"]
    log = release.logs(release.pod("hive-metastore")["metadata"]["name"])
    assert "28P01" not in log
    print("changed in PostgreSQL, in the Secret, restarted: the new metastore was never refused")
    assert {each: restarts for each, (_, restarts) in identity(release, *SERVERS).items()} == (
        dict.fromkeys(identity(release, *SERVERS), 0)
    )
