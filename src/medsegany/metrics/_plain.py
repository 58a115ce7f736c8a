"""Surfaces and distances in numpy and scipy: what `_compiled.c` computes, slower.

Used where there was no C compiler when medsegany was installed, and by the tests as a second
opinion.
"""

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from medsegany.metrics._areas import kinds
from medsegany.metrics._surface import Surface, grouped
from medsegany.types import Mask

_NEAR = 8  # voxels: farther neighbours are not sought in the tree


def counts(
    prediction: NDArray[np.unsignedinteger], truth: NDArray[np.unsignedinteger]
) -> NDArray[np.int64]:
    """`(3, labels)`: voxels of each label in the prediction, in the truth, in both."""
    size = int(np.iinfo(prediction.dtype).max) + 1
    rows = (prediction, truth, prediction[prediction == truth])
    return np.stack([np.bincount(row.ravel(), minlength=size) for row in rows])


def surfaces(
    prediction: NDArray[np.unsignedinteger],
    truth: NDArray[np.unsignedinteger],
    labels: Iterable[int],
    spacing: tuple[float, ...],
    limit_mm: float,
) -> Iterator[tuple[Surface, Surface]]:
    """For each label the surfaces of prediction and truth; distances all, whatever the limit."""
    del limit_mm  # the tree finds far neighbours as fast as near ones
    sizes, kind_of = kinds(spacing)
    for label in labels:
        one, other = _elements(prediction == label), _elements(truth == label)
        yield (
            grouped(_nearest(one[0], other[0], spacing), kind_of[one[1]], sizes),
            grouped(_nearest(other[0], one[0], spacing), kind_of[other[1]], sizes),
        )


def _elements(mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """`(n, axes)` corners that lie on the surface, and their codes."""
    inside = _bounding_box(mask)
    padded = np.pad(mask[inside], 1)
    codes = np.zeros([n - 1 for n in padded.shape], np.uint8)
    bits = 2**mask.ndim
    for n, place in enumerate(product((0, 1), repeat=mask.ndim)):
        shifted = tuple(slice(p, p + length) for p, length in zip(place, codes.shape, strict=True))
        codes |= padded[shifted].astype(np.uint8) << np.uint8(bits - 1 - n)
    corners = np.argwhere((codes > 0) & (codes < 2**bits - 1))
    return corners + [s.start for s in inside], codes[tuple(corners.T)]


def _bounding_box(mask: Mask) -> tuple[slice, ...]:
    found = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        (along,) = np.nonzero(mask.any(axis=others))
        found.append(slice(int(along[0]), int(along[-1]) + 1) if along.size else slice(0, 0))
    return tuple(found)


def _nearest(
    corners: NDArray[np.int64], others: NDArray[np.int64], spacing: tuple[float, ...]
) -> NDArray[np.float64]:
    """To the nearest of the others; computed from whole steps, as scipy's distance transform does.

    The tree's own distances are those of scaled places, and differ from that in their last digits.
    """
    from scipy.spatial import KDTree  # noqa: PLC0415 -- keeps `import medsegany` fast

    if not len(others) or not len(corners):
        return np.full(len(corners), np.inf)
    scale = np.array(spacing)
    distances, nearest = KDTree(others * scale).query(
        corners * scale, distance_upper_bound=_NEAR * scale.max()
    )
    far = np.isinf(distances)
    nearest[far] = 0
    steps = (corners - others[nearest]) * scale
    found: NDArray[np.float64] = np.sqrt(np.add.reduce(steps.T * steps.T, axis=0))
    if far.any():  # a tree is slow where all of its branches are equally far
        found[far] = _far(corners[far], others, spacing)
    return found


def _far(
    corners: NDArray[np.int64], others: NDArray[np.int64], spacing: tuple[float, ...]
) -> NDArray[np.float64]:
    from scipy import ndimage  # noqa: PLC0415 -- keeps `import medsegany` fast

    low = np.minimum(corners.min(axis=0), others.min(axis=0))
    high = np.maximum(corners.max(axis=0), others.max(axis=0))
    empty = np.ones(high - low + 1, np.bool_)
    empty[tuple((others - low).T)] = False
    distances = ndimage.distance_transform_edt(empty, sampling=spacing)
    found: NDArray[np.float64] = distances[tuple((corners - low).T)]
    return found
