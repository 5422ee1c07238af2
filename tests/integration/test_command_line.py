"""The command line: usage, help, pass-through, settings, the statuses of docs/exit-status.md."""

from __future__ import annotations

import json
import pathlib
import re

import rig

DOCS = rig.ROOT / "docs"


def test_no_argument_shows_the_usage_and_is_64() -> None:
    run = rig.run_sparkpod()
    assert run.returncode == 64
    assert "Usage:" in run.stderr


def test_help_lists_every_subcommand_and_explains_each() -> None:
    usage = rig.run_sparkpod("help")
    assert usage.returncode == 0
    names = set(re.findall(r"^  sparkpod ([a-z-]+) ", usage.stdout, re.MULTILINE))
    assert names >= {
        *("thrift-server", "metastore", "run", "render", "wait"),
        *("probe", "check", "config", "install", "version", "help"),
    }
    for name in names - {"executor"}:
        explained = rig.run_sparkpod("help", name)
        assert explained.returncode == 0
        assert explained.stdout.startswith(f"Usage: sparkpod {name}")
        assert rig.run_sparkpod(name, "--help").stdout == explained.stdout


def test_version_names_the_libraries() -> None:
    run = rig.run_sparkpod("version")
    assert run.returncode == 0
    for library in ("libcurl", "OpenSSL", "libxml2", "libpq", "libmicrohttpd", "jansson", "inih"):
        assert f"{library}/" in run.stdout
    assert re.search(r"commit [0-9a-f]{7,}", run.stdout)


def test_another_command_is_executed_with_its_arguments() -> None:
    run = rig.run_sparkpod("sh", "-c", 'echo "$@"; exit 5', "sh", "a b", "c")
    assert run.returncode == 5
    assert run.stdout == "a b c\n"
    assert run.stderr == ""


def test_a_typing_error_is_127_and_names_the_nearest_subcommand() -> None:
    run = rig.run_sparkpod("thrift-sever")
    assert run.returncode == 127
    assert 'did you mean "thrift-server"?' in run.stderr


def test_executor_reaches_the_stock_entrypoint_before_anything_is_read() -> None:
    # There is none on this machine: what is shown is that settings are not looked at first.
    run = rig.run_sparkpod("executor", env={"SPARKPOD_HEALTH_PORT": "nonsense"})
    assert run.returncode == 127
    assert "/opt/entrypoint.sh: No such file or directory" in run.stderr


def test_wrong_usage_is_64_and_points_to_the_help() -> None:
    for args in (
        ["wait"],
        ["wait", "--nonsense", "tcp://a:1"],
        ["wait", "gopher://a:1"],
        ["wait", "--timeout", "5", "tcp://a:1"],
        ["wait", "postgres://user:s3cr3t@host/db"],
        ["probe"],
        ["render", "one"],
        ["render", "--check", "one", "two"],
        ["render", "--format", "yaml", "a", "b"],
        ["run"],
        ["run", "--wait"],
        ["thrift-server", "stray"],
        ["thrift-server", "--wait", "tcp://a:1"],
        ["config", "--format", "xml"],
        ["help", "nothing"],
    ):
        run = rig.run_sparkpod(*args)
        assert run.returncode == 64, args
        assert "sparkpod help" in run.stderr, args
        assert "s3cr3t" not in run.stderr, args


def test_bad_settings_are_78() -> None:
    run = rig.run_sparkpod("config", env={"SPARKPOD_HEALTH_PORT": "x"})
    assert run.returncode == 78
    assert 'SPARKPOD_HEALTH_PORT: "x" is not a number from 0 to 65535' in run.stderr
    budget = rig.run_sparkpod("run", "--", "true", env={"SPARKPOD_SHUTDOWN_DRAIN": "10m"})
    assert budget.returncode == 78
    assert "terminationGracePeriodSeconds" in budget.stderr


def test_the_reference_of_settings_is_what_the_program_has() -> None:
    run = rig.run_sparkpod("config", "--format", "json")
    settings = {
        f"{section}.{key}": value["value"]
        for section, keys in json.loads(run.stdout).items()
        for key, value in keys.items()
    }
    rows = re.findall(
        r"^\| `([a-z]+\.[a-z_]+)` \| (?:`([^`]*)`|none) \|",
        (DOCS / "settings.md").read_text(),
        re.MULTILINE,
    )
    assert dict(rows) == settings


def test_log_lines_are_json_when_asked_for(work: pathlib.Path) -> None:
    run = rig.run_sparkpod(
        "run", "--", "true", env={"SPARKPOD_LOG_FORMAT": "json", "SPARKPOD_HEALTH_PORT": "0"}
    )
    assert run.returncode == 0
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    assert {"ts", "level", "module", "msg"} == set(lines[0])
    assert lines[-1]["msg"] == "exit 0"


def test_render_check_finds_every_fault_of_a_folder_and_writes_nothing(work: pathlib.Path) -> None:
    source = work / "templates"
    source.mkdir()
    (source / "hive-site.xml").write_text(
        "<configuration><property><name>a</name><value>${ONE}</value></property>\n"
        "<property><name>b</name><value>${TWO}</value></property></configuration>\n"
    )
    (source / "spark-defaults.conf").write_text("a=${THREE}\nb ${GOOD}\n")
    run = rig.run_sparkpod("render", "--check", str(source), env={"GOOD": "g"})
    assert run.returncode == 65
    assert re.findall(r"([a-z.-]+:\d+:\d+): ([A-Z]+) is not set", run.stderr) == [
        ("hive-site.xml:1:47", "ONE"),
        ("hive-site.xml:2:32", "TWO"),
        ("spark-defaults.conf:1:3", "THREE"),
    ]
    good = {"GOOD": "g", "ONE": "1", "TWO": "2", "THREE": "3"}
    assert rig.run_sparkpod("render", "--check", str(source), env=good).returncode == 0
    assert [path.name for path in work.iterdir()] == ["templates"]
