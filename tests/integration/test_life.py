"""One pod's whole life with the real servers: PostgreSQL, the Hive metastore, the Spark Thrift
Server, each of the latter two under a sparkpod of its own."""

from __future__ import annotations

import pathlib
import re
import time
from typing import Callable, Mapping

import pytest
import rig

Start = Callable[..., rig.Sparkpod]

TEMPLATES = pathlib.Path(__file__).resolve().parent / "templates"

# Everything in it that XML, properties files, shells and SQL have an opinion on.
HARD_PASSWORD = "p&<w>\"d\\ #=:'$x"


class Stack:
    """The address book of one metastore pod and one Thrift Server pod."""

    def __init__(self, work: pathlib.Path, homes: rig.Homes, password: str = HARD_PASSWORD) -> None:
        self.work, self.homes, self.password = work, homes, password
        self.postgres_port = rig.free_port()
        self.ports = {
            "METASTORE_PORT": str(rig.free_port()),
            "THRIFT_PORT": str(rig.free_port()),
            "SPARK_UI_PORT": str(rig.free_port()),
        }
        self.beeline = rig.Beeline(homes, int(self.ports["THRIFT_PORT"]))

    def env(self, role: str, more: Mapping[str, str] = {}) -> dict[str, str]:
        values = {
            "DB_HOST": "127.0.0.1",
            "DB_PORT": str(self.postgres_port),
            "DB_NAME": "hive",
            "DB_USER": "hive",
            "WAREHOUSE": f"file:{self.work}/warehouse",
            **self.ports,
            **more,
        }
        if role == "metastore":
            values["DB_PASSWORD"] = self.password
        return rig.role_env(self.homes, role, self.work / role, values)

    def postgres(self) -> rig.Postgres:
        server = rig.Postgres(self.work / "postgres", self.postgres_port).start()
        server.create_role("hive", self.password)
        server.create_database("hive", owner="hive")
        return server


@pytest.fixture
def stack(work: pathlib.Path, homes: rig.Homes) -> Stack:
    return Stack(work, homes)


def test_started_in_the_wrong_order_it_comes_up_by_itself_and_survives_a_restart(
    stack: Stack, sparkpod: Start
) -> None:
    thrift = sparkpod("thrift-server", env=stack.env("thrift-server"))
    thrift.wait_until(lambda: thrift.get("/livez")[0] == 200)
    waited_from = time.monotonic()
    time.sleep(10)
    metastore = sparkpod("metastore", env=stack.env("metastore"))
    metastore.wait_until(lambda: metastore.get("/livez")[0] == 200)
    while time.monotonic() - waited_from < 20:
        for pod in (thrift, metastore):
            assert pod.get("/livez")[0] == 200
            assert pod.get("/readyz")[0] == 503
            assert pod.get("/startupz")[0] == 503
        time.sleep(0.2)
    with stack.postgres() as postgres:
        metastore.wait_ready()
        thrift.wait_ready()
        assert metastore.stderr.count("schema: created") == 1
        # Ready means a client can query now: the first try has to work.
        rows = stack.beeline.query(
            "CREATE TABLE fruit (name STRING, pieces INT)",
            "INSERT INTO fruit VALUES ('apple', 3), ('pear', 4)",
            "SELECT name, pieces FROM fruit ORDER BY name",
        )
        assert rows == [["apple", "3"], ["pear", "4"]]
        for pod in (thrift, metastore):
            pod.term()
            rig.wait_for(lambda p=pod: p.get("/readyz")[0] in (0, 503), what="not ready any more")
            assert pod.wait(60) == 0
            assert pod.tree() == []
        postgres.stop()
        postgres.start()
        metastore = sparkpod("metastore", env=stack.env("metastore"))
        thrift = sparkpod("thrift-server", env=stack.env("thrift-server"))
        thrift.wait_ready()
        assert stack.beeline.query("SELECT sum(pieces) FROM fruit") == [["7"]]
        assert "schema: created" not in metastore.stderr
        assert postgres.psql(
            'SELECT count(*) FROM "VERSION"', database="hive", user="hive", password=stack.password
        ) == [["1"]]
        assert thrift.stop() == 0
        assert metastore.stop() == 0


def test_the_users_own_templates_carry_every_value_to_the_servers(
    stack: Stack, sparkpod: Start
) -> None:
    azure = {
        "MY_ACCOUNT": "lake1",
        "CLIENT_ID": "11111111-2222-3333-4444-555555555555",
        "CLIENT_SECRET": "s~ecr.t\\with#=: \"all'<of>&it!",
        "TENANT_ID": "66666666-7777-8888-9999-000000000000",
    }
    more = {
        **azure,
        "SPARKPOD_RENDER_SOURCE": str(TEMPLATES),
        "METASTORE_HOST": "127.0.0.1",
        "DB_PASSWORD": stack.password,
        # The user's files do not name ports: the servers' own ways to say one.
        "HIVE_SERVER2_THRIFT_PORT": stack.ports["THRIFT_PORT"],
    }
    with stack.postgres():
        metastore = sparkpod("metastore", env=stack.env("metastore", more))
        thrift = sparkpod("thrift-server", env=stack.env("thrift-server", more))
        metastore.wait_ready()
        thrift.wait_ready()
        account = "lake1.dfs.core.windows.net"
        fs = "spark.hadoop.fs.azure.account"
        expected = {
            f"{fs}.auth.type.{account}": "OAuth",
            f"{fs}.oauth2.client.id.{account}": azure["CLIENT_ID"],
            "spark.sql.catalogImplementation": "hive",
        }
        # SET redacts what looks like a secret; Spark keeps these as system properties too.
        redacted = {
            f"{fs}.oauth2.client.secret.{account}": azure["CLIENT_SECRET"],
            f"{fs}.oauth2.client.endpoint.{account}": (
                f"https://login.microsoftonline.com/{azure['TENANT_ID']}/oauth2/token"
            ),
        }
        statements = [f"SET {key}" for key in [*expected, *redacted]]
        statements += [
            f"SELECT reflect('java.lang.System', 'getProperty', '{key}')" for key in redacted
        ]
        rows = stack.beeline.query(*statements)
        assert rows == [
            *([key, value] for key, value in expected.items()),
            *([key, "*********(redacted)"] for key in redacted),
            *([value] for value in redacted.values()),
        ]
        for pod in (thrift, metastore):
            assert stack.password not in pod.stderr
            assert azure["CLIENT_SECRET"] not in pod.stderr
            for pid in pod.tree():
                assert azure["CLIENT_SECRET"] not in " ".join(rig.cmdline(pid))
        for name in ("thrift-server", "metastore"):
            for path in (stack.work / name / "conf").iterdir():
                assert path.stat().st_mode & 0o777 == 0o600
        assert thrift.stop() == 0
        assert metastore.stop() == 0


def pods_end_with(pod: rig.Sparkpod, status: int, line: str) -> None:
    """The pod ends by itself with the status, and one clear line says why."""
    assert pod.wait(60) == status
    found = [text for text in pod.stderr.splitlines() if " error " in text]
    assert len(found) == 1, pod.stderr
    assert re.search(line, found[0]), found[0]


GIVE_UP_SOON = {"SPARKPOD_WAIT_FATAL_GRACE": "1s"}


def test_a_wrong_password_is_77_with_the_code_and_the_user(stack: Stack, sparkpod: Start) -> None:
    with stack.postgres() as postgres:
        postgres.create_role("hive", "another")
        pod = sparkpod("metastore", env=stack.env("metastore", GIVE_UP_SOON))
        pods_end_with(pod, 77, r"wait: .*28P01.*hive")
        assert HARD_PASSWORD not in pod.stderr


def test_a_missing_database_is_78_with_the_code_and_its_name(stack: Stack, sparkpod: Start) -> None:
    with stack.postgres() as postgres:
        postgres.drop_database("hive")
        pod = sparkpod("metastore", env=stack.env("metastore", GIVE_UP_SOON))
        pods_end_with(pod, 78, r"wait: .*3D000.*hive")


def test_an_unreachable_metastore_is_69_at_the_deadline(stack: Stack, sparkpod: Start) -> None:
    pod = sparkpod(
        "thrift-server", env=stack.env("thrift-server", {"SPARKPOD_WAIT_TIMEOUT": "2s"})
    )
    pods_end_with(
        pod, 69, rf"wait: .*127\.0\.0\.1:{stack.ports['METASTORE_PORT']}.*connection refused"
    )


def test_a_missing_variable_is_65_and_leaves_the_files_as_they_were(
    stack: Stack, sparkpod: Start
) -> None:
    conf = stack.work / "metastore" / "conf"
    conf.mkdir(parents=True)
    (conf / "hive-site.xml").write_text("the old one")
    env = stack.env("metastore")
    del env["DB_PASSWORD"]
    pod = sparkpod("metastore", env=env)
    assert pod.wait() == 65
    assert re.search(r"hive-site\.xml:\d+:\d+: DB_PASSWORD is not set", pod.stderr)
    assert (conf / "hive-site.xml").read_text() == "the old one"
    assert [path.name for path in conf.iterdir()] == ["hive-site.xml"]


def test_a_malformed_template_is_65_with_its_place_and_writes_nothing(
    stack: Stack, sparkpod: Start
) -> None:
    source = stack.work / "templates"
    source.mkdir()
    (source / "hive-site.xml").write_text("<configuration>\n  <property>\n</configuration>\n")
    (source / "good.properties").write_text("a=b\n")
    pod = sparkpod(
        "metastore", env=stack.env("metastore", {"SPARKPOD_RENDER_SOURCE": str(source)})
    )
    assert pod.wait() == 65
    assert re.search(r"hive-site\.xml:3:\d+: ", pod.stderr)
    assert list((stack.work / "metastore" / "conf").iterdir()) == []


def test_a_secret_is_in_no_environment_once_the_templates_are_rendered(
    stack: Stack, sparkpod: Start
) -> None:
    more = {"EXTRA_TOKEN": "passed-on-by-name", "SPARKPOD_RENDER_PASS_SECRETS": "EXTRA_TOKEN"}
    with stack.postgres():
        pod = sparkpod("metastore", env=stack.env("metastore", more))
        pod.wait_ready()
        java = pod.java()
        assert java
        for pid in pod.tree():
            environ = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
            assert stack.password.encode() not in environ, rig.cmdline(pid)
            assert stack.password not in " ".join(rig.cmdline(pid))
        assert b"EXTRA_TOKEN=passed-on-by-name" in pathlib.Path(
            f"/proc/{java}/environ"
        ).read_bytes()
        assert pod.stop() == 0


def test_a_password_with_blanks_at_its_ends_opens_the_database_as_it_does_for_the_jvm(
    work: pathlib.Path, homes: rig.Homes, sparkpod: Start
) -> None:
    stack = Stack(work, homes, password="  two before, one after ")
    with stack.postgres():
        metastore = sparkpod("metastore", env=stack.env("metastore"))
        metastore.wait_ready()
        assert metastore.stop() == 0


def test_an_argument_that_would_switch_the_rendered_file_off_is_refused(
    stack: Stack, sparkpod: Start
) -> None:
    pod = sparkpod(
        *["thrift-server", "--", "--properties-file", "/x.conf"], env=stack.env("thrift-server")
    )
    pods_end_with(pod, 64, "--properties-file makes Spark ignore")
