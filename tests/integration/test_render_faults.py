"""Every fault of every template in one run, each with its place and the variable's name, none with
a value; and then nothing is written."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import subprocess
from typing import Iterator, Mapping, Optional, Sequence

import pytest
import rig

# Stands in every value, and so in no output.
LEAK = "VaLuE"

# A place in a template that is a fault; none of these marks is in what is written.
MARK = "¦"


@dataclasses.dataclass(frozen=True)
class Template:
    """A template with its faults marked, and what is said of each, in order."""

    name: str
    text: str
    messages: Sequence[str]
    exact: bool = True  # False: the parser's own column, which is where it stopped

    @property
    def content(self) -> bytes:
        """The template without its marks."""
        return self.text.replace(MARK, "").encode()

    def places(self) -> Iterator[tuple[int, int]]:
        """Return line and column of each mark; columns are counted in bytes."""
        for number, line in enumerate(self.text.encode().split(b"\n"), 1):
            parts = line.split(MARK.encode())
            for count in range(1, len(parts)):
                yield number, sum(map(len, parts[:count])) + 1


TEMPLATES = [
    Template(
        "hive-site.xml",
        f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- ${{F_COMMENT}} is no fault -->
<configuration>
<property><name>a</name><value>{MARK}${{F_UNSET}}</value></property>
<property><name>b</name><value>{MARK}${{F_EMPTY}}</value></property>
\t<property><name>c</name><value>é€ {MARK}${{F_MESSAGE:?say where it is}}</value></property>
<property><name>d</name><value>{MARK}${{F_EMPTY_MESSAGE:?say more}}</value></property>
<property><name>e</name><value>{MARK}${{F_BOTH}}</value></property>
<property><name>f</name><value>{MARK}${{F_MISSING}}</value></property>
<property><name>g</name><value>{MARK}${{F_FOLDER}}</value></property>
<property><name>h</name><value>{MARK}${{F_NAMELESS}}</value></property>
<property><name>i</name><value>{MARK}${{F_LONG}}</value></property>
<property><name>j</name><value>{MARK}${{F_CONTROL}} {MARK}${{F_LATIN}}</value></property>
<property><name>k</name><value>thrift://${{F_GOOD}}:{MARK}${{F_METASTORE_PORT}}</value></property>
<property><name>{MARK}${{F_NAME:-}}</name><value>l</value></property>
<property name="m" value='{MARK}${{F_IN_ATTRIBUTE}}'/>
<property><name>n</name><value><![CDATA[<{MARK}${{F_IN_CDATA}}>]]></value></property>
<property><name>o</name><value>{MARK}${{F_IN_FOLDER}}</value></property>
<property><name>p</name><value>{MARK}${{F_UNCLOSED:-default</value></property>
</configuration>
""",
        [
            "F_UNSET is not set: .*F_UNSET_FILE",
            r"F_EMPTY is set but empty: .*\$\{F_EMPTY:-\}",
            "F_MESSAGE: say where it is$",
            "F_EMPTY_MESSAGE: say more$",
            "F_BOTH and F_BOTH_FILE are both set",
            "cannot read .*/secrets/gone for F_MISSING: No such file or directory$",
            "cannot read .*/secrets/folder for F_FOLDER: Is a directory$",
            "F_NAMELESS_FILE is set but empty",
            ".*/secrets/long for F_LONG is longer than 1 MiB$",
            "F_CONTROL holds bytes that cannot stand here",
            "F_LATIN holds bytes that cannot stand here",
            "F_METASTORE_PORT holds tcp://…, .*enableServiceLinks",
            "F_NAME is empty and leaves the name of a setting empty",
            "F_IN_ATTRIBUTE is not set",
            "F_IN_CDATA is not set",
            "F_IN_FOLDER holds bytes that cannot stand here",
            "F_UNCLOSED: the placeholder has no }",
        ],
    ),
    Template(
        "spark-defaults.conf",
        f"""# ${{F_COMMENT}} is no fault
spark.a {MARK}${{F_CONF_UNSET}}
{MARK}${{F_KEY:-}} spark.b
spark.c C:\\{MARK}${{F_SLASHED}}
spark.d {MARK}${{F_CONF_LATIN}}
spark.e = {MARK}${{F_NUL}}
spark.f one,\\
    {MARK}${{F_CONTINUED}}
spark.g ${{F_GOOD}} {MARK}${{F_UNCLOSED:?default
""",
        [
            "F_CONF_UNSET is not set",
            "F_KEY is empty and leaves the name of a setting empty",
            "a backslash in front of a placeholder",
            "F_CONF_LATIN holds bytes that cannot stand here",
            "F_NUL holds bytes that cannot stand here",
            "F_CONTINUED is not set",
            "F_UNCLOSED: the placeholder has no }",
        ],
    ),
    # What can only be judged once a file is expanded.
    Template(
        "judged.xml",
        f"""<configuration>
<property><name>a</name><value>{MARK}${{F_BRINGS}}</value></property>
<property><name>b</name><value>$${{x}} ${{F_DOLLAR}}{MARK}${{F_BRACE}}</value></property>
<property name="c" value="{MARK}${{F_DOLLAR}}{{x}}"/>
</configuration>
""",
        [
            r"F_BRINGS brings a new \$\{",
            r"F_BRACE brings a new \$\{",
            r"F_DOLLAR brings a new \$\{",
        ],
    ),
    Template(
        "judged.conf",
        f"""spark.a {MARK}${{F_TRAILING}}
spark.b {MARK}${{F_LEADING}}
spark.c {MARK}${{F_LEADING}}x
spark.d x{MARK}${{F_TRAILING}}
spark.e x${{F_LEADING}}
spark.f {MARK}${{F_BRINGS}}
""",
        [
            "F_TRAILING has a blank at an end",
            "F_LEADING has a blank at an end",
            "F_LEADING has a blank at an end",
            "F_TRAILING has a blank at an end",
            r"F_BRINGS brings a new \$\{",
        ],
    ),
    Template(
        "malformed.properties",
        f"a=${{F_GOOD}}\n{MARK}\\u00g0 x\n",
        [r"a \\u is not followed by four hexadecimal digits"],
    ),
    Template(
        "not-well-formed.xml",
        f"<configuration>\n<a></{MARK}b>\n</configuration>\n",
        ["Opening and ending tag mismatch"],
        exact=False,
    ),
    Template(
        "doctype.xml",
        f'<?xml version="1.0"?>\n{MARK}<!DOCTYPE configuration>\n<configuration/>\n',
        ["a DOCTYPE is not accepted"],
    ),
    Template(
        "control.xml",
        f"<configuration>\n<a>é{MARK}\0</a>\n</configuration>\n",
        ["XML cannot hold this byte"],
    ),
    Template("good.xml", "<configuration><a>${F_GOOD}</a></configuration>", []),
    Template("copied.txt", "${F_UNSET}", []),
]

ENVIRONMENT: dict[str, str | bytes] = {
    "F_EMPTY": "",
    "F_EMPTY_MESSAGE": "",
    "F_BOTH": LEAK,
    "F_NAMELESS_FILE": "",
    "F_CONTROL": f"{LEAK}\x01",
    "F_LATIN": LEAK.encode() + b"\xe9",
    "F_METASTORE_PORT": f"tcp://{LEAK}:9083",
    "F_SLASHED": LEAK,
    "F_CONF_LATIN": b"\xc0\x80" + LEAK.encode(),
    "F_BRINGS": f"{LEAK}${{x}}",
    "F_DOLLAR": f"{LEAK}$",
    "F_BRACE": f"{{{LEAK}}}",
    "F_TRAILING": f"{LEAK} \t",
    "F_LEADING": f" {LEAK}",
    "F_GOOD": LEAK,
}


@dataclasses.dataclass(frozen=True)
class Bench:
    """The templates, and what they are filled with."""

    work: pathlib.Path
    templates: pathlib.Path
    target: pathlib.Path
    env: Mapping[str, str | bytes]

    def render(self, *args: str) -> tuple[int, str]:
        """Run sparkpod render; status and what it says, without times."""
        run = subprocess.run(
            [str(rig.sparkpod_binary()), "render", "--secrets", str(self.work / "mounted"), *args],
            env={**rig.base_env(), **self.env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert LEAK.encode() not in run.stdout
        assert bool(run.stdout) == ("--check" in args)
        text = run.stderr.decode()  # strictly: no byte of a value gets through
        return run.returncode, re.sub(r"^\S+ ", "", text, flags=re.MULTILINE)

    def snapshot(self) -> dict[pathlib.Path, tuple[int, int, int, Optional[bytes]]]:
        """Return all that a write would change, anywhere here."""
        found = {}
        for path in sorted(self.work.rglob("*")):
            status = path.stat()
            content = path.read_bytes() if path.is_file() else None
            found[path] = (status.st_ino, status.st_mode, status.st_mtime_ns, content)
        return found


@pytest.fixture(name="bench")
def make_bench(work: pathlib.Path) -> Bench:
    """Make it, with a folder of earlier results."""
    for name in ("templates", "target", "secrets", "secrets/folder", "mounted"):
        (work / name).mkdir()
    for template in TEMPLATES:
        (work / "templates" / template.name).write_bytes(template.content)
    for name in ("hive-site.xml", "good.xml"):
        (work / "target" / name).write_text("old")
    (work / "secrets" / "long").write_text(LEAK + "x" * (1 << 20))
    (work / "secrets" / "nul").write_text(f"{LEAK}\0")
    (work / "mounted" / "F_IN_FOLDER").write_text(f"{LEAK}\x1b\n")
    for secret in [*(work / "secrets").iterdir(), *(work / "mounted").iterdir()]:
        if secret.is_file():
            secret.chmod(0o600)
    files = {"BOTH": "nul", "MISSING": "gone", "FOLDER": "folder", "LONG": "long", "NUL": "nul"}
    env: dict[str, str | bytes] = {
        f"F_{name}_FILE": str(work / "secrets" / file) for name, file in files.items()
    }
    return Bench(work, work / "templates", work / "target", {**ENVIRONMENT, **env})


def test_every_fault_of_a_folder_is_listed_at_its_place_and_nothing_is_written(
    bench: Bench,
) -> None:
    expected = [
        (str(bench.templates / template.name), *place, message, template.exact)
        for template in sorted(TEMPLATES, key=lambda template: template.name)
        for place, message in zip(template.places(), template.messages, strict=True)
    ]
    assert len(expected) >= 25
    before = bench.snapshot()
    status, text = bench.render(str(bench.templates), str(bench.target))
    assert status == 65
    assert bench.snapshot() == before
    assert LEAK not in text
    *lines, last = text.splitlines()
    found = [re.fullmatch(r"error render: (.+?):(\d+):(\d+): (.+)", line) for line in lines]
    problems = []
    for match, (path, line, column, message, exact) in zip(found, expected):
        assert match, text
        place = (match[1], int(match[2]), int(match[3]) if exact else column)
        if place != (path, line, column) or not re.match(message, match[4]):
            problems.append(f"{match[0]}\n   is not {path}:{line}:{column}: {message}")
    assert not problems, "\n".join(problems)
    assert len(lines) == len(expected), text
    assert last == f"error render: {len(expected)} faults in the templates; nothing was written"


def test_check_lists_the_same_faults(bench: Bench) -> None:
    rendered = bench.render(str(bench.templates), str(bench.target))
    before = bench.snapshot()
    assert bench.render("--check", str(bench.templates)) == rendered
    assert bench.snapshot() == before


def test_each_template_alone_has_the_faults_that_it_has_in_the_folder(bench: Bench) -> None:
    _, all_of_them = bench.render("--check", str(bench.templates))
    for template in TEMPLATES:
        if template.messages:
            path = str(bench.templates / template.name)
            status, text = bench.render(path, str(bench.target / template.name))
            assert status == 65
            ours = [line for line in all_of_them.splitlines() if path in line]
            assert text.splitlines()[:-1] == ours


def test_text_has_faults_too(bench: Bench) -> None:
    template = Template(
        "text",
        f"a {MARK}${{F_UNSET}} {MARK}${{F_NUL}}\n\n{MARK}${{F_BOTH}} ${{F_LATIN}} ${{F_CONTROL}}\n"
        f"{MARK}${{F_UNCLOSED:-\n",
        [
            "F_UNSET is not set",
            "F_NUL holds bytes that cannot stand here",
            "F_BOTH and F_BOTH_FILE are both set",
            "F_UNCLOSED: the placeholder has no }",
        ],
    )
    source = bench.work / template.name
    source.write_bytes(template.content)
    before = bench.snapshot()
    status, text = bench.render("--format", "text", str(source), str(bench.target / "text"))
    assert status == 65
    assert bench.snapshot() == before
    assert LEAK not in text
    found = re.findall(r"^error render: \S+/text:(\d+):(\d+): (.+)$", text, re.MULTILINE)
    assert [(int(line), int(column)) for line, column, _ in found] == list(template.places())
    for message, (_, _, actual) in zip(template.messages, found, strict=True):
        assert re.match(message, actual)


@pytest.mark.parametrize(
    "name,content",
    [
        (
            "a.xml",
            "<configuration>\n<property><name>a</name><value>${F_UNSET}</value></property>\n"
            "<property><name>b</name><value>${F_BRINGS}</value></property>\n</configuration>\n",
        ),
        ("a.conf", "spark.a ${F_UNSET}\nspark.b ${F_TRAILING}\n\\u00g0 x\n"),
    ],
    ids=["xml", "properties"],
)
def test_what_is_judged_once_expanded_is_listed_beside_what_is_missing(
    bench: Bench, name: str, content: str
) -> None:
    source = bench.work / name
    source.write_text(content)
    status, text = bench.render("--check", str(source))
    assert status == 65
    found = re.findall(rf"^error render: {source}:(\d+):\d+: ", text, re.MULTILINE)
    assert found == (["2", "3"] if name == "a.xml" else ["1", "2", "3"]), text


def test_a_secret_that_may_not_be_read_is_a_fault(bench: Bench) -> None:
    if os.geteuid() == 0:
        # To root every file is readable, but not a link to itself.
        (bench.work / "secrets" / "closed").symlink_to("closed")
    else:
        (bench.work / "secrets" / "closed").write_text(LEAK)
        (bench.work / "secrets" / "closed").chmod(0)
    source = bench.work / "text"
    source.write_text("${CLOSED}\n")
    closed = {"CLOSED_FILE": str(bench.work / "secrets" / "closed")}
    again = dataclasses.replace(bench, env={**bench.env, **closed})
    status, text = again.render(str(source), str(bench.target / "text"))
    assert status == 65
    assert re.search(r"text:1:1: cannot read \S+/secrets/closed for CLOSED: ", text)
    assert not (bench.target / "text").exists()
