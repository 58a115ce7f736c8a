"""The elements of a surface, and how far each is from another surface."""

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

# A running sum this near to a percentile may lie on either side of it, as it is added up.
_TIE = 1e-9


def _short(values: NDArray[np.generic]) -> str:
    return f"<{len(values)}>"


@frozen(eq=False)
class Surface:
    """The elements of one mask's surface; those that are alike are counted together.

    Sorted by distance, then by area.

    Attributes:
        distances_mm: To the nearest element of the other mask's surface; inf where it has none.
        counts: How many elements have this distance and this area.
        kinds: Which of the `sizes` they have.
        sizes: All areas that an element can have on this grid, in mm^2; of a 2D mask lengths in
            mm. Ascending.
    """

    distances_mm: NDArray[np.float64] = field(repr=_short)
    counts: NDArray[np.int64] = field(repr=_short)
    kinds: NDArray[np.int64] = field(repr=_short)
    sizes: NDArray[np.float64] = field(repr=_short)

    @property
    def areas(self) -> NDArray[np.float64]:
        """Of one element each, in mm^2; of a 2D mask lengths in mm."""
        return self.sizes[self.kinds]

    @property
    def area(self) -> float:
        """Of the whole surface, in mm^2; of a 2D mask the length of its contour in mm."""
        return self.area_within(np.inf)

    def area_within(self, tolerance_mm: float) -> float:
        """Of the elements at most this far away, in mm^2."""
        near = self.distances_mm <= tolerance_mm
        # Kind by kind, so that the sum does not depend on how elements are grouped by distance.
        counts = np.bincount(self.kinds[near], self.counts[near], minlength=len(self.sizes))
        return float((counts * self.sizes).sum())

    def average(self) -> float:
        """The mean distance, weighted by area; nan where there is no surface."""
        return self.area_times_distance() / self.area if self.counts.size else float("nan")

    def area_times_distance(self) -> float:
        """The distance integrated over the surface, in mm^3."""
        return float((self.areas * self.counts * self.distances_mm).sum())

    def percentile(self, percent: float) -> float:
        """The smallest distance within which this part of the area lies; nan without a surface."""
        if not self.counts.size:
            return float("nan")
        distances, areas = self.distances_mm, self.areas * self.counts
        part = np.cumsum(areas) / areas.sum()
        if (np.abs(part[:-1] - percent / 100) < _TIE).any():
            # Here the last digit of the sum decides. The reference adds element by element.
            distances = np.repeat(self.distances_mm, self.counts)
            areas = np.repeat(self.areas, self.counts)
            order = np.lexsort((areas, distances))
            distances, areas = distances[order], areas[order]
            part = np.cumsum(areas) / np.sum(areas)
        at = int(np.searchsorted(part, percent / 100))
        return float(distances[min(at, len(distances) - 1)])


def no_surface() -> Surface:
    """That of an empty mask."""
    return Surface(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def grouped(
    distances: NDArray[np.float64], kinds: NDArray[np.int64], sizes: NDArray[np.float64]
) -> Surface:
    """A surface from its elements one by one."""
    order = np.lexsort((kinds, distances))
    distances, kinds = distances[order], kinds[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (distances[1:] != distances[:-1]) | (kinds[1:] != kinds[:-1])
    (starts,) = np.nonzero(new)
    counts = np.diff(np.append(starts, len(order)))
    return Surface(distances[starts], counts.astype(np.int64), kinds[starts], sizes)
