"""Who may do what, and who sees which secret: Pod Security, RBAC, planted secrets, the driver's port."""

from __future__ import annotations

import base64
import json
import pathlib
import re
import subprocess
from typing import Iterator

import pytest

from faults import Alone, find_secret
from journal import Journal
from kubectl import Kubectl
from release import SECRETS, Client, Release
from test_6_rotation import NEW

HERE = pathlib.Path(__file__).resolve().parent
RIG = HERE.parent / "rig"
SERVED = {"thrift-server": ("8085", "4040"), "hive-metastore": ("8085",)}
PAGES = {
    "8085": ("", "status", "metrics", "readyz?verbose"),
    "4040": ("environment/", "sqlserver/", "executors/", "api/v1/applications"),
}


# --- Pod Security ---------------------------------------------------------------------------------


def test_every_pod_passes_restricted(release: Release, client: Client) -> None:
    """The namespace enforces it from its beginning: what runs there has passed, executors too; and a
    pod that asks for nothing is refused."""
    client.query("SELECT count(*) FROM range(100)")
    namespace = release.kubectl.get("namespace", release.kubectl.namespace)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    refused = release.kubectl.run(
        "run", "loose", "--image=loose", "--dry-run=server", check=False
    ).stderr
    assert 'violates PodSecurity "restricted' in refused, refused
    for component in ("postgresql", "hive-metastore", "thrift-server", "executor"):
        pods = release.ready(component)
        print(f"{component}: {len(pods)} running")
        assert pods


# --- RBAC -----------------------------------------------------------------------------------------


def rights(kubectl: Kubectl, account: str) -> set[str]:
    """What an account may do, a line for each rule, blanks squeezed."""
    user = f"system:serviceaccount:{kubectl.namespace}:{account}"
    said = kubectl.run("auth", "can-i", "--list", "--no-headers", f"--as={user}").stdout
    return {" ".join(line.split()) for line in said.splitlines() if line.strip()}


def test_accounts_may_do_what_the_role_says(release: Release) -> None:
    """The driver's account has the stored rules beside what the cluster gives to every account; those
    of executors and metastore have none."""
    kubectl = release.kubectl
    everybody = rights(kubectl, "nobody-s-account")
    driver = rights(kubectl, "spark-thrift-sa") - everybody
    stored = (HERE / "rights.txt").read_text(encoding="ascii").splitlines()
    print("\n".join(sorted(driver)))
    assert sorted(driver) == stored
    for component in ("executor", "hive-metastore"):
        pod = release.pod(component)
        account = pod["spec"]["serviceAccountName"]
        assert account != "default"
        assert rights(kubectl, account) == everybody, account
        tokens = [
            volume for volume in pod["spec"]["volumes"] if "serviceAccountToken" in json.dumps(volume)
        ]
        assert not tokens, f"{component} has a token"


@pytest.mark.before(12)  # which takes the Role away from a driver that still ends
def test_nothing_is_forbidden(release: Release, journal: Journal) -> None:
    """Spark and sparkpod never asked for more than the Role gives, in all that ran."""
    lines = 0
    for name, text in journal.logs():
        lines += text.count("\n")
        asked = [line for line in text.splitlines() if re.search("forbidden", line, re.IGNORECASE)]
        assert not asked, (name, asked[:3])
    assert lines > 1000
    print(f"{lines} lines of {len(list(journal.logs()))} containers")
    assert release.ready("thrift-server")


# --- secrets --------------------------------------------------------------------------------------


def planted(release: Release) -> dict[str, str]:
    """Every secret there is: the planted ones, and that of driver and executors."""
    secrets = {
        f"{name}/{key}": value
        for name, data in SECRETS.items()
        for key, value in data.items()
        if key not in ("client-id", "tenant-id")
    }
    secrets["registry"] = "planted-Registry-Password"
    secrets["rotated password"] = NEW
    spark = release.kubectl.get("secret", f"{release.name}-spark-auth")["data"]
    secrets["spark-auth"] = base64.b64decode(spark["secret"]).decode()
    return secrets


def shown(release: Release, journal: Journal) -> Iterator[tuple[str, str]]:
    """All that somebody sees who may read anything but Secrets."""
    kubectl = release.kubectl
    listed = kubectl.run("api-resources", "--namespaced", "--verbs=list", "-o", "name").stdout
    for kind in listed.split():
        there = kubectl.get(kind)["items"]
        if kind != "secrets":
            for each in there:
                yield f"{kind}/{each['metadata']['name']}", json.dumps(each, ensure_ascii=False)
        if there and not kind.startswith("events"):  # those are in what they tell of
            # What goes meanwhile is no failure.
            yield f"describe {kind}", kubectl.run("describe", kind, check=False).stdout
    for name, text in journal.logs(kubectl.namespace):
        yield f"log {name}", text
    for component, ports in SERVED.items():
        pod = release.pod(component)["metadata"]["name"]
        for port in ports:
            for page in PAGES[port]:
                path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{pod}:{port}/proxy/{page}"
                yield f"{component}:{port}/{page}", kubectl.run("get", "--raw", path).stdout


def test_no_secret_is_shown(release: Release, journal: Journal) -> None:
    """No planted secret is in any object but Secrets, in `kubectl describe`, in a log, on a page: not
    as it is, not escaped, not in base64."""
    secrets = planted(release)
    where = []
    size = 0
    for name, text in shown(release, journal):
        size += len(text)
        where.append(name)
        found = find_secret(text, secrets)
        assert not found, f"{found} is in {name}"
    kinds = {name.split("/")[0].split(" ")[0].split(":")[0] for name in where}
    assert {"configmaps", "pods", "describe", "log", "thrift-server"} <= kinds
    print(f"{len(secrets)} secrets, {len(where)} texts of {size >> 10} KiB: {', '.join(sorted(kinds))}")


# --- the driver's port ----------------------------------------------------------------------------


@pytest.fixture(scope="session", name="asker")
def _asker(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command that asks a driver at HOST:PORT as an executor would, without a secret."""
    spark = subprocess.run(
        [RIG / "fetch", "spark"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    classes = tmp_path_factory.mktemp("classes")
    jars = f"{spark}/jars/*"
    subprocess.run(["javac", "-cp", jars, "-d", classes, RIG / "AskDriver.java"], check=True)
    opens = [
        f"--add-opens=java.base/{each}=ALL-UNNAMED"
        for each in ("java.lang", "java.lang.invoke", "java.nio", "java.util", "sun.nio.ch")
    ]
    return ["java", *opens, "-cp", f"{classes}:{jars}", "AskDriver"]


def ask(release: Release, asker: list[str]) -> str:
    """Ask its driver."""
    address = release.pod("thrift-server")["status"]["podIP"]
    return subprocess.run(
        [*asker, f"{address}:7078"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=120,
        check=False,
    ).stdout


def test_the_drivers_port_tells_a_stranger_nothing(
    release: Release, alone: Alone, asker: list[str]
) -> None:
    """Who has no secret is refused. With spark.authenticate.enabled=false the same is handed the
    storage account's secret."""
    said = ask(release, asker)
    print(f"spark.authenticate: {said.splitlines()[0]}")
    assert said.startswith("refused: ")
    assert not find_secret(said, planted(release))
    alone.serve("spark.authenticate.enabled=false", "spark.executor.instances=1")
    said = ask(alone, asker)
    handed = [line for line in said.splitlines() if SECRETS["adls-sp-secret"]["client-secret"] in line]
    print(f"without it {len(said.splitlines())} properties, among them: {handed[0] if handed else said}")
    assert len(handed) == 1
