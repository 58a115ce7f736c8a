"""How large a surface element is, by which of the voxels around its corner are inside.

In three dimensions it is the area of the triangles that marching cubes (Lorensen and Cline, 1987)
puts into the cell, in two the length of the contour. The table is derived and not written down: of
a cell and its complement, the one with fewer voxels inside is given to scikit-image.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_CORNERS = 8


@lru_cache(maxsize=1)
def _normals() -> list[NDArray[np.float64]]:
    """Code -> `(triangles, 3)`: their normals, as long as they are large, at a spacing of 1."""
    from skimage.measure import marching_cubes  # noqa: PLC0415 -- keeps the import fast

    found: list[NDArray[np.float64]] = [np.zeros((0, 3))] * 256
    for code in range(1, 255):
        fewer = code if code.bit_count() <= _CORNERS // 2 else 255 - code
        if fewer != code and fewer < code:
            found[code] = found[fewer]
            continue
        inside = [(fewer >> (7 - n)) & 1 for n in range(_CORNERS)]
        cell = np.array(inside, np.float32).reshape(2, 2, 2)
        points, triangles, *_ = marching_cubes(cell, 0.5, method="lorensen")
        a, b, c = points[triangles].astype(np.float64).transpose(1, 0, 2)
        found[code] = np.cross(b - a, c - a) / 2
    return found


@lru_cache(maxsize=64)
def kinds(spacing: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The areas that there are, ascending; and code -> which of them it has."""
    sizes, kind_of = np.unique(areas(spacing), return_inverse=True)
    return sizes, kind_of.astype(np.int64)


@lru_cache(maxsize=64)
def areas(spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Code -> its area in mm^2; its length in mm where there are two axes."""
    table = np.zeros(256)
    if len(spacing) == 2:
        s0, s1 = spacing
        diagonal = 0.5 * np.hypot(s0, s1)
        table[1:15] = diagonal  # one voxel inside, or one outside
        table[[0b1100, 0b0011]] = s1  # two in a row
        table[[0b1010, 0b0101]] = s0  # two in a column
        table[[0b1001, 0b0110]] = 2 * diagonal
        return table
    s0, s1, s2 = spacing
    faces = np.array([s1 * s2, s0 * s2, s0 * s1])
    for code, normals in enumerate(_normals()):
        table[code] = np.sqrt(((normals * faces) ** 2).sum(axis=1)).sum()
    return table
