"""Plots of results: who is how good where, and at what price."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsegany._optional import optional_import
from medsegany.benchmark._results import Measurement
from medsegany.benchmark._tables import Metric, by_case
from medsegany.io._files import atomically
from medsegany.overlays import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
_LETTERS_PER_INCH = 11
_FEW_DECADES = 100  # on the axis of seconds: 1, 2 and 5 have numbers
_MARKERS = "oDs^"
_WORDS = {"dsc": "DSC", "nsd": "NSD"}


def dots_and_boxes(
    rows: Sequence[Measurement], metric: Metric = "dsc", coloured: Sequence[str] = ()
) -> "Figure":
    """Every case a dot, over a box of quartiles: like figures 2 and 3 of the paper.

    Args:
        rows: With scores, of one protocol.
        metric: "dsc" or "nsd".
        coloured: Models in the order of their colours, where several plots are to agree.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    good = [row for row in rows if row.status == "ok"]
    modalities = sorted({row.modality for row in good})
    models = sorted({row.model for row in good})
    places_of = {model: n for n, model in enumerate(coloured or models)}
    width = max(5.0, 1.2 + 0.5 * len(modalities) * (len(models) + 1))
    figure = _figure(min(width, 16.0), 4.2)
    axes = figure.add_subplot()
    rng = np.random.default_rng(0)  # where dots stand within their column
    for n, model in enumerate(models):
        colour, marker = _colour(places_of[model]), _marker(places_of[model])
        for k, modality in enumerate(modalities):
            here = [r for r in good if (r.model, r.modality) == (model, modality)]
            means = [mean for mean, _ in by_case(here, metric).values()]
            if not means:
                continue
            x = k * (len(models) + 1) + n
            axes.boxplot(
                [means], positions=[x], widths=0.7, showfliers=False, patch_artist=True,
                boxprops={"facecolor": (*colour, 0.25), "edgecolor": colour},
                medianprops={"color": colour, "linewidth": 2},
                whiskerprops={"color": colour}, capprops={"color": colour},
            )  # fmt: skip
            spread = x + rng.uniform(-0.22, 0.22, len(means))
            axes.scatter(
                spread, means, s=12, color=[colour], marker=marker, alpha=0.8, linewidths=0,
                zorder=3,
            )  # fmt: skip
        axes.scatter([], [], color=[colour], marker=marker, label=model)
    middle = (len(models) - 1) / 2
    places = [k * (len(models) + 1) + middle for k in range(len(modalities))]
    axes.set_xticks(places, modalities, rotation=30 if len(modalities) > 4 else 0, ha="right"
                    if len(modalities) > 4 else "center")  # fmt: skip
    axes.set(ylabel=f"{_WORDS[metric]} of a case", ylim=(-0.02, 1.02))
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    _name_colours(figure, axes)
    return figure


def prices(rows: Sequence[Measurement], coloured: Sequence[str] = ()) -> "Figure":
    """Seconds for a case, and peak memory, against the mean DSC; one point for each model.

    Models that have fewer cases than another one are left out: their means are of other cases.

    Args:
        rows: With scores, of one protocol and of cases of one kind.
        coloured: See `dots_and_boxes`.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    good = [row for row in rows if row.status == "ok"]
    figure = _figure(8.0, 3.4)
    left, right = figure.subplots(1, 2, sharey=True)
    ticker = optional_import("matplotlib.ticker", extra="benchmark", purpose="draw figures")
    spent, held = [], []
    models = sorted({row.model for row in good})
    places_of = {model: n for n, model in enumerate(coloured or models)}
    every = max(len({row.case for row in good if row.model == model}) for model in models)
    for model in models:
        n, here = places_of[model], [row for row in good if row.model == model]
        if len({row.case for row in here}) < every:
            continue
        dsc = _mean_of_modalities(here)
        seconds = float(np.median(list({row.case: row.seconds for row in here}.values())))
        memory = max(row.peak_bytes for row in here) / 2**30
        spent.append(seconds)
        held.append(memory)
        for axes, value in ((left, seconds), (right, memory)):
            axes.scatter(
                [value], [dsc], s=60, color=[_colour(n)], marker=_marker(n), zorder=3, label=model
            )
    left.set(xlabel="seconds for a case (median)", ylabel="mean DSC of modalities", xscale="log")
    right.set(xlabel="peak memory (GiB)")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.margins(y=0.25)
    shortest, longest = min(spent), max(spent)
    left.set_xlim(shortest / 2, longest * 2)
    left.xaxis.set_major_locator(
        ticker.LogLocator(subs=(1.0, 2.0, 5.0) if longest < _FEW_DECADES * shortest else (1.0,))
    )
    left.xaxis.set_major_formatter("{x:g}")
    left.xaxis.set_minor_formatter("")
    right.set_xlim(0, 1.15 * max(held) or 1.0)  # Windows tells of none
    _name_colours(figure, left)
    return figure


def _name_colours(figure: "Figure", axes: "Axes") -> None:
    """Above the plot, in as many lines as it takes; names beside points would hide each other."""
    points, names = axes.get_legend_handles_labels()
    letters = 4 + max(map(len, names))
    columns = max(1, int(figure.get_figwidth() * _LETTERS_PER_INCH / letters))
    figure.legend(
        points, names, frameon=False, ncols=min(len(names), columns), loc="outside upper center"
    )


def _mean_of_modalities(rows: Sequence[Measurement]) -> float:
    means = [
        np.mean([mean for mean, _ in by_case(here, "dsc").values()])
        for here in ([r for r in rows if r.modality == m] for m in {r.modality for r in rows})
    ]
    return float(np.mean(means))


def save(figure: "Figure", path: Path) -> Path:
    """Write a figure as the ending says."""
    kind = path.suffix.removeprefix(".")
    about: Mapping[str, Any] = {"metadata": {"Date": None}} if kind == "svg" else {}
    atomically(path, lambda part: figure.savefig(part, format=kind, dpi=DPI, **about))
    return path


def _figure(width: float, height: float) -> "Figure":
    figures = optional_import("matplotlib.figure", extra="benchmark", purpose="draw figures")
    figure: Figure = figures.Figure(figsize=(width, height), layout="constrained")
    return figure


def _colour(number: int) -> tuple[float, float, float]:
    red, green, blue = COLOURS[number % len(COLOURS)]
    return red / 255, green / 255, blue / 255


def _marker(number: int) -> str:
    """Another one where colours begin again."""
    return _MARKERS[number // len(COLOURS) % len(_MARKERS)]
