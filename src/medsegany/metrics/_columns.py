"""The columns of an evaluation: which metrics, at which tolerances."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from attrs import frozen

from medsegany.errors import InvalidInput
from medsegany.metrics._distances import SurfaceDistances
from medsegany.metrics._empty import EmptyRule
from medsegany.metrics._masks import a_distance
from medsegany.metrics._overlap import boundary_iou, dice, jaccard
from medsegany.types import Mask

Tolerance: TypeAlias = float | Sequence[float] | Mapping[int, float]
"""One; several, a column each; or label -> tolerance."""

METRICS = ("dsc", "iou", "nsd", "surface_overlap", "boundary_iou", "hd", "hd95", "assd", "masd",
           "asd")  # fmt: skip

_HAUSDORFF = re.compile(r"hd(\d{1,3}(?:\.\d+)?)?")
_NOWHERE = -1.0


@frozen(eq=False)
class Measured:
    """What is known of a label.

    Attributes:
        label: Its number.
        voxels: In the prediction, in the truth, in both.
        distances: Its surfaces; empty where no column asks for them.
        masks: Makes those of prediction and truth.
        spacing: In mm along the axes.
        rule: For empty masks.
    """

    label: int
    voxels: tuple[int, int, int]
    distances: SurfaceDistances
    masks: Callable[[], tuple[Mask, Mask]]
    spacing: tuple[float, ...]
    rule: EmptyRule


@frozen(eq=False)
class Column:
    """A metric.

    Attributes:
        name: Of the column.
        measure: Of one label.
        reach_mm: Up to where distances are asked for; negative where none are.
    """

    name: str
    measure: Callable[[Measured], float]
    reach_mm: float = _NOWHERE


def columns_of(metrics: Sequence[str], tolerance_mm: Tolerance | None) -> list[Column]:
    """The columns of these metrics.

    Raises:
        InvalidInput: A metric is unknown, or needs a tolerance.
    """
    if isinstance(metrics, str):
        msg = f"metrics is a sequence of names, such as ({metrics!r},), got {metrics!r}."
        raise InvalidInput(msg)
    return [column for metric in metrics for column in _columns(metric, tolerance_mm)]


def _columns(metric: str, tolerance_mm: Tolerance | None) -> list[Column]:
    if metric in _TOLERANT:
        levels = _levels(metric, tolerance_mm)
        return [column for level in levels for column in _TOLERANT[metric](level)]
    hausdorff = _HAUSDORFF.fullmatch(metric)
    if hausdorff and float(hausdorff[1] or 100) <= 100:
        percentile = float(hausdorff[1] or 100)
        return [Column(metric, lambda x: x.distances.hausdorff(percentile, empty=x.rule), math.inf)]
    if metric not in _PLAIN:
        names = ", ".join(METRICS)
        msg = f"There is no metric {metric!r}; there is {names} (hd with any percentile)."
        raise InvalidInput(msg)
    return _PLAIN[metric]


_PLAIN = {
    "dsc": [Column("dsc", lambda x: dice(*x.voxels, x.rule.overlap))],
    "iou": [Column("iou", lambda x: jaccard(*x.voxels, x.rule.overlap))],
    "assd": [Column("assd", lambda x: x.distances.assd(empty=x.rule), math.inf)],
    "masd": [Column("masd", lambda x: x.distances.masd(empty=x.rule), math.inf)],
    "asd": [
        Column(
            "asd_from_prediction",
            lambda x: x.distances.average(empty=x.rule).from_prediction,
            math.inf,
        ),
        Column("asd_from_truth", lambda x: x.distances.average(empty=x.rule).from_truth, math.inf),
    ],
}


# --- at a tolerance ------------------------------------------------------------------------------


@frozen(eq=False)
class _Level:
    """A tolerance, of all labels or of each.

    Attributes:
        suffix: For the column's name, where there are several.
        of: Label -> mm.
        most: The largest.
    """

    suffix: str
    of: Callable[[int], float]
    most: float


def _levels(metric: str, tolerance_mm: Tolerance | None) -> list[_Level]:
    if tolerance_mm is None:
        msg = f'"{metric}" needs tolerance_mm: a distance in mm, several, or label -> distance.'
        raise InvalidInput(msg)
    if isinstance(tolerance_mm, Mapping):
        by_label = {n: a_distance(mm, "tolerance_mm") for n, mm in tolerance_mm.items()}
        return [
            _Level("", lambda label: _looked_up(by_label, label), max(by_label.values(), default=0))
        ]
    if isinstance(tolerance_mm, Sequence):
        several = [a_distance(mm, "tolerance_mm") for mm in tolerance_mm]
        return [_one_for_all(f"_{mm:g}mm", mm) for mm in several]
    one = a_distance(tolerance_mm, "tolerance_mm")
    return [_one_for_all("", one)]


def _one_for_all(suffix: str, tolerance: float) -> _Level:
    return _Level(suffix, lambda _: tolerance, tolerance)


def _looked_up(by_label: Mapping[int, float], label: int) -> float:
    if label not in by_label:
        msg = f"tolerance_mm has none for label {label}; it has {by_label}. labels= leaves it out."
        raise InvalidInput(msg)
    return by_label[label]


def _nsd(level: _Level) -> list[Column]:
    def nsd(x: Measured) -> float:
        return x.distances.nsd(level.of(x.label), empty=x.rule)

    return [Column(f"nsd{level.suffix}", nsd, level.most)]


def _surface_overlap(level: _Level) -> list[Column]:
    def of_prediction(x: Measured) -> float:
        return x.distances.surface_overlap(level.of(x.label), empty=x.rule).from_prediction

    def of_truth(x: Measured) -> float:
        return x.distances.surface_overlap(level.of(x.label), empty=x.rule).from_truth

    return [
        Column(f"surface_overlap_from_prediction{level.suffix}", of_prediction, level.most),
        Column(f"surface_overlap_from_truth{level.suffix}", of_truth, level.most),
    ]


def _boundary_iou(level: _Level) -> list[Column]:
    def measure(x: Measured) -> float:
        wide = level.of(x.label)
        return boundary_iou(*x.masks(), spacing_mm=x.spacing, distance_mm=wide, empty=x.rule)

    return [Column(f"boundary_iou{level.suffix}", measure)]


_TOLERANT = {"nsd": _nsd, "surface_overlap": _surface_overlap, "boundary_iou": _boundary_iou}
