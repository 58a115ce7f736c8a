"""Grey levels of a whole stack, scaled to display values with little time and memory.

An image of at most 16 bits has at most 65,536 levels. They are counted once and scaled once, in a
table, instead of voxel by voxel: the numbers are the same to the last bit.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


def has_few(dtype: np.dtype[Any]) -> bool:
    """Whether numbers of this type have few enough levels for a table."""
    return dtype.kind in "biu" and dtype.itemsize <= 2


def _bits(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"u{dtype.itemsize}")


def levels(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Every level, in the order of its bits."""
    return np.arange(256**dtype.itemsize, dtype=_bits(dtype)).view(dtype)


def parts(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """A stack slice by slice, an image at once: temporary arrays stay small."""
    yield from values if values.ndim > 2 else (values,)


def count(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The levels that occur, from low to high, and how often each does."""
    counts = np.zeros(256**values.dtype.itemsize, np.int64)
    for part in parts(values):
        flat = np.ascontiguousarray(part).ravel().view(_bits(values.dtype))
        counts += np.bincount(flat, minlength=len(counts))
    every = levels(values.dtype)
    order = np.argsort(every, kind="stable")
    order = order[counts[order] > 0]
    return every[order], counts[order]


def percentiles(
    found: NDArray[Any], counts: NDArray[np.int64], at: tuple[float, ...]
) -> tuple[float, ...]:
    """What `numpy.percentile(values, at)` returns for float64, from the counts of the values.

    (For integers numpy subtracts in their own type: between -1 and 127 in int8 it overflows.)
    """
    upto = np.cumsum(counts)
    places = [q / 100 * (int(upto[-1]) - 1) for q in at]
    result = []
    for place in places:
        below = int(np.floor(place))
        share = place - below
        low, high = (
            float(found[np.searchsorted(upto, n, side="right")])
            for n in (below, min(below + 1, int(upto[-1]) - 1))
        )
        # numpy interpolates from the nearer end
        step = (high - low) * share
        result.append(high - (high - low) * (1 - share) if share >= 0.5 else low + step)
    return tuple(result)
