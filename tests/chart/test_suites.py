"""The suites of helm-unittest leave out no template and no value."""

from __future__ import annotations

from typing import Any, Iterator

import yaml

from chart import CHART, paths

SUITES = [yaml.safe_load(path.read_text()) for path in CHART.glob("tests/**/*_test.yaml")]

# Values that no suite sets, and why.
UNSET: dict[str, str] = {}


def test_every_template_has_a_suite() -> None:
    """In the folder of its name."""
    templates = [
        path.relative_to(CHART / "templates")
        for path in CHART.glob("templates/**/*")
        if path.is_file() and path.suffix != ".tpl"
    ]
    assert len(templates) > 20
    listed = {template for suite in SUITES for template in suite["templates"]}
    assert not {str(path) for path in templates} - listed
    for path in templates:
        name = "notes" if path.name == "NOTES.txt" else path.stem
        assert (CHART / "tests" / path.parent / f"{name}_test.yaml").exists(), path


def set_paths() -> Iterator[str]:
    """Give the path of every value that a test sets."""
    for suite in SUITES:
        for its in [suite, *suite["tests"]]:
            for key, value in its.get("set", {}).items():
                yield key
                if isinstance(value, dict):
                    yield from (path for path, _ in paths(value, f"{key}."))


def is_leaf(value: Any) -> bool:
    """Whether it has no values below it; an empty map is the user's to fill."""
    return not isinstance(value, dict) or not value


def test_every_value_is_set_by_a_test() -> None:
    """One that none sets may do nothing."""
    found = set(set_paths())
    # The keys of what is a map in values.yaml are the user's.
    found |= {path.rpartition(".")[0] for path in found}
    values = paths(yaml.safe_load((CHART / "values.yaml").read_text()))
    leaves = {path for path, value in values if is_leaf(value)}
    assert len(leaves) > 300
    assert sorted(leaves - found) == sorted(UNSET)


def test_names_are_different_sentences() -> None:
    """So that a failure is found."""
    for suite in SUITES:
        names = [its["it"] for its in suite["tests"]]
        assert len(names) == len(set(names)), suite["suite"]
        assert all(" " in name for name in names)
        assert all(its["asserts"] for its in suite["tests"])
