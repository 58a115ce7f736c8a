"""Surface metrics of one object, as functions on arrays.

Each measures the surfaces anew: for several metrics of the same masks, `surface_distances` once.
"""

from collections.abc import Sequence

from numpy.typing import ArrayLike

from medsegany.metrics._distances import Directed, measured, surface_distances
from medsegany.metrics._empty import Empty
from medsegany.metrics._masks import a_distance


def nsd(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    spacing_mm: Sequence[float],
    tolerance_mm: float,
    empty: Empty = "nan",
    threads: int | None = None,
) -> float:
    """The normalised surface distance, also called surface Dice (Nikolov et al., 2021).

    The area of both surfaces that lies at most `tolerance_mm` away from the other surface, divided
    by the area of both. Of 2D masks the surface is a contour, and its area a length. Equal to
    DeepMind's `surface-distance` package.

    Args:
        prediction: One object `(D, H, W)` or `(H, W)`: bool, or integers with one value beside
            zero.
        truth: The same shape.
        spacing_mm: Along the axes of the arrays, such as `volume.spacing_mm`; `(1, 1)` counts
            pixels.
        tolerance_mm: How far a surface may lie off and still count as right; `<=` in float64.
        empty: What two empty masks have; see `EmptyRule`.
        threads: At most so many; None for `$OMP_NUM_THREADS`, or else as many as there are cores.

    Returns:
        From 0 to 1; nan where both are empty, unless `empty` says otherwise.

    Raises:
        InvalidInput: The shapes differ, an array holds several labels, or spacing or tolerance are
            none.
    """
    tolerance = a_distance(tolerance_mm, "tolerance_mm")
    distances = measured(prediction, truth, spacing_mm, tolerance, threads)
    return distances.nsd(tolerance, empty=empty)


def surface_overlap(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    spacing_mm: Sequence[float],
    tolerance_mm: float,
    empty: Empty = "nan",
    threads: int | None = None,
) -> Directed:
    """Which part of each surface lies at most `tolerance_mm` away from the other, by area.

    Arguments and errors as those of `nsd`.

    Returns:
        From 0 to 1 each; the part of no surface at all is nan.
    """
    tolerance = a_distance(tolerance_mm, "tolerance_mm")
    distances = measured(prediction, truth, spacing_mm, tolerance, threads)
    return distances.surface_overlap(tolerance, empty=empty)


def hausdorff(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    spacing_mm: Sequence[float],
    percentile: float = 100,
    empty: Empty = "nan",
    threads: int | None = None,
) -> float:
    """The Hausdorff distance, in mm; with `percentile=95` the robust one, HD95.

    Each way the smallest distance within which that percentage of the surface's area lies; of the
    two the larger.

    Args:
        prediction: One object `(D, H, W)` or `(H, W)`.
        truth: The same shape.
        spacing_mm: Along the axes of the arrays.
        percentile: From 0 to 100.
        empty: What empty masks have; see `EmptyRule`.
        threads: As for `nsd`.

    Returns:
        In mm; nan where both are empty and inf where one is, unless `empty` says otherwise.
        (DeepMind's package has inf for two empty masks.)

    Raises:
        InvalidInput: The shapes differ, an array holds several labels, or spacing or percentile
            are none.
    """
    distances = surface_distances(prediction, truth, spacing_mm=spacing_mm, threads=threads)
    return distances.hausdorff(percentile, empty=empty)


def average_surface_distances(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    spacing_mm: Sequence[float],
    empty: Empty = "nan",
    threads: int | None = None,
) -> Directed:
    """The average distance from each surface to the other, weighted by area, in mm.

    Arguments and errors as those of `hausdorff`, without a percentile.

    Returns:
        Each way; from no surface it is nan, to no surface inf.
    """
    distances = surface_distances(prediction, truth, spacing_mm=spacing_mm, threads=threads)
    return distances.average(empty=empty)


def assd(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    spacing_mm: Sequence[float],
    empty: Empty = "nan",
    threads: int | None = None,
) -> float:
    """The average symmetric surface distance, in mm: over both surfaces together, by area.

    `masd` is the mean of the two directed averages: the larger surface has no larger say there.
    Arguments and errors as those of `hausdorff`, without a percentile.
    """
    distances = surface_distances(prediction, truth, spacing_mm=spacing_mm, threads=threads)
    return distances.assd(empty=empty)


def masd(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    spacing_mm: Sequence[float],
    empty: Empty = "nan",
    threads: int | None = None,
) -> float:
    """The mean of the two directed average surface distances, in mm.

    Arguments and errors as those of `hausdorff`, without a percentile.
    """
    distances = surface_distances(prediction, truth, spacing_mm=spacing_mm, threads=threads)
    return distances.masd(empty=empty)
