"""Stored numbers to the values they stand for, without more memory than that takes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def rescale(stored: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    """`stored * slope + intercept`.

    Whole numbers stay whole: Hounsfield units are int16, or int32 where they do not fit. Anything
    else is float32, or float64 where float32 would lose digits of what is stored.

    Args:
        stored: Any shape; returned as it is where there is nothing to do.
        slope: 1 is none; nan too, as NIfTI has it.
        intercept: 0 is none; nan too.
    """
    slope = 1.0 if np.isnan(slope) else float(slope)
    intercept = 0.0 if np.isnan(intercept) else float(intercept)
    if (slope, intercept) == (1.0, 0.0) or not stored.size:
        return stored
    dtype = np.result_type(stored.dtype, np.float32)
    if stored.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer():
        ends = [int(end) * int(slope) + int(intercept) for end in (stored.min(), stored.max())]
        fits = [t for t in (np.int16, np.int32) if all(_holds(t, end) for end in ends)]
        dtype = np.dtype(fits[0]) if fits else dtype
    values = np.empty(stored.shape, dtype)
    # Slice by slice, for float64 in between takes eight bytes a voxel.
    parts = zip(stored, values, strict=True) if stored.ndim > 2 else [(stored, values)]
    for part, value in parts:
        value[...] = part.astype(np.float64) * slope + intercept
    return values


def _holds(dtype: type[np.integer[Any]], value: int) -> bool:
    return bool(np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)
