"""The Thrift Server's transports and logins, each for real: TLS, HTTP, NOSASL, CUSTOM."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import subprocess
import time
from typing import Iterator, Mapping

import pytest
import rig

NAME = "spark-thrift.data.svc"
PASSWORD = "p&<w>\"d\\ #='$x"  # without a colon, at which Spark's HTTP transport cuts it
NOISE = re.compile(r"\b(WARN|ERROR)\b")


@dataclasses.dataclass(frozen=True)
class Case:
    """A way to reach a Thrift Server."""

    spark: str
    properties: Mapping[str, str]  # of hive-site.xml
    login: bool  # the checks have a user
    options: str = ""  # of the URL
    alive: str = "Spark "  # what the check of the kept connection says
    usable: str = "a new connection is served"
    tls: bool = False


CUSTOM = {
    "hive.server2.authentication": "CUSTOM",
    "hive.server2.custom.authentication.class": "ProbeUsers",
}
TLS = {"hive.server2.use.SSL": "true"}
HTTP = {"hive.server2.transport.mode": "http"}
NOSASL = {"hive.server2.authentication": "NOSASL"}

CASES = {
    "3.5, TLS with a login": Case("3.5", {**TLS, **CUSTOM}, True, ";ssl=true", tls=True),
    "4, TLS with a login": Case("4", {**TLS, **CUSTOM}, True, ";ssl=true", tls=True),
    "3.5, HTTP over TLS with a login": Case(
        *("3.5", {**TLS, **HTTP, **CUSTOM}, True, ";ssl=true;transportMode=http"),
        **{"alive": "is open", "usable": "Spark ", "tls": True},
    ),
    "4, HTTP over TLS with a login": Case(
        *("4", {**TLS, **HTTP, **CUSTOM}, True, ";ssl=true;transportMode=http"),
        **{"alive": "is open", "usable": "Spark ", "tls": True},
    ),
    "3.5, NOSASL": Case("3.5", NOSASL, False, ";auth=noSasl", usable="Spark "),
    "4, NOSASL": Case("4", NOSASL, False, ";auth=noSasl", usable="Spark "),
    "3.5, logins nobody gave us": Case("3.5", CUSTOM, False, alive="is open"),
    "4, logins nobody gave us": Case("4", CUSTOM, False, alive="is open", usable="is open"),
}


@dataclasses.dataclass(frozen=True)
class Files:
    """What a Thrift Server and its clients need beside their configuration."""

    folder: pathlib.Path
    classes: pathlib.Path

    @property
    def ca(self) -> pathlib.Path:
        """The authority that made the server's certificate."""
        return self.folder / "ca.pem"


def openssl(*args: str, folder: pathlib.Path) -> None:
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def files(session_folder: pathlib.Path, homes: rig.Homes) -> Files:
    """An authority, a certificate for NAME in a keystore, the class that knows the user."""
    folder = session_folder / "hiveserver2"
    folder.mkdir()
    key = ("-newkey", "rsa:2048", "-nodes", "-days", "2")
    openssl(*("req", "-x509", *key, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"), folder=folder)
    (folder / "names").write_text(f"subjectAltName=DNS:{NAME}\n")
    openssl(*("req", *key, "-subj", f"/CN={NAME}", "-keyout", "key.pem", "-out", "req.pem"), folder=folder)
    openssl(
        *("x509", "-req", "-in", "req.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2"),
        *("-CAcreateserial", "-extfile", "names", "-out", "cert.pem"),
        folder=folder,
    )
    openssl(
        *("pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem", "-out", "keystore.p12"),
        *("-passout", "pass:keystore"),
        folder=folder,
    )
    classes = folder / "classes"
    subprocess.run(
        ["javac", "-cp", f"{homes.spark}/jars/*", "-d", classes, rig.RIG / "ProbeUsers.java"],
        check=True,
    )
    return Files(folder, classes)


def write_templates(case: Case, files: Files, folder: pathlib.Path) -> None:
    keystore = {
        "hive.server2.keystore.path": str(files.folder / "keystore.p12"),
        "hive.server2.keystore.password": "keystore",
    }
    properties = {
        "javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder}/db;create=true",
        "datanucleus.schema.autoCreateAll": "true",
        "hive.metastore.schema.verification": "false",
        "hive.server2.thrift.port": "${THRIFT_PORT}",
        "hive.server2.thrift.http.port": "${THRIFT_PORT}",
        **(keystore if case.tls else {}),
        **case.properties,
    }
    templates = folder / "templates"
    templates.mkdir(parents=True)
    (templates / "hive-site.xml").write_text(
        "<configuration>"
        + "".join(
            f"<property><name>{name}</name><value>{value}</value></property>"
            for name, value in properties.items()
        )
        + "</configuration>"
    )
    ui = {"enabled": "true", "keyStore": files.folder / "keystore.p12", "keyStorePassword": "keystore"}
    (templates / "spark-defaults.conf").write_text(
        "spark.master local[1]\n"
        f"spark.sql.warehouse.dir {folder}/warehouse\n"
        "spark.ui.port ${UI_PORT}\n"
        f"spark.driver.extraClassPath {files.classes}\n"
        + ("".join(f"spark.ssl.ui.{k} {v}\n" for k, v in ui.items()) if case.tls else "")
    )


class Server:
    """A Thrift Server pod that is ready."""

    def __init__(self, case: Case, files: Files, homes: rig.Homes, folder: pathlib.Path) -> None:
        self.case, self.files = case, files
        self.port = rig.free_port()
        write_templates(case, files, folder)
        values = {
            "THRIFT_PORT": str(self.port),
            "UI_PORT": str(rig.free_port()),
            "SPARKPOD_RENDER_SOURCE": str(folder / "templates"),
            "SPARKPOD_HEALTH_INTERVAL": "100ms",
            "PROBE_PASSWD": PASSWORD,
            "SPARKPOD_RENDER_SECRET_NAMES": "*PASSWORD*",
        }
        if case.login:
            (folder / "password").write_text(PASSWORD)
            values["SPARKPOD_HEALTH_USER"] = "watcher"
            values["HIVE2_PASSWORD_FILE"] = str(folder / "password")
        if case.tls:
            values["SPARKPOD_HEALTH_CA_FILE"] = str(files.ca)
            values["SPARKPOD_HEALTH_SERVER_NAME"] = NAME
        env = rig.role_env(homes, "thrift-server", folder, values)
        self.pod = rig.Sparkpod("thrift-server", folder=folder, env=env)
        self.pod.wait_ready()

    def probe(self, *args: str, user: str = "", password: str = PASSWORD) -> "subprocess.CompletedProcess[str]":
        url = f"jdbc:hive2://127.0.0.1:{self.port}/{self.case.options}"
        if user:
            url += f";user={user}"
        return rig.run_sparkpod("probe", *args, url, env={"HIVE2_PASSWORD": password})

    def check(self, name: str) -> dict[str, object]:
        return json.loads(self.pod.get("/status")[1])["checks"][name]

    def log(self) -> str:
        return self.pod.stdout + self.pod.stderr


@pytest.fixture(scope="module", params=CASES, ids=list(CASES))
def server(
    request: pytest.FixtureRequest, files: Files, homes: rig.Homes, session_folder: pathlib.Path
) -> Iterator[Server]:
    case = CASES[request.param]
    spark = homes.spark if case.spark == "3.5" else rig.fetch("spark", "4.3.0")
    folder = session_folder / f"hiveserver2-{list(CASES).index(request.param)}"
    one = Server(case, files, rig.Homes(spark, homes.metastore), folder)
    yield one
    assert one.pod.stop() == 0


def test_checks_leave_no_trace_in_the_log(server: Server) -> None:
    before = server.log()
    passed = server.check("usable")["passed"]
    rig.wait_for(lambda: server.check("usable")["passed"] >= passed + 40, 60)
    for name in ("alive", "ui", "usable"):
        assert server.check(name)["state"] == "ready"
    assert server.case.alive in str(server.check("alive")["reason"])
    assert server.case.usable in str(server.check("usable")["reason"])
    noise = [line for line in server.log()[len(before) :].splitlines() if NOISE.search(line)]
    assert noise == []


def test_nobody_is_logged_in_without_being_told_to(server: Server) -> None:
    logins = server.log().count("login of ")
    if server.case.login:
        assert logins > 0 and "refused" not in server.log()
    else:
        assert logins == 0


def test_select_1_answers(server: Server) -> None:
    tls = ["--ca-file", str(server.files.ca), "--server-name", NAME] if server.case.tls else []
    user = "watcher" if "CUSTOM" in server.case.properties.values() else ""
    run = server.probe("--deep", *tls, user=user)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "SELECT 1 gave 1" in run.stdout


def test_a_wrong_password_is_refused(server: Server) -> None:
    if "CUSTOM" not in server.case.properties.values():
        return
    run = server.probe(
        *("--insecure", "--server-name", NAME), user="watcher", password="not the password"
    )
    assert run.returncode == 77, run.stdout + run.stderr
    assert "login refused" in run.stdout and "not the password" not in run.stdout + run.stderr


def test_a_certificate_counts_if_its_authority_and_name_are_the_expected_ones(server: Server) -> None:
    if not server.case.tls:
        return
    unknown = server.probe(user="watcher")
    assert unknown.returncode == 69 and "not trusted: " in unknown.stdout
    other = server.probe("--ca-file", str(server.files.ca), user="watcher")
    assert other.returncode == 69 and "not trusted: " in other.stdout
    missing = server.probe("--ca-file", "/nowhere", user="watcher")
    assert missing.returncode == 78 and "cannot be read" in missing.stdout
    name = ("--server-name", NAME)
    assert server.probe("--insecure", *name, user="watcher").returncode == 0
    nameless = server.probe("--insecure", user="watcher")
    if server.case.spark == "4" and "transportMode" in server.case.options:
        assert nameless.returncode == 69 and "--server-name" in nameless.stdout
    else:
        assert nameless.returncode == 0
