"""What the pictures in docs/ have in common: legible on white and on black, and the same file for
the same values."""

from __future__ import annotations

import pathlib

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot  # noqa: E402  pylint: disable=wrong-import-position

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
WIDTH_IN = 8.3  # of a README
TEXT, PEER, OURS, FASTER = "#768390", "#8c959f", "#3f8ae0", "#2da44e"

matplotlib.rcParams.update(
    {
        "svg.hashsalt": "sparkpod",
        "svg.fonttype": "none",
        "font.size": 10.5,
        "text.color": TEXT,
        "axes.edgecolor": TEXT,
        "axes.labelcolor": TEXT,
        "axes.facecolor": "none",
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "xtick.color": TEXT,
        "ytick.color": TEXT,
        "ytick.major.size": 0,
        "grid.color": TEXT,
        "grid.alpha": 0.3,
        "grid.linewidth": 0.6,
    }
)


def colour(contestant: str) -> str:
    """Return that of a contestant."""
    if contestant.endswith(", archive"):
        return FASTER
    return OURS if contestant.startswith("sparkpod") else PEER


def panels(
    heights: list[float], gap_in: float, left: float, right: float
) -> tuple[pyplot.Figure, list[pyplot.Axes]]:
    """Return a picture of panels of these heights in inches, one below the other."""
    height = sum(heights) + gap_in * len(heights)
    picture, axes = pyplot.subplots(
        len(heights), 1, figsize=(WIDTH_IN, height), squeeze=False, height_ratios=heights
    )
    picture.subplots_adjust(
        left=left,
        right=right,
        top=1 - 0.3 / height,
        bottom=(gap_in - 0.3) / height,
        hspace=gap_in / (sum(heights) / len(heights)),
    )
    return picture, list(axes[:, 0])


def rows(axes: pyplot.Axes, names: list[str]) -> None:
    """Name the rows of a panel, the first one on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x")


def save(picture: pyplot.Figure, name: str) -> pathlib.Path:
    """Write it into docs/."""
    path = DOCS / f"{name}.svg"
    picture.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    pyplot.close(picture)
    return path
