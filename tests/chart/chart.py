"""Renders the chart, and reads what came out or why nothing did."""

from __future__ import annotations

import functools
import json
import os
import pathlib
import re
import subprocess
from typing import Any, Iterator, Mapping, Optional

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / os.environ.get("CHART", "helm")
MINIMAL = CHART / "ci" / "minimal.yaml"
SETS = sorted([*CHART.glob("ci/*.yaml"), *CHART.glob("examples/*.yaml")])
NEWEST = "1.37"

Values = Mapping[str, Any]
Object = dict[str, Any]


class Objects(dict[tuple[str, str], Object]):
    """What the chart rendered, by kind and name."""

    def of(self, kind: str) -> list[Object]:
        """Return all of one kind."""
        return [found for (its, _), found in self.items() if its == kind]

    def one(self, kind: str, name: str) -> Object:
        """Return that one; the failure says which of its kind there are."""
        names = [its for a_kind, its in self if a_kind == kind]
        assert name in names, f"no {kind} {name!r}; there are {names}"
        return self[kind, name]


@functools.lru_cache(maxsize=None)
def tool(name: str) -> str:
    """Return the path of a pinned program."""
    run = subprocess.run(
        [ROOT / "deps" / "tool", name], stdout=subprocess.PIPE, text=True, check=True
    )
    return run.stdout.strip()


# pylint: disable-next=too-many-arguments
def template(
    values: Optional[Values] = None,
    *,
    base: Optional[pathlib.Path] = MINIMAL,
    release: str = "release",
    namespace: str = "spark",
    kubernetes: str = NEWEST,
    helm: str = "helm4",
    args: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    """Run `helm template` with the values laid over those of the base."""
    files = ["--values", str(base)] if base else []
    return subprocess.run(
        [
            *(tool(helm), "template", release, str(CHART), "--namespace", namespace),
            *("--kube-version", kubernetes, *files, "--values", "-", *args),
        ],
        input=json.dumps(values or {}, ensure_ascii=False),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def parse(rendered: str) -> Objects:
    """Read a stream of objects; no kind may have a name twice."""
    objects = Objects()
    for found in yaml.safe_load_all(rendered):
        if found:
            key = found["kind"], found["metadata"]["name"]
            assert key not in objects, f"{key} is there twice"
            objects[key] = found
    return objects


def render(values: Optional[Values] = None, **options: Any) -> Objects:
    """Return what the values make of the chart; options as for template()."""
    run = template(values, **options)
    assert run.returncode == 0 and not run.stderr, run.stderr
    return parse(run.stdout)


@functools.lru_cache(maxsize=None)
def render_set(path: pathlib.Path) -> Objects:
    """Return what a whole set of values renders, alone."""
    return render(base=path)


def names_value(line: str) -> bool:
    """Whether the line has the path of a value in it, or is the schema's and says where it is."""
    known = dict(paths(yaml.safe_load((CHART / "values.yaml").read_text())))
    maps = tuple(f"{path}." for path, value in known.items() if value == {})
    words = re.findall(r"[A-Za-z][\w.]*\.[\w.]*\w", line)
    # What is in a map of the user's is known by the map.
    return "at '" in line or any(word in known or word.startswith(maps) for word in words)


def paths(values: Values, above: str = "") -> Iterator[tuple[str, Any]]:
    """Give the path of every value in there, and the value."""
    for key, value in values.items():
        yield above + key, value
        if isinstance(value, dict):
            yield from paths(value, f"{above}{key}.")


def pod_specs(objects: Objects) -> Iterator[tuple[str, Object]]:
    """Give what each pod of these objects is to be, with the name of its object."""
    for (kind, name), found in objects.items():
        if kind == "Pod":
            yield f"{kind} {name}", found["spec"]
        elif "template" in found.get("spec", {}):
            yield f"{kind} {name}", found["spec"]["template"]["spec"]


def containers(spec: Object) -> list[Object]:
    """Return all containers of a pod, whenever they run."""
    return [*spec.get("initContainers", []), *spec["containers"]]
