"""The files that the chart hands to sparkpod go through `sparkpod render` and `sparkpod check`."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
from typing import Any, Iterator
from xml.etree import ElementTree

import pytest

from chart import CHART, ROOT, SETS, Objects, render, render_set

SPARKPOD = os.environ.get("SPARKPOD") or str(ROOT / "build" / "dev" / "sparkpod")
ROLES = {"thrift-server": "thrift-server", "hive-metastore": "metastore"}
SECRET = "dummy-\\&<\"'=#é"

# What `sparkpod check` warns about in values that are right: by rule, and why it may.
WARNINGS = {
    "authentication-none": "NOTES.txt warns of it, and a NetworkPolicy may shield the port",
    "local-warehouse": "examples/local-volume mounts one volume in all pods",
}


def component(objects: Objects, name: str) -> dict[str, str]:
    """Return the files of a component's ConfigMaps."""
    files: dict[str, str] = {}
    for its in objects.of("ConfigMap"):
        if its["metadata"].get("labels", {}).get("app.kubernetes.io/component") == name:
            files |= its["data"]
    return files


def names_of_secrets(objects: Objects, name: str) -> Iterator[str]:
    """Give the placeholders that a component's pod has a secret for."""
    for its in objects.of("Deployment"):
        if its["metadata"].get("labels", {}).get("app.kubernetes.io/component") == name:
            for volume in its["spec"]["template"]["spec"]["volumes"]:
                if volume["name"] == "secrets":
                    for source in volume["projected"]["sources"]:
                        yield from (item["path"] for item in source["secret"].get("items", []))


class Pod:
    """What a component's pod has in its volumes, in a folder."""

    def __init__(self, folder: pathlib.Path, objects: Objects, name: str):
        self.settings, self.templates = folder / "sparkpod.ini", folder / "templates"
        self.secrets, self.conf = folder / "secrets", folder / "conf"
        for made in (self.templates, self.secrets):
            made.mkdir()
        for file, text in component(objects, name).items():
            if file == "sparkpod.ini":
                self.settings.write_text(text)
            elif file != "executor-pod.yaml":
                (self.templates / file).write_text(text)
        for secret in names_of_secrets(objects, name):
            (self.secrets / secret).write_text(SECRET)
            (self.secrets / secret).chmod(0o440)

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run sparkpod without a network, as if in Kubernetes."""
        return subprocess.run(
            ["unshare", "--user", "--map-root-user", "--net", SPARKPOD, *args],
            env={
                "PATH": os.environ["PATH"],
                "KUBERNETES_SERVICE_HOST": "192.0.2.1",
                "SPARKPOD_RENDER_SOURCE": str(self.templates),
                "SPARKPOD_RENDER_SECRETS": str(self.secrets),
                "SPARKPOD_RENDER_TARGET": str(self.conf),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def rendered(self, file: str) -> str:
        """Return what sparkpod makes of a template."""
        template = self.templates / file
        run = self.run("render", "--secrets", str(self.secrets), str(template), "-")
        assert run.returncode == 0, run.stderr
        return run.stdout


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", SETS, ids=[path.stem for path in SETS])
def test_sparkpod_takes_the_files(path: pathlib.Path, role: str, tmp_path: pathlib.Path) -> None:
    """With any secret, and without an error; with no warning but those above."""
    objects = render_set(path)
    if not component(objects, role):
        assert "externalMetastore" in path.read_text()
        return
    pod = Pod(tmp_path, objects, role)
    for template in pod.templates.iterdir():
        run = pod.run("render", "--check", "--secrets", str(pod.secrets), str(template))
        assert run.returncode == 0, run.stderr
    args = ("--config", str(pod.settings), "--format", "json", "--role", ROLES[role])
    report = json.loads(pod.run("check", *args).stdout)
    assert {"settings", "templates", "rules"} <= set(report["looked_at"])
    # There are neither an API server nor Azure.
    found = [its for its in report["findings"] if its["part"] not in ("kubernetes", "azure")]
    known = [its for its in found if its.get("rule") in WARNINGS and its["severity"] != "error"]
    assert found == known


def load(text: str) -> dict[str, str]:
    """Read properties as java.util.Properties.load(Reader) is documented to."""
    found: dict[str, str] = {}
    text = re.sub(r"(?<!\\)((?:\\\\)*)\\(?:\r\n|\n|\r)[ \t\f]*", r"\1", text)
    for line in re.split(r"\r\n|\n|\r", text):
        line = line.lstrip(" \t\f")
        if line and line[0] not in "#!":
            pair = re.match(r"((?:\\.|[^\\:= \t\f])*)[ \t\f]*[:=]?[ \t\f]*(.*)", line)
            assert pair
            found[unescaped(pair[1])] = unescaped(pair[2])
    return found


def unescaped(text: str) -> str:
    """Undo what a backslash does in properties."""
    known = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
    return re.sub(
        r"\\(u[0-9a-fA-F]{4}|.)",
        lambda m: chr(int(m[1][1:], 16)) if len(m[1]) == 5 else known.get(m[1], m[1]),
        text,
    )


def test_properties_are_read_as_documented() -> None:
    """The examples of the class's documentation, and of what is between key and value."""
    text = "Truth = Beauty\n Truth2:Beauty\nTruth3 :Beauty\nfruits a, \\\n  b\ncheeses\n# c\n"
    text += "\\u00e9=a\\\\b\\tc=\n"
    assert load(text) == {
        "Truth": "Beauty",
        "Truth2": "Beauty",
        "Truth3": "Beauty",
        "fruits": "a, b",
        "cheeses": "",
        "é": "a\\b\tc=",
    }


# A value, and what its reader has to see.
WEIRD: list[tuple[Any, str]] = [
    ("C:\\new\\table", "C:\\new\\table"),
    ("ends with \\", "ends with \\"),
    ("a & b &amp; c", "a & b &amp; c"),
    ("<a> ]]> </value>", "<a> ]]> </value>"),
    ("\"double\" and 'single'", "\"double\" and 'single'"),
    ("=a=b", "=a=b"),
    (":a:b", ":a:b"),
    ("#no comment", "#no comment"),
    ("!no comment", "!no comment"),
    ("a # b ! c", "a # b ! c"),
    ("é 日本語 😀", "é 日本語 😀"),
    ("first\nsecond", "first\nsecond"),
    ("first\n\n  third", "first\n\n  third"),
    ("a\tb", "a\tb"),
    ("first\rsecond", "first\rsecond"),
    ("-", "-"),
    ("{{ .Release.Name }}", "{{ .Release.Name }}"),
    ("${java.io.tmpdir}/$1", "${java.io.tmpdir}/$1"),
    ("1e6", "1e6"),
    ("0755", "0755"),
    ("yes", "yes"),
    ("null", "null"),
    (1e6, "1000000"),
    (1000000, "1000000"),
    (9007199254740991, "9007199254740991"),
    (-5, "-5"),
    (0, "0"),
    (0.25, "0.25"),
    (True, "true"),
    (False, "false"),
    ("", ""),
    ("${CLIENT_SECRET}", SECRET),
    ("<${CLIENT_SECRET}>", f"<{SECRET}>"),
]


def keys(values: list[tuple[Any, str]], column: int) -> dict[str, Any]:
    """Return one column of the table above, under a key each."""
    return {f"spark.hadoop.k{number}": row[column] for number, row in enumerate(values)}


def test_weird_values_reach_spark(tmp_path: pathlib.Path) -> None:
    """Character by character, through Helm, the ConfigMap and sparkpod, in spark-defaults.conf."""
    objects = render({"spark": {"conf": keys(WEIRD, 0)}})
    found = load(Pod(tmp_path, objects, "thrift-server").rendered("spark-defaults.conf"))
    assert {key: found.get(key) for key in keys(WEIRD, 1)} == keys(WEIRD, 1)


def test_weird_keys_reach_spark(tmp_path: pathlib.Path) -> None:
    """A colon, a blank, an equals sign in a key do not end it."""
    strange = {f"spark.a{between}b": between for between in (":", "=", " ", "\\", "é", "#")}
    strange["spark.a b"] = "blank"
    objects = render({"spark": {"conf": strange}})
    found = load(Pod(tmp_path, objects, "thrift-server").rendered("spark-defaults.conf"))
    assert {key: found.get(key) for key in strange} == strange


@pytest.mark.parametrize(
    "values, role", [("hive", "hive-metastore"), ("thriftServer", "thrift-server")]
)
def test_weird_values_reach_hadoop(values: str, role: str, tmp_path: pathlib.Path) -> None:
    """The same in both files hive-site.xml; that of the Thrift Server holds no secrets."""
    rows = [row for row in WEIRD if values == "hive" or SECRET not in row[1]]
    objects = render({values: {"hiveSite": keys(rows, 0)}})
    root = ElementTree.fromstring(Pod(tmp_path, objects, role).rendered("hive-site.xml").encode())
    found = {its.findtext("name"): its.findtext("value") for its in root.iter("property")}
    assert {key: found.get(key) for key in keys(rows, 1)} == keys(rows, 1)


@pytest.mark.parametrize(
    "section, role", [("thriftServer", "thrift-server"), ("metastore", "hive-metastore")]
)
def test_files_come_out_as_they_are(section: str, role: str) -> None:
    """Whatever their names and first lines look like."""
    files = {"1.0": "  indented\nnot\n", "yes": "\n\nblank lines first\n", "a.txt": "- é: {}\n"}
    found = component(render({section: {"files": files}}), role)
    assert {name: found.get(name) for name in files} == files


@pytest.mark.parametrize(
    "closed_port, wrong_password, status",
    [(69, 77, 0), (0, 77, 1), (69, 0, 1), (77, 69, 1)],
)
def test_the_negative_test_can_fail(
    closed_port: int, wrong_password: int, status: int, tmp_path: pathlib.Path
) -> None:
    """The script of the test pod, with a stand-in for sparkpod that ends with these."""
    stand_in = tmp_path / "sparkpod"
    stand_in.write_text(f"""#!/bin/sh
        case $2 in
            hive2://spark-thrift:1) exit {closed_port} ;;
            postgres://hive@release-postgresql/hive) test "$PGPASSWORD" && exit {wrong_password} ;;
        esac
        exit 99
    """)
    stand_in.chmod(0o755)
    [container] = render().one("Pod", "release-test-negative")["spec"]["containers"]
    script = container["args"][0].replace("/opt/sparkpod/sparkpod", str(stand_in))
    run = subprocess.run(
        [*container["command"], script], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == status, run.stdout + run.stderr


def test_the_note_is_a_set() -> None:
    """Its files go through the tests above."""
    assert CHART / "ci" / "note.yaml" in SETS
