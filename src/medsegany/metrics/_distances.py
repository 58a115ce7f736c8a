"""The distances between two surfaces: measured once, read by every metric."""

import os
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike

from medsegany.errors import InvalidInput
from medsegany.metrics._empty import Empty, a_rule
from medsegany.metrics._masks import a_distance, a_pair, a_spacing
from medsegany.metrics._surface import Surface
from medsegany.metrics._surfaces import surfaces


@frozen
class Directed:
    """A metric in both directions.

    Attributes:
        from_prediction: Of the prediction's surface, seen from the truth's.
        from_truth: Of the truth's surface, seen from the prediction's.
    """

    from_prediction: float
    from_truth: float


@frozen(eq=False)
class SurfaceDistances:
    """Two surfaces, and how far they are from each other.

    The definition is that of DeepMind's `surface-distance`: elements on the corners between voxels,
    with the areas of marching cubes; from each to the nearest element of the other surface.

    Attributes:
        from_prediction: The surface of the prediction, with distances to the truth's.
        from_truth: The surface of the truth, with distances to the prediction's.
    """

    from_prediction: Surface
    from_truth: Surface

    def nsd(self, tolerance_mm: float, *, empty: Empty = "nan") -> float:
        """The normalised surface distance; see `metrics.nsd`."""
        tolerance = a_distance(tolerance_mm, "tolerance_mm")
        area = self.from_prediction.area + self.from_truth.area
        if not area:
            return a_rule(empty).overlap
        near = [s.area_within(tolerance) for s in (self.from_truth, self.from_prediction)]
        return sum(near) / area

    def surface_overlap(self, tolerance_mm: float, *, empty: Empty = "nan") -> Directed:
        """Which part of each surface lies near the other; see `metrics.surface_overlap`."""
        tolerance = a_distance(tolerance_mm, "tolerance_mm")
        if not self.from_prediction.area and not self.from_truth.area:
            nothing = a_rule(empty).overlap
            return Directed(nothing, nothing)
        parts = [
            s.area_within(tolerance) / s.area if s.area else float("nan")
            for s in (self.from_prediction, self.from_truth)
        ]
        return Directed(*parts)

    def hausdorff(self, percentile: float = 100, *, empty: Empty = "nan") -> float:
        """The Hausdorff distance in mm, or a percentile of it; see `metrics.hausdorff`."""
        if not 0 <= percentile <= 100:
            msg = f"percentile is from 0 to 100, such as 95, got {percentile!r}."
            raise InvalidInput(msg)
        rule = a_rule(empty)
        if (alone := self._empty()) is not None:
            return rule.hausdorff if alone == 2 else rule.missing
        return max(s.percentile(percentile) for s in (self.from_prediction, self.from_truth))

    def assd(self, *, empty: Empty = "nan") -> float:
        """The average symmetric surface distance in mm; see `metrics.assd`."""
        rule = a_rule(empty)
        if (alone := self._empty()) is not None:
            return rule.average if alone == 2 else rule.missing
        both = (self.from_prediction, self.from_truth)
        return sum(s.area_times_distance() for s in both) / sum(s.area for s in both)

    def masd(self, *, empty: Empty = "nan") -> float:
        """The mean of the two directed averages in mm; see `metrics.masd`."""
        rule = a_rule(empty)
        if (alone := self._empty()) is not None:
            return rule.average if alone == 2 else rule.missing
        return (self.from_prediction.average() + self.from_truth.average()) / 2

    def average(self, *, empty: Empty = "nan") -> Directed:
        """The average distance in mm, each way; see `metrics.average_surface_distances`."""
        rule = a_rule(empty)
        alone = self._empty()
        if alone == 2:
            return Directed(rule.average, rule.average)
        parts = [s.average() for s in (self.from_prediction, self.from_truth)]
        return Directed(*(rule.missing if np.isinf(part) else part for part in parts))

    def _empty(self) -> int | None:
        """How many of the masks are empty, if any."""
        count = sum(not s.counts.size for s in (self.from_prediction, self.from_truth))
        return count or None


def surface_distances(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    spacing_mm: Sequence[float],
    threads: int | None = None,
) -> SurfaceDistances:
    """Measure two surfaces, for several metrics of the same masks.

    Args:
        prediction: One object `(D, H, W)` or `(H, W)`: bool, or integers with one value beside
            zero.
        truth: The same shape.
        spacing_mm: Along the axes of the arrays, such as `volume.spacing_mm`; `(1, 1)` counts
            pixels.
        threads: At most so many; None for `$OMP_NUM_THREADS`, or else as many as there are cores.

    Raises:
        InvalidInput: The shapes differ, an array holds several labels, or the spacing has another
            length than the shape.
    """
    return measured(prediction, truth, spacing_mm, np.inf, threads)


def measured(
    prediction: ArrayLike,
    truth: ArrayLike,
    spacing_mm: Sequence[float],
    limit_mm: float,
    threads: int | None,
) -> SurfaceDistances:
    """Distances, of which those beyond the limit may be inf."""
    a, b = a_pair(prediction, truth)
    spacing = a_spacing(spacing_mm, a.ndim)
    [pair] = surfaces(
        a.view(np.uint8),
        b.view(np.uint8),
        [1],
        spacing,
        limit_mm=limit_mm,
        threads=a_number_of_threads(threads),
    )
    return SurfaceDistances(*pair)


def a_number_of_threads(threads: int | None) -> int:
    """What the caller says, or else the environment, or else the machine.

    Raises:
        InvalidInput: Less than one.
    """
    if threads is None:
        said = os.environ.get("OMP_NUM_THREADS", "")
        return int(said) if said.isdecimal() and int(said) else _cores()
    if threads < 1:
        msg = f"threads is 1 or more, got {threads}."
        raise InvalidInput(msg)
    return threads


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
