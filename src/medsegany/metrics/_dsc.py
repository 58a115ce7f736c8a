"""The Dice similarity coefficient."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medsegany.errors import InvalidInput
from medsegany.types import Mask


def dsc(prediction: ArrayLike, truth: ArrayLike) -> float:
    """The Dice similarity coefficient, `2 |A and B| / (|A| + |B|)`.

    Args:
        prediction: One object, of any shape: bool, or integers with one value beside zero.
        truth: The same shape.

    Returns:
        From 0 to 1; nan where both are empty.

    Raises:
        InvalidInput: The shapes differ, or an array holds several labels.
    """
    a, b = _object(prediction, "prediction"), _object(truth, "truth")
    if a.shape != b.shape:
        msg = f"The prediction is {a.shape}, the truth {b.shape}."
        raise InvalidInput(msg)
    size = int(a.sum()) + int(b.sum())
    return float("nan") if size == 0 else 2 * int((a & b).sum()) / size


def _object(values: ArrayLike, name: str) -> Mask:
    array: NDArray[np.generic] = np.asarray(values)
    if array.dtype == np.bool_:
        return array.astype(np.bool_, copy=False)
    if array.dtype.kind not in "iu":
        msg = f"The {name} is bool or integers, got {array.dtype}."
        raise InvalidInput(msg)
    mask: Mask = array != 0
    inside = array[mask]
    if inside.size and (inside != inside.flat[0]).any():
        msg = (
            f"The {name} holds several labels, {np.unique(inside)[:5].tolist()}: "
            "compare one object at a time, for instance truth == 1."
        )
        raise InvalidInput(msg)
    return mask
