"""What may be compared: masks, and the spacing of their grid."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medsegany.errors import InvalidInput
from medsegany.types import Mask


def a_mask(values: ArrayLike, name: str) -> Mask:
    """One object as a mask: bool, or integers with one value beside zero.

    Raises:
        InvalidInput: Several labels, or no integers.
    """
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
            "metrics.evaluate compares them all, or compare one, for instance truth == 1."
        )
        raise InvalidInput(msg)
    return mask


def a_pair(prediction: ArrayLike, truth: ArrayLike) -> tuple[Mask, Mask]:
    """Two masks of one shape.

    Raises:
        InvalidInput: They are none, or their shapes differ.
    """
    a, b = a_mask(prediction, "prediction"), a_mask(truth, "truth")
    refuse_other_shapes(a.shape, b.shape)
    return a, b


def refuse_other_shapes(prediction: tuple[int, ...], truth: tuple[int, ...]) -> None:
    """Arrays on two grids have no common voxels.

    Raises:
        InvalidInput: The shapes differ.
    """
    if prediction != truth:
        swapped = sorted(prediction) == sorted(truth)
        hint = " Are the axes in another order?" if swapped else ""
        msg = f"The prediction is {prediction}, the truth {truth}: one shape is needed.{hint}"
        raise InvalidInput(msg)


def a_spacing(spacing_mm: Sequence[float], dimensions: int) -> tuple[float, ...]:
    """Spacing along the axes of the array.

    Raises:
        InvalidInput: Another number of axes, or a length that is none.
    """
    if dimensions not in (2, 3):
        msg = f"Surfaces are those of arrays with 2 or 3 axes, got {dimensions}."
        raise InvalidInput(msg)
    try:
        spacing = tuple(float(s) for s in spacing_mm)
    except (TypeError, ValueError):
        spacing = ()
    if len(spacing) != dimensions or not all(math.isfinite(s) and s > 0 for s in spacing):
        order = "(D, H, W)" if dimensions == 3 else "(H, W)"
        ones = ", ".join(["1"] * dimensions)
        msg = (
            f"spacing_mm is {dimensions} positive numbers in the order of the axes {order}, got "
            f"{spacing_mm!r}. volume.spacing_mm has that order; SimpleITK's GetSpacing() and the "
            f"zooms of nibabel have the reverse. ({ones}) counts voxels."
        )
        raise InvalidInput(msg)
    return spacing


def a_distance(value: float, name: str) -> float:
    """A distance in mm.

    Raises:
        InvalidInput: It is negative, or no number.
    """
    try:
        distance = float(value)
    except (TypeError, ValueError):
        distance = math.nan
    if not distance >= 0:
        msg = f"{name} is a distance in mm, 0 or more, got {value!r}."
        raise InvalidInput(msg)
    return distance


def a_label_map(values: ArrayLike, name: str) -> NDArray[Any]:
    """Whole numbers from 0.

    Raises:
        InvalidInput: Other numbers.
    """
    array: NDArray[Any] = np.asarray(values)
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if array.dtype.kind not in "iu":
        whole = array.dtype.kind == "f" and bool((array == np.round(array)).all())
        hint = " They are whole: .astype(np.uint16)." if whole else " Are they probabilities?"
        msg = f"The labels of the {name} are integers, got {array.dtype}.{hint}"
        raise InvalidInput(msg)
    if array.dtype.kind == "i" and array.size and array.min() < 0:
        msg = f"The {name} holds the label {int(array.min())}: labels are 0 or more."
        raise InvalidInput(msg)
    return array


def alike(
    prediction: NDArray[np.integer], truth: NDArray[np.integer]
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.unsignedinteger], NDArray[np.int64] | None]:
    """Both as uint8 or both as uint16, and which labels these numbers stand for if not themselves.

    Raises:
        InvalidInput: More than 65535 labels.
    """
    most = [int(a.max(initial=0)) if a.itemsize > 1 else 0 for a in (prediction, truth)]
    if max(most) < 65536:
        dtype = np.uint8 if max(most) < 256 else np.uint16
        return prediction.astype(dtype, copy=False), truth.astype(dtype, copy=False), None
    labels = np.union1d([0], np.union1d(prediction, truth)).astype(np.int64)
    if len(labels) > 65536:
        msg = f"There are {len(labels) - 1} labels; at most 65535 are compared at once."
        raise InvalidInput(msg)
    a, b = (np.searchsorted(labels, array).astype(np.uint16) for array in (prediction, truth))
    return a, b, labels
