"""The metastore's tables: created once, whole or not at all, and never touched when they are there."""

from __future__ import annotations

import pathlib
import secrets
import socket
import threading
from typing import Callable, Iterator

import pytest
import rig

VERSION = 'SELECT "SCHEMA_VERSION" FROM "VERSION"'
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"


@pytest.fixture
def start(
    homes: rig.Homes,
    database: rig.Database,
    work: pathlib.Path,
    sparkpod: Callable[..., rig.Sparkpod],
) -> Callable[..., rig.Sparkpod]:
    """Start `sparkpod metastore` on the database, with more arguments and settings."""

    def run(*args: str, **settings: str) -> rig.Sparkpod:
        folder = work / f"pod-{secrets.token_hex(4)}"
        folder.mkdir()
        values = {**database.env(), "METASTORE_PORT": str(rig.free_port())}
        env = {**rig.role_env(homes, "metastore", folder, values), **settings}
        return sparkpod("metastore", *(("--", *args) if args else ()), env=env)

    return run


def said(process: rig.Sparkpod) -> str:
    """Wait for what it says of the schema, and return that."""
    lines = process.wait_until(
        lambda: [line for line in process.stderr.splitlines() if " schema: " in line],
        what="a line about the schema",
    )
    return str(lines[0])


def refused(process: rig.Sparkpod) -> tuple[int, str]:
    """Wait for its end, and return its status and what it wrote."""
    return process.wait(rig.START_S), process.stderr


@pytest.fixture
def guest(database: rig.Database) -> Iterator[rig.Database]:
    """The database as a role sees it that may do nothing but connect."""
    name, password = f"guest_{secrets.token_hex(4)}", secrets.token_hex(8)
    database.server.create_role(name, password)
    yield rig.Database(database.server, database.name, name, password)


def test_an_empty_database_gets_the_distributions_tables(
    start: Callable[..., rig.Sparkpod], database: rig.Database
) -> None:
    process = start()
    assert "created 3.1.0 in " in said(process)
    process.wait_ready()
    assert database.psql(VERSION) == [["3.1.0"]]


class Doorkeeper:
    """A way to a port that lets everybody through but the second, whom it turns away."""

    def __init__(self, port: int) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.behind, self.seen = port, 0
        threading.Thread(target=self.serve, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it waits for callers."""
        return int(self.server.getsockname()[1])

    def serve(self) -> None:
        while True:
            caller = self.server.accept()[0]
            self.seen += 1
            if self.seen == 2:
                caller.close()
                continue
            inside = socket.create_connection(("127.0.0.1", self.behind))
            for ends in ((caller, inside), (inside, caller)):
                threading.Thread(target=self.carry, args=ends, daemon=True).start()

    @staticmethod
    def carry(source: socket.socket, target: socket.socket) -> None:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_a_database_that_is_away_for_a_moment_is_waited_for_once_more(
    start: Callable[..., rig.Sparkpod], database: rig.Database
) -> None:
    door = Doorkeeper(database.server.port)
    process = start(DB_PORT=str(door.port))
    assert "created 3.1.0 in " in said(process)
    assert process.stderr.count("; waiting once more") == 1
    assert door.seen >= 4  # waited for, turned away, waited for again, created
    process.kill()


def test_a_port_given_as_an_argument_is_where_the_probes_ask(
    start: Callable[..., rig.Sparkpod],
) -> None:
    start("-p", str(rig.free_port())).wait_ready()


def test_two_pods_at_once_create_them_once(
    start: Callable[..., rig.Sparkpod], database: rig.Database
) -> None:
    processes = [start(), start()]
    lines = sorted(said(process).partition(" schema: ")[2] for process in processes)
    assert lines[0] == "3.1.0 is there"
    assert lines[1].startswith("created 3.1.0 in ")
    assert database.psql(VERSION) == [["3.1.0"]]


def test_existing_tables_are_left_alone(
    start: Callable[..., rig.Sparkpod], hive_database: rig.Database
) -> None:
    hive_database.psql("INSERT INTO \"CTLGS\" VALUES (100, 'mine', 'kept', 'file:/x')")
    before = hive_database.psql(TABLES)
    assert said(start()).endswith(" schema: 3.1.0 is there")
    assert hive_database.psql(TABLES) == before
    assert hive_database.psql('SELECT "NAME" FROM "CTLGS" WHERE "CTLG_ID" = 100') == [["mine"]]


def test_a_newer_schema_is_accepted_as_hive_does(
    start: Callable[..., rig.Sparkpod], hive_database: rig.Database
) -> None:
    hive_database.psql("UPDATE \"VERSION\" SET \"SCHEMA_VERSION\" = '3.2.0'")
    assert "3.2.0 is there, newer" in said(start())


def test_an_older_schema_is_not_upgraded(
    start: Callable[..., rig.Sparkpod], hive_database: rig.Database
) -> None:
    hive_database.psql("UPDATE \"VERSION\" SET \"SCHEMA_VERSION\" = '2.3.0'")
    status, log = refused(start())
    assert status == 78
    assert "has schema 2.3.0, and Hive 3.1.3 needs 3.1.0" in log
    assert "-upgradeSchema" in log


@pytest.mark.parametrize(
    "damage", ['DELETE FROM "VERSION"', 'DROP TABLE "VERSION"'], ids=["no row", "no table"]
)
def test_tables_without_a_version_stop_the_start(
    start: Callable[..., rig.Sparkpod], hive_database: rig.Database, damage: str
) -> None:
    hive_database.psql(damage)
    before = hive_database.psql(TABLES)
    status, log = refused(start())
    assert status == 78
    assert "without a recorded version" in log
    assert hive_database.psql(TABLES) == before


def test_verify_never_creates_tables(
    start: Callable[..., rig.Sparkpod], database: rig.Database
) -> None:
    status, log = refused(start(SPARKPOD_METASTORE_SCHEMA="verify"))
    assert status == 78
    assert "metastore.schema=verify" in log
    assert database.psql(TABLES) == [["0"]]


def test_a_role_that_may_not_create_tables_is_told_what_it_lacks(
    start: Callable[..., rig.Sparkpod], database: rig.Database, guest: rig.Database
) -> None:
    env = {"DB_USER": guest.user, "DB_PASSWORD": guest.password, "SPARKPOD_WAIT_FATAL_GRACE": "0"}
    status, log = refused(start(**env))
    assert status == 77
    assert "42501" in log
    assert f"GRANT CREATE ON SCHEMA public TO {guest.user}" in log
    assert database.psql(TABLES) == [["0"]]


def test_a_script_that_fails_leaves_nothing_behind(
    start: Callable[..., rig.Sparkpod],
    homes: rig.Homes,
    work: pathlib.Path,
    database: rig.Database,
) -> None:
    home = work / "broken"
    scripts = home / "scripts" / "metastore" / "upgrade" / "postgres"
    scripts.mkdir(parents=True)
    for name in ("bin", "lib"):
        (home / name).symlink_to(homes.metastore / name)
    text = homes.schema.read_text()
    (scripts / homes.schema.name).write_text(text + "\nINSERT INTO nowhere VALUES (1);\n")
    status, log = refused(start(METASTORE_HOME=str(home)))
    assert status != 0
    assert "42P01" in log
    assert database.psql(TABLES) == [["0"]]
