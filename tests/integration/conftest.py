"""Fixtures: the real servers, got and started by tests/rig, and sparkpod on top of them.

The session's PostgreSQL, metastore and Thrift Server are shared by tests that only ask them
something. A test that stops, pauses or breaks a server starts its own in its `work` folder.
"""

from __future__ import annotations

import itertools
import pathlib
import secrets
import shutil
import signal
import sys
from typing import Any, Callable, Generator, Iterator, Mapping, Optional

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "rig"))

import rig  # noqa: E402  pylint: disable=wrong-import-position

TEMPLATES = pathlib.Path(__file__).resolve().parent / "templates"


# What nohup and a shell's "&" leave ignored, a command under test could not catch.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


# --- when a test fails ---------------------------------------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Forget what ended in tests before this one."""
    del item
    rig.Process.started[:] = [process for process in rig.Process.started if process.running()]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, Any, None]:
    """Show the end of every log with a failure."""
    del item, call
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for process in rig.Process.started:
            for path in process.logs():
                title = f"end of {path.name} (pid {process.pid})"
                report.sections.append((title, rig.tail(path)))


# --- folders and homes ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def homes() -> rig.Homes:
    """Spark and the metastore, downloaded once."""
    return rig.Homes(rig.fetch("spark"), rig.fetch("metastore"))


@pytest.fixture(scope="session")
def session_folder() -> Iterator[pathlib.Path]:
    """A folder for the servers of the session."""
    folder = rig.work_folder("sparkpod-session-")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def work() -> Iterator[pathlib.Path]:
    """A folder for one test. PostgreSQL's user may enter it, as it may not enter tmp_path."""
    folder = rig.work_folder("sparkpod-test-")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


# --- servers of the session ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres(session_folder: pathlib.Path) -> Iterator[rig.Postgres]:
    """A running PostgreSQL with no database of ours yet."""
    with rig.Postgres(session_folder / "postgres").start() as server:
        yield server


@pytest.fixture
def database(postgres: rig.Postgres) -> Iterator[rig.Database]:
    """An empty database of its own role, with a password that has to be escaped everywhere."""
    name = f"test_{secrets.token_hex(4)}"
    password = f"p&<>'\"\\ $1 {secrets.token_hex(8)}"
    postgres.create_role(name, password)
    postgres.create_database(name, owner=name)
    yield rig.Database(postgres, name, name, password)
    postgres.drop_database(name)


@pytest.fixture
def hive_database(database: rig.Database, homes: rig.Homes) -> rig.Database:
    """A database with the metastore's tables in it."""
    database.init_schema(homes)
    return database


@pytest.fixture(scope="session")
def metastore(
    homes: rig.Homes, postgres: rig.Postgres, session_folder: pathlib.Path
) -> Iterator[rig.Metastore]:
    """A running metastore, not under sparkpod; .port is where it listens."""
    postgres.create_role("session", "the session's")
    postgres.create_database("session", owner="session")
    database = rig.Database(postgres, "session", "session", "the session's")
    database.init_schema(homes)
    with rig.Metastore(homes, database, session_folder / "metastore") as server:
        yield server


@pytest.fixture(scope="session")
def thrift_server(
    homes: rig.Homes, metastore: rig.Metastore, session_folder: pathlib.Path
) -> Iterator[rig.ThriftServer]:
    """A running Thrift Server on that metastore, not under sparkpod; .port and .ui_port."""
    with rig.ThriftServer(homes, metastore.port, session_folder / "thrift-server") as server:
        yield server


# --- sparkpod ------------------------------------------------------------------------------------


@pytest.fixture
def sparkpod(work: pathlib.Path) -> Iterator[Callable[..., rig.Sparkpod]]:
    """Start sparkpod: sparkpod("run", "--", "sleep", "60", env={...}). What is left of it when
    the test ends is killed."""
    started: list[rig.Sparkpod] = []
    number = itertools.count(1)

    def start(
        *args: str, env: Optional[Mapping[str, str]] = None, port: Optional[int] = None
    ) -> rig.Sparkpod:
        folder = work / f"sparkpod-{next(number)}"
        started.append(rig.Sparkpod(*args, folder=folder, env=env, port=port))
        return started[-1]

    yield start
    for process in started:
        process.kill()
