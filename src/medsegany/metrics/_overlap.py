"""How much of two masks is common."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from medsegany.errors import InvalidInput
from medsegany.metrics._empty import Empty, a_rule
from medsegany.metrics._masks import a_distance, a_pair, a_spacing
from medsegany.types import Mask


def dsc(prediction: ArrayLike, truth: ArrayLike, *, empty: Empty = "nan") -> float:
    """The Dice similarity coefficient, `2 |A and B| / (|A| + |B|)`.

    Args:
        prediction: One object, of any shape: bool, or integers with one value beside zero.
        truth: The same shape.
        empty: What two empty masks have; see `EmptyRule`.

    Returns:
        From 0 to 1; nan where both are empty, unless `empty` says otherwise.

    Raises:
        InvalidInput: The shapes differ, or an array holds several labels.
    """
    a, b = a_pair(prediction, truth)
    rule = a_rule(empty)
    size_a, size_b, both = (int(np.count_nonzero(mask)) for mask in (a, b, a & b))
    return dice(size_a, size_b, both, rule.overlap)


def dice(prediction: int, truth: int, both: int, if_empty: float) -> float:
    """From numbers of voxels."""
    return 2 * both / (prediction + truth) if prediction + truth else if_empty


def jaccard(prediction: int, truth: int, both: int, if_empty: float) -> float:
    """Intersection over union, from numbers of voxels."""
    return both / (prediction + truth - both) if prediction + truth else if_empty


def boundary_iou(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    spacing_mm: Sequence[float],
    distance_mm: float,
    empty: Empty = "nan",
) -> float:
    """Intersection over union of the rims of two masks (Cheng et al., CVPR 2021).

    The rim is what of a mask lies at most `distance_mm` away from the nearest voxel outside of it,
    from centre to centre; beyond the border of the array everything is outside.

    Args:
        prediction: One object `(D, H, W)` or `(H, W)`.
        truth: The same shape.
        spacing_mm: Along the axes of the arrays.
        distance_mm: How wide the rim is. The paper takes 2 % of the diagonal of an image.
        empty: What two empty masks have; see `EmptyRule`.

    Returns:
        From 0 to 1.

    Raises:
        InvalidInput: The shapes differ, or spacing or distance are none.
    """
    a, b = a_pair(prediction, truth)
    spacing = a_spacing(spacing_mm, a.ndim)
    width = a_distance(distance_mm, "distance_mm")
    if not a.any() and not b.any():
        return a_rule(empty).overlap
    rims = _rim(a, spacing, width), _rim(b, spacing, width)
    union = np.count_nonzero(rims[0] | rims[1])
    if union == 0:
        msg = (
            f"distance_mm={distance_mm} is less than one voxel of {spacing} mm: the rims hold "
            "nothing."
        )
        raise InvalidInput(msg)
    return np.count_nonzero(rims[0] & rims[1]) / union


def _rim(mask: Mask, spacing: tuple[float, ...], width: float) -> Mask:
    from scipy import ndimage  # noqa: PLC0415 -- keeps `import medsegany` fast

    inner = (slice(1, -1),) * mask.ndim
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[inner]
    rim: Mask = mask & (depth <= width)
    return rim
