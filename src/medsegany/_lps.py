"""LPS+ and RAS+, the two ways to name directions in a patient.

NIfTI, nibabel and this library count millimetres toward Right, Anterior and Superior; DICOM, ITK,
NRRD and MetaImage toward Left, Posterior and Superior. This is the only place that turns one into
the other.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medsegany.types import Affine

_SIGNS = np.array([-1.0, -1.0, 1.0])


def flip(points_mm: ArrayLike) -> NDArray[np.float64]:
    """`(..., 3)` millimetres of one frame in the other: the same both ways."""
    turned: NDArray[np.float64] = np.asarray(points_mm, np.float64) * _SIGNS
    return turned


def affine_from_lps(steps: ArrayLike, origin: ArrayLike) -> Affine:
    """The RAS+ affine of a grid that is described in LPS+.

    Args:
        steps: `(3, 3)`; its columns are the millimetres of one step along i, j and k.
        origin: `(3,)`, the centre of voxel (0, 0, 0).
    """
    affine = np.eye(4)
    affine[:3, :3] = flip(np.asarray(steps, np.float64).T).T
    affine[:3, 3] = flip(origin)
    return affine


def lps_from_affine(affine: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps and origin in LPS+, as `affine_from_lps` takes them."""
    return flip(affine[:3, :3].T).T, flip(affine[:3, 3])
