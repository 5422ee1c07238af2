"""`sparkpod wait` and `sparkpod probe` against the real servers."""

from __future__ import annotations

import pathlib
import time

import rig


def pg_env(password: str) -> dict[str, str]:
    return {"PGPASSWORD": password, "SPARKPOD_WAIT_FATAL_GRACE": "0"}


def test_probe_speaks_every_protocol_of_the_stack(
    database: rig.Database, metastore: rig.Metastore, thrift_server: rig.ThriftServer
) -> None:
    cases = {
        database.url: "ready",
        f"jdbc:postgresql://127.0.0.1:{database.server.port}/{database.name}?user={database.user}": "ready",
        f"thrift://127.0.0.1:{metastore.port}": "ALIVE",
        f"hive2://127.0.0.1:{thrift_server.port}": "Spark 3.",
        f"jdbc:hive2://127.0.0.1:{thrift_server.port}/default": "Spark 3.",
        f"http://127.0.0.1:{thrift_server.ui_port}/api/v1/version": "200",
        f"tcp://127.0.0.1:{metastore.port}": "ready",
    }
    for url, expected in cases.items():
        run = rig.run_sparkpod("probe", url, env=pg_env(database.password))
        assert run.returncode == 0, run.stdout + run.stderr
        assert expected in run.stdout, run.stdout
        assert database.password not in run.stdout + run.stderr


def test_wait_ends_when_all_are_ready(
    database: rig.Database, metastore: rig.Metastore, thrift_server: rig.ThriftServer
) -> None:
    run = rig.run_sparkpod(
        *["wait", "--timeout", "20s", database.url, f"thrift://127.0.0.1:{metastore.port}"],
        *[f"hive2://127.0.0.1:{thrift_server.port}", f"tcp://127.0.0.1:{thrift_server.ui_port}"],
        env=pg_env(database.password),
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr.count(" ready after ") == 4


def test_wait_gives_69_at_its_timeout_with_the_last_reason_of_each() -> None:
    one, two = rig.free_port(), rig.free_port()
    started = time.monotonic()
    run = rig.run_sparkpod(
        "wait", "--timeout", "1s", f"tcp://127.0.0.1:{one}", f"thrift://127.0.0.1:{two}"
    )
    assert run.returncode == 69
    assert 0.9 < time.monotonic() - started < 20
    last = run.stderr.splitlines()[-1]
    assert f"127.0.0.1:{one}" in last and f"127.0.0.1:{two}" in last
    assert last.count("connection refused") == 2


def test_a_wrong_password_is_77_and_a_missing_database_78(database: rig.Database) -> None:
    wrong = rig.run_sparkpod("wait", database.url, env=pg_env("not the password"))
    assert wrong.returncode == 77
    assert "28P01" in wrong.stderr and database.user in wrong.stderr
    assert "not the password" not in wrong.stderr
    missing = rig.run_sparkpod(
        "wait", database.url.rpartition("/")[0] + "/nowhere", env=pg_env(database.password)
    )
    assert missing.returncode == 78
    assert "3D000" in missing.stderr and "nowhere" in missing.stderr


def test_the_password_may_come_from_a_file(database: rig.Database, work: pathlib.Path) -> None:
    secret = work / "secret"
    secret.write_text(database.password + "\n")
    secret.chmod(0o600)
    by_name = rig.run_sparkpod("wait", database.url, env={"PGPASSWORD_FILE": str(secret)})
    assert by_name.returncode == 0, by_name.stderr
    folder = work / "secrets"
    folder.mkdir()
    secret.rename(folder / "PGPASSWORD")
    by_folder = rig.run_sparkpod("wait", database.url, env={"SPARKPOD_RENDER_SECRETS": str(folder)})
    assert by_folder.returncode == 0, by_folder.stderr


def test_sigterm_ends_a_wait_with_143(work: pathlib.Path) -> None:
    argv = [rig.sparkpod_binary(), "wait", f"tcp://127.0.0.1:{rig.free_port()}"]
    process = rig.Process("wait", argv, rig.base_env(), work)
    rig.wait_for(lambda: "connection refused" in process.stderr)
    process.term()
    assert process.wait(5) == 143
    assert process.tree() == []


def test_a_paused_postgresql_is_not_ready_and_does_not_hang_the_probe(work: pathlib.Path) -> None:
    with rig.Postgres(work / "postgres") as server:
        server.create_role("hive", "secret")
        server.create_database("hive", owner="hive")
        url = f"postgres://hive@127.0.0.1:{server.port}/hive"
        env = {**pg_env("secret"), "SPARKPOD_HEALTH_TIMEOUT": "500ms"}
        assert rig.run_sparkpod("probe", url, env=env).returncode == 0
        server.pause()
        paused = rig.run_sparkpod("probe", url, env=env, timeout=20)
        assert paused.returncode == 69
        assert "timed out" in paused.stdout
        server.resume()
        assert rig.run_sparkpod("probe", url, env=env).returncode == 0
