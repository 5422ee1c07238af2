"""What is linked into the release binary, under which licence, and from which sources: the SBOM and
what `make sources` packs, each compared with the others, with the lock and with the binary."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import zipfile
from typing import Any

import jsonschema
import pytest
import rig

RELEASE = rig.ROOT / "build" / "release"
DEPS = rig.ROOT / "deps"
# What libcurl is often linked with, as curl_version() writes it.
UNWANTED = (
    *("brotli", "libgsasl", "libidn2", "libpsl", "librtmp", "libssh", "libssh2", "nghttp2"),
    *("OpenLDAP", "zlib", "zstd"),
)
# Its wheel brings the schemas that the standard's authors publish.
SCHEMA_WHEEL = "cyclonedx-python-lib==11.12.0"
SCHEMA_SHA256 = "0e807521a921a5c3cb8ce1153f8a61d29eedfe76a46aac2796b7c6b573391a54"


def output(*args: str | pathlib.Path, cwd: pathlib.Path = rig.ROOT) -> str:
    """Run a command that succeeds and return its standard output."""
    return subprocess.run(args, cwd=cwd, stdout=subprocess.PIPE, text=True, check=True).stdout


def pins(arch: str) -> list[list[str]]:
    """Return the rows of deps/lock for an architecture: package, version, file, sum."""
    rows = [line.split() for line in (DEPS / "lock").read_text().splitlines()]
    rows = [row for row in rows if row and row[0] != "#" and not row[0].startswith("#")]
    return [row for row in rows if ":" not in row[0] or row[0].endswith(f":{arch}")]


@pytest.fixture(scope="session")
def arch() -> str:
    """Debian's name for this machine's architecture."""
    return output("dpkg", "--print-architecture").strip()


@pytest.fixture(scope="session")
def sources() -> pathlib.Path:
    """What `make sources` packs; it builds the release binary and all that is beside it too."""
    output("make", "-s", "sources")
    (tar,) = RELEASE.glob(f"sparkpod-*-{commit()}-*-sources.tar")
    return tar


@pytest.fixture(scope="session")
def sbom(sources: pathlib.Path) -> Any:
    """The SBOM of the release binary."""
    return json.loads((sources.parent / "sparkpod.cdx.json").read_text())


@pytest.fixture(scope="session")
def schemas() -> dict[str, Any]:
    """The schemas of CycloneDX by their file names, fetched once."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    folder = cache / "sparkpod" / SCHEMA_WHEEL
    if not list(folder.glob("*.whl")):
        wanted = rig.work_folder() / "requirements"
        wanted.write_text(f"{SCHEMA_WHEEL} --hash=sha256:{SCHEMA_SHA256}\n")
        pip = ["python3", "-m", "pip", "download", "-q", "--no-deps", "-r", wanted]
        output(*pip, "--dest", folder)
        shutil.rmtree(wanted.parent)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {
            pathlib.Path(name).name.replace(".SNAPSHOT", ""): json.loads(archive.read(name))
            for name in archive.namelist()
            if name.endswith(".schema.json")
        }


def commit() -> str:
    """Return the commit that is checked out."""
    return output("git", "rev-parse", "--short=12", "HEAD").strip()


def linked_by_name() -> dict[str, str]:
    """Return what `sparkpod version` says of the release binary: library, version."""
    lines = output(RELEASE / "sparkpod", "version").splitlines()
    assert lines[0].startswith("sparkpod "), lines
    return dict(word.split("/") for line in lines[1:] for word in line.split())


# --- the SBOM ------------------------------------------------------------------------------------


def test_the_sbom_is_valid_cyclonedx(sbom: Any, schemas: dict[str, Any]) -> None:
    schema = schemas["bom-1.5.schema.json"]
    store = {f"http://cyclonedx.org/schema/{name}": text for name, text in schemas.items()}
    store |= {value["$id"].replace(".SNAPSHOT", ""): value for value in schemas.values()}
    store |= {value["$id"]: value for value in schemas.values()}
    validator = jsonschema.Draft7Validator(
        schema, resolver=jsonschema.RefResolver(schema["$id"], schema, store=store)
    )
    assert [error.message for error in validator.iter_errors(sbom)] == []
    broken = {**sbom, "components": [{"name": "no type"}]}
    assert list(validator.iter_errors(broken))


def test_the_sbom_and_the_binary_name_the_same_libraries(sbom: Any) -> None:
    listed = {part["name"]: re.split(r"[-+]", part["version"])[0] for part in sbom["components"]}
    assert len(listed) == len(sbom["components"])
    for silent in ("musl", "libgcc"):  # which have no say in `version`
        assert listed.pop(silent)
    assert listed == linked_by_name()


def test_the_sbom_is_of_this_binary_and_commit(sbom: Any) -> None:
    about = sbom["metadata"]["component"]
    (digest,) = about["hashes"]
    assert digest["content"] == hashlib.sha256((RELEASE / "sparkpod").read_bytes()).hexdigest()
    first = output(RELEASE / "sparkpod", "version").splitlines()[0]
    assert first == f"sparkpod {about['version']} (commit {about['properties'][0]['value']})"


def test_the_sbom_and_the_lock_name_the_same_files(sbom: Any, arch: str) -> None:
    listed = {
        (pathlib.PurePath(file["url"]).name, file["hashes"][0]["content"], part["version"])
        for part in sbom["components"]
        for file in part["externalReferences"]
    }
    assert listed == {(file, digest, version) for _, version, file, digest in pins(arch)}


def test_a_library_that_the_sbom_does_not_know_is_an_error(work: pathlib.Path) -> None:
    linker_map = work / "map"
    linker_map.write_text((RELEASE / "sparkpod.map").read_text() + "\n/usr/lib/libz.a(inflate.o)\n")
    prefix = output("deps/build-static").strip()
    run = subprocess.run(
        [DEPS / "sbom", prefix, linker_map, RELEASE / "sparkpod"], capture_output=True, text=True
    )
    assert run.returncode == 1
    assert "libz.a" in run.stderr and run.stdout == ""


@pytest.mark.parametrize("name", UNWANTED)
def test_libcurl_has_nothing_that_is_not_needed(sources: pathlib.Path, name: str) -> None:
    assert name not in linked_by_name()
    mark = re.compile(rb"\b" + name.encode() + rb"/%")
    assert not mark.search((sources.parent / "sparkpod").read_bytes())


def test_what_marks_an_unwanted_library_is_found_where_there_is_one() -> None:
    (library,) = pathlib.Path("/usr/lib").glob("*-linux-gnu/libcurl.so.4")
    found = re.findall(rb"\b([A-Za-z0-9]+)/%", library.read_bytes())
    assert {"libidn2", "libpsl", "librtmp", "libssh2", "nghttp2", "zlib"} <= {
        name.decode() for name in found
    }


# --- licences ------------------------------------------------------------------------------------


def test_each_licence_is_allowed_and_its_text_is_there(sbom: Any) -> None:
    rows = [
        re.split(r"\s{2,}", line)
        for line in (DEPS / "licences").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    allowed = dict(rows)
    used = set()
    for part in [sbom["metadata"]["component"], *sbom["components"]]:
        (licence,) = part["licenses"]
        expression = licence["expression"]
        assert expression in allowed, part["name"]
        (text,) = (RELEASE / "licenses" / part["name"]).iterdir()
        assert allowed[expression].lower() in text.read_text().lower(), part["name"]
        used.add(expression)
    assert used == allowed.keys(), "allowed and not used"
    names = {part["name"] for part in sbom["components"]} | {"sparkpod"}
    assert {path.name for path in (RELEASE / "licenses").iterdir()} == names


# --- sources -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def unpacked(sources: pathlib.Path, session_folder: pathlib.Path) -> pathlib.Path:
    """The packed sources in a folder of their own."""
    folder = session_folder / "sources"
    folder.mkdir()
    with tarfile.open(sources) as tar:
        tar.extractall(folder)
    (top,) = folder.iterdir()
    assert f"{top.name}.tar" == sources.name
    return top


def test_packing_twice_gives_the_same_bytes(sources: pathlib.Path, work: pathlib.Path) -> None:
    prefix = output("deps/build-static").strip()
    again = output("deps/pack-sources", prefix, work, cwd=rig.ROOT).strip()
    assert pathlib.Path(again).read_bytes() == sources.read_bytes()
    assert [path.name for path in work.iterdir()] == [sources.name]


def test_the_sources_are_what_the_lock_says_and_no_more(unpacked: pathlib.Path, arch: str) -> None:
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (unpacked / "deps" / "sources").iterdir()
        if path.name != "commit"
    }
    assert found == {file: digest for _, _, file, digest in pins(arch)}
    ours = set(output("git", "ls-tree", "-r", "--name-only", "HEAD").splitlines())
    packed = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert {name for name in packed if not name.startswith("deps/sources/")} == ours


@pytest.fixture(scope="session")
def built(unpacked: pathlib.Path) -> pathlib.Path:
    """The release binary built from the packed sources, and from what is not committed yet."""
    folder = unpacked.parent.parent / "built"
    shutil.copytree(unpacked, folder)
    for name in output("git", "ls-files", "-mo", "--exclude-standard").splitlines():
        (folder / name).unlink(missing_ok=True)
        if (rig.ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(rig.ROOT / name, folder / name)
    output("make", "-s", "-j2", "FLAVOUR=release", "build/release/sparkpod.cdx.json", cwd=folder)
    return folder


def test_the_sources_build_the_same_binary_elsewhere(
    sources: pathlib.Path, built: pathlib.Path
) -> None:
    for name in ("sparkpod", "sparkpod.cdx.json"):
        ours = (sources.parent / name).read_bytes()
        assert (built / "build" / "release" / name).read_bytes() == ours, name


def test_a_changed_libmicrohttpd_is_linked_in_as_documented(built: pathlib.Path) -> None:
    text = (rig.ROOT / "docs" / "supply-chain.md").read_text()
    (commands,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    said = output("bash", "-euc", commands, cwd=built)
    assert "libmicrohttpd/0.9.75-changed" in said.splitlines()[-1]
