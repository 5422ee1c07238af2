"""Secrets through sparkpod and back out of the JVM's own readers: what a format can carry reads
back exactly, what it cannot is refused by name. What it can carry is told here by the formats'
specifications, not by how sparkpod goes about it.

Each secret stands in five places: text, attribute and CDATA of Hadoop's XML, key and value of
properties. One trial has a fixed seed, the other a fresh one; SPARKPOD_TEST_SEED repeats it.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import pathlib
import random
import re
import shutil
import subprocess
from typing import Iterator

import pytest
import rig

FIXED_SEED = 1
FRESH_SEED = int(os.environ.get("SPARKPOD_TEST_SEED") or random.SystemRandom().getrandbits(32))

COUNT = 10_000
CHUNK = 1_000  # secrets in a run; a report of faults holds 1 MiB
PAIRS = 100  # settings of two secrets, in each file
MAX_BYTES = 4_096

# --- secrets -------------------------------------------------------------------------------------

# Each of these is a secret, and every ordered pair of them. sparkpod itself marks places with the
# characters from U+100000 on.
SPECIAL = [
    *"$`{}\\/<>&;'\"[]-!?#=:%,.@un0aZ",
    *" \t\n\r\f\v\x01\x08\x1b\x1f\x7f",
    *"\x80\x85\xa0é\u2028\u2029\ud7ff\ue000\ufeff\ufffd\ufffe\uffff",
    *"\U00010000\U0001f600\U000fffff\U00100000\U00100001\U0010fffd\U0010ffff",
]

# What the other secrets are made of: first what every format can carry, if not at the ends.
TAME = [
    *("secret", "p4ss", "äöü", "日本語", "\U0001f511\U0001f600", "e\u0301", "\U00100000\U00100002"),
    *("$", "$$", "$1", "$$$", "{", "{NAME}", "}", "\\", "\\\\", "\\\\\\", "\\\\\\\\", "\\$"),
    *("\\u", "\\u0041", "\\u00", "\\uD83D", "\\uD83D\\uDE00", "\\n", "\\ ", "\\="),
    *("\r", "\n", "\r\n", "\n\r", "\t", "\x7f", "\x80", "\x85", "\u2028", "\ufeff"),
    *("]", "]]", "]]]", "]]>", "]>", ">", "<![CDATA[", "<!--", "-->", "--", "<?", "?>", "</value>"),
    *("<value>", "<", "&", "&amp;", "&lt", "&#0;", "&#10;", "&#x26;", "&x;", "'", '"', "''\""),
    *("#", "!", "=", ":", " = ", "key=value", "key: value", " ", "  ", "\t ", "%", "%s", "*", "~"),
]
# Then what at least one cannot.
WILD = [
    *("${", "$${", "${NAME}", "${NAME:-x}", "${a.b}", "${env:HOME}", "$${x}", "${${x}}"),
    *("\f", "\v", "\x01", "\x1f", "\b", "\x1b[0m", "\ufffe", "\uffff"),
]
NOT_UTF8 = [
    *(b"\x80", b"\xc3", b"\xff", b"\xfe\xff", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x9f\xbf"),
    *(b"\xe2\x82", b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf0\x8f\xbf\xbf"),
    *(b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80"),
]
BLANKS = [" ", "\t", "\n", "\r", "\r\n", "\f", "\v", " \t", "\x1f"]


def of_every_trial() -> Iterator[bytes]:
    """Secrets that every trial has."""
    yield b""
    yield from ((one + other).encode() for one in SPECIAL for other in SPECIAL)
    texts = SPECIAL + TAME + WILD + [blank * count for blank in BLANKS for count in (2, 3, 7)]
    parts = [text.encode() for text in texts] + [bytes([byte]) for byte in range(128)] + NOT_UTF8
    for part in parts:
        yield from (part, b"x" + part, part + b"x", b"x" + part + b"x")
    yield from (b"\0\0", b"\0${", "ä\0".encode(), bytes(range(1, 128)), bytes(range(126, 31, -1)))
    for char in ("x", "\\", "]", "<", "ä", "€", "\U0010fffd"):
        yield char.encode() * (MAX_BYTES // len(char.encode()))


def by_chance(rng: random.Random) -> bytes:
    """One more secret: a few pieces; now and then many, or one that some format refuses."""
    length = int(MAX_BYTES ** rng.random()) if rng.random() < 0.08 else 0
    pieces = rng.choices(TAME, k=rng.randint(1, 6))
    while sum(map(len, pieces)) < length:
        pieces += rng.choices(TAME, k=16)
    if rng.random() < 0.15:
        pieces[rng.randrange(len(pieces))] = rng.choice(WILD + SPECIAL)
    secret = "".join(pieces).encode()[: length or MAX_BYTES].decode(errors="ignore").encode()
    if rng.random() < 0.005:
        cut = rng.randrange(len(secret) + 1)
        secret = secret[:cut] + rng.choice([*NOT_UTF8, b"\0"]) + secret[cut:]
    return secret


def make_secrets(rng: random.Random) -> dict[str, bytes]:
    """All secrets of a trial, no two the same, by name."""
    made = dict.fromkeys(of_every_trial())
    while len(made) < COUNT:
        made[by_chance(rng)] = None
    secrets = list(made)
    rng.shuffle(secrets)
    return {f"S{number:05}": secret for number, secret in enumerate(secrets)}


def as_file(secret: bytes, rng: random.Random) -> bytes:
    """A file that holds the secret: one line end at its end does not belong to it."""
    ends = [b"\n", b"\r\n"]
    if secret.endswith(b"\r"):
        ends = [b"", b"\r\n"]
    elif not secret.endswith(b"\n"):
        ends += [b"", b""]
    return secret + rng.choice(ends)


# --- places --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Place:
    """A kind of file whose settings all hold their secrets in the same place."""

    file: str
    head: str
    settings: tuple[str, ...]  # {id} is the setting's number, {text} what holds the secrets
    tail: str
    # How a secret is put there: as the template has it, and what that means; @ is the secret.
    alone: tuple[tuple[str, str], ...]
    together: tuple[tuple[str, str], ...]

    @property
    def is_xml(self) -> bool:
        """Say whether it is Hadoop's XML; else it is properties."""
        return self.file.endswith(".xml")

    @property
    def is_key(self) -> bool:
        """Say whether the secrets are keys; else they are values."""
        return self.file == "keys.properties"

    @property
    def readers(self) -> tuple[str, ...]:
        """Who reads such a file, by ReadBack's names."""
        return ("hadoop", "raw", "dom") if self.is_xml else ("reader", "latin1", "spark")


DOLLAR = ("${NONE:-$}@", "$@")  # NONE is not set

PLACES = (
    Place(
        "text.xml",
        "<configuration>\n",
        ("<property><name>{id}</name><value>{text}</value></property>\n",),
        "</configuration>\n",
        (
            *(("a@z", "a@z"), (" @\t", "@"), ("]@&gt;", "]@>"), ("]]@", "]]@"), ("@>", "@>")),
            *(("&lt;@", "<@"), ("<!-- x -->@<?y z?>", "@"), ("a<![CDATA[ ]]>@", "a @")),
            *(("a]<![CDATA[]]]>@", "a]]@"), ("@{", "@{"), DOLLAR),
        ),
        (("@@", "@@"), ("@-@", "@-@"), ("@<!-- -->@", "@@"), ("@<![CDATA[@]]>", "@@")),
    ),
    Place(
        "attribute.xml",
        "<?xml version='1.0' encoding='UTF-8'?>\n<configuration>\n",
        (
            '<property name="{id}" value="{text}"/>\n',
            "<property  value = '{text}'\n name='{id}' ></property>\n",
        ),
        "</configuration>\n",
        (
            *(("a@z", "a@z"), (" @ ", " @ "), ("&lt;@]]&gt;", "<@]]>"), ("&#9;@", "\t@")),
            *(("@{", "@{"), DOLLAR),
        ),
        (("@@", "@@"), ("@ @", "@ @")),
    ),
    Place(
        "cdata.xml",
        "<configuration>\n",
        ("<property><name>{id}</name><value><![CDATA[{text}]]></value></property>\n",),
        "</configuration>\n",
        (
            *(("a@z", "a@z"), ("]@", "]@"), ("]]@", "]]@"), ("@>", "@>"), ("@]", "@]")),
            *(("&amp;@", "&amp;@"), ("a]]>@<![CDATA[>", "a@>"), ("@{", "@{"), DOLLAR),
        ),
        (("@@", "@@"), ("@-@", "@-@"), ("@]]><![CDATA[@", "@@"), ("@]]>@<![CDATA[", "@@")),
    ),
    Place(
        "keys.properties",
        "# ${NOT_A_PLACEHOLDER}\n",
        ("{text}={id}\n", "  {text} : {id}\n", "{text}\t{id}\n", "{text}=\\\n {id}\n"),
        "",
        (
            *(("a@z", "a@z"), ("\\\\@", "\\@"), ("\\ @\\:", " @:"), ("a\\\n @z", "a@z")),
            *(("\\\n@", "@"), ("@{", "@{"), DOLLAR),
        ),
        (("@@", "@@"), ("@-@", "@-@"), ("@\\\n  @", "@@")),
    ),
    Place(
        "values.conf",
        "",
        ("{id}={text}\n", "{id} {text}\n", "\t{id} : {text}\r\n"),
        "",
        (
            *(("a@z", "a@z"), ("\\\\@", "\\@"), ("a=@", "a=@"), ("\\\n  @", "@")),
            *(("@\\\n  z", "@z"), ("a\\\n@\\u0041", "a@A"), ("@{", "@{"), DOLLAR),
        ),
        (("@@", "@@"), ("@-@", "@-@"), ("@\\\n  @", "@@")),
    ),
)

# --- settings ------------------------------------------------------------------------------------

# How short secrets end and begin that are put side by side.
JOINTS = [
    *(b"${", b"]]", b"]>", b"\\u", b"\\n", b"\\\\", b"\r\n", b"&#", b"<!", b"--"),
    *(b"  ", b" =", b"a\t", b"\t\f"),
]

# https://www.w3.org/TR/xml/#charsets
NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# What Spark trims off a value: Utils.trimExceptCRLF().
TRIMMED = bytes(byte for byte in range(0x21) if byte not in b"\r\n")


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting of a template, and what has to become of it."""

    place: Place
    id: str
    secrets: dict[str, bytes]
    written: str
    pieces: list[tuple[str, bytes]]  # of the key or value: whose bytes, "" for the template's own

    @property
    def meaning(self) -> bytes:
        """The whole key or value."""
        return b"".join(data for _, data in self.pieces)

    @property
    def pair(self) -> tuple[str, str]:
        """The key and the value that a reader has to find."""
        text = self.meaning.decode()
        return (text, self.id) if self.place.is_key else (self.id, text)

    def can_hold(self, secret: bytes) -> bool:
        """Say whether the secret can stand in this place at all."""
        try:
            text = secret.decode()
        except UnicodeDecodeError:
            return False
        if text == "" or "\0" in text:
            return False
        return not self.place.is_xml or not NOT_XML.search(text)

    @functools.cached_property
    def faults(self) -> list[set[str]]:
        """The faults that have to be found: for each the secrets, one or more, that make it."""
        faults = [{name} for name, secret in self.secrets.items() if not self.can_hold(secret)]
        text = self.meaning
        owners = [name for name, data in self.pieces for _ in data]
        # Hadoop's Configuration and Spark's SparkConf expand ${...}, and nothing quotes it.
        for match in re.finditer(rb"\$\{", text):
            faults.append({*owners[match.start() : match.end()]})
        if not self.place.is_xml and not self.place.is_key:
            faults.append({*owners[: len(text) - len(text.lstrip(TRIMMED))]})
            faults.append({*owners[len(text.rstrip(TRIMMED)) :]})
        return [fault - {""} for fault in faults if fault - {""}]


def make_setting(
    place: Place, number: int, secrets: dict[str, bytes], rng: random.Random
) -> Setting:
    """Put one or two secrets in that place."""
    text, means = "@", "@"
    if len(secrets) > 1:
        text, means = rng.choice(place.together)
    elif rng.random() < 0.5:
        text, means = rng.choice(place.alone)
    own = means.split("@")
    pieces = [("", own[0].encode())]
    for (name, secret), literal in zip(secrets.items(), own[1:]):
        text = text.replace("@", f"${{{name}}}", 1)
        pieces += [(name, secret), ("", literal.encode())]
    written = rng.choice(place.settings).format(id=f"k{number}", text=text)
    return Setting(place, f"k{number}", secrets, written, pieces)


class Template:
    """A file with a setting for each of some secrets, and some for two at once."""

    def __init__(
        self, place: Place, names: list[str], secrets: dict[str, bytes], rng: random.Random
    ) -> None:
        short = {name: secret for name, secret in secrets.items() if 0 < len(secret) < 4}
        groups = [[name] for name in names]
        for joint in rng.choices(JOINTS, k=PAIRS):
            lefts = [name for name, secret in short.items() if secret[-1] == joint[0]]
            rights = [name for name, secret in short.items() if secret[0] == joint[1]]
            groups.append([rng.choice(lefts), rng.choice(rights)])
        self.place = place
        self.settings = [
            make_setting(place, number, {name: secrets[name] for name in group}, rng)
            for number, group in enumerate(groups)
        ]

    def good(self) -> list[Setting]:
        """The settings without a fault."""
        return [setting for setting in self.settings if not setting.faults]

    def write(self, folder: pathlib.Path, settings: list[Setting]) -> dict[str, Setting]:
        """Write some of the settings; return by FILE:LINE:COL: NAME whose placeholder that is."""
        text = self.place.head
        line = text.count("\n") + 1
        found = {}
        for setting in settings:
            for match in re.finditer(r"\$\{(S\d+)\}", setting.written):
                above = setting.written[: match.start()].split("\n")
                column = len(above[-1]) + 1
                at = f"{self.place.file}:{line + len(above) - 1}:{column}: {match[1]}"
                found[at] = setting
            line += setting.written.count("\n")
            text += setting.written
        (folder / self.place.file).write_bytes((text + self.place.tail).encode())
        return found


# --- trials --------------------------------------------------------------------------------------


class Trial:
    """Secrets in a folder, and templates for them: of each place one in each chunk."""

    def __init__(self, seed: int, folder: pathlib.Path) -> None:
        rng = random.Random(seed)
        secrets = make_secrets(rng)
        names = list(secrets)
        self.seed = seed
        self.folder = folder
        self.chunks = [
            [Template(place, names[first : first + CHUNK], secrets, rng) for place in PLACES]
            for first in range(0, COUNT, CHUNK)
        ]
        (folder / "secrets").mkdir()
        for name, secret in secrets.items():
            file = folder / "secrets" / name
            file.touch(mode=0o600)
            file.write_bytes(as_file(secret, rng))

    def render(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run sparkpod render with the secrets."""
        return rig.run_sparkpod("render", "--secrets", str(self.folder / "secrets"), *args)

    def complain(self, setting: Setting, what: str) -> str:
        """One line about a setting."""
        secrets = ", ".join(f"{name}={shorten(data)}" for name, data in setting.secrets.items())
        return f"seed {self.seed}, {setting.place.file}, {setting.written!r}, {secrets}: {what}"


def shorten(data: object) -> str:
    """A value for a message."""
    text = repr(data)
    return text if len(text) <= 120 else f"{text[:80]}...{text[-30:]}"


def report(complaints: list[str]) -> None:
    """Fail with the first complaints, if there are any."""
    if complaints:
        shown = "\n".join(complaints[:10])
        pytest.fail(f"{len(complaints)} mismatches:\n{shown}", pytrace=False)


@pytest.fixture(scope="module", params=[FIXED_SEED, FRESH_SEED], ids="seed_{}".format)
def trial(request: pytest.FixtureRequest) -> Iterator[Trial]:
    """A trial with that seed."""
    folder = rig.work_folder("sparkpod-round-trip-")
    print(f"SPARKPOD_TEST_SEED={request.param}")
    yield Trial(request.param, folder)
    shutil.rmtree(folder, ignore_errors=True)


def check_chunk(trial: Trial, number: int, messages: collections.Counter[str]) -> list[str]:
    """Let sparkpod check a chunk's templates; complain of each fault too many or too few."""
    folder = trial.folder / f"all-{number}"
    folder.mkdir()
    placeholders: dict[str, Setting] = {}
    for template in trial.chunks[number]:
        placeholders |= template.write(folder, template.settings)
    run = trial.render("--check", str(folder))
    assert run.returncode == 65, run.stderr[-2000:]
    faults = re.findall(rf"^\S+ error render: {folder}/(\S+ (S\d+))(.*)$", run.stderr, re.M)
    # One line more: the sum.
    assert run.stderr.count(" error ") == len(faults) + 1, run.stderr[-2000:]
    named: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    complaints = []
    for at, name, words in faults:
        messages[words.replace(name, "NAME")] += 1
        if at in placeholders:
            named[placeholders[at].place.file, placeholders[at].id].append(name)
        else:
            complaints.append(f"seed {trial.seed}: no such placeholder: {at}{words}")
    for template in trial.chunks[number]:
        for setting in template.settings:
            names = named[setting.place.file, setting.id]
            missed = any(fault.isdisjoint(names) for fault in setting.faults)
            wrong = [
                name
                for name in names
                if names.count(name) > sum(name in fault for fault in setting.faults)
            ]
            if missed or wrong:
                what = f"refused: {names or None}, to be refused: {setting.faults or None}"
                complaints.append(trial.complain(setting, what))
    return complaints


def test_exactly_what_a_format_cannot_carry_is_refused_by_name(trial: Trial) -> None:
    complaints: list[str] = []
    messages: collections.Counter[str] = collections.Counter()
    for number in range(len(trial.chunks)):
        complaints += check_chunk(trial, number, messages)
    report(complaints)
    print(dict(messages))
    # No two secrets are the same: words that are there only once might hold one.
    assert messages and min(messages.values()) > 1, messages.most_common()[-3:]


def test_all_else_reads_back_exactly_in_every_reader(trial: Trial, homes: rig.Homes) -> None:
    files: list[tuple[Template, str, pathlib.Path]] = []
    for number, chunk in enumerate(trial.chunks):
        source, target = trial.folder / f"good-{number}", trial.folder / f"filled-{number}"
        source.mkdir()
        target.mkdir()
        for template in chunk:
            template.write(source, template.good())
            file = target / template.place.file
            files += [(template, reader, file) for reader in template.place.readers]
        run = trial.render(str(source), str(target))
        assert run.returncode == 0, run.stderr[-2000:]
    complaints = []
    counts: collections.Counter[str] = collections.Counter()
    read = rig.read_back(homes, [(reader, file) for _, reader, file in files])
    for (template, reader, _), found in zip(files, read):
        # Of a key that is there twice the last counts.
        last = {setting.pair[0]: setting for setting in template.good()}
        for key, setting in last.items():
            value = found.pop(key, None)
            counts[f"{template.place.file} {reader}"] += 1
            if value != setting.pair[1]:
                complaints.append(trial.complain(setting, f"{reader} reads {shorten(value)}"))
        for key, value in found.items():
            stray = f"{shorten(key)}: {shorten(value)}"
            complaints.append(f"seed {trial.seed}, {template.place.file}: {reader} finds {stray}")
    report(complaints)
    print(dict(counts))
    assert len(counts) == 15 and min(counts.values()) > COUNT / 2, counts
