"""Array types, named once.

Shapes are written in array-axis order: `(H, W)` are rows and columns, `(D, H, W)` slices, rows
and columns. A point `(x, y)` is column `x` of row `y`.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
"""Display values, `(H, W)` grey or `(H, W, 3)` RGB."""

Stack: TypeAlias = NDArray[np.uint8]
"""Display values, `(D, H, W)` grey or `(D, H, W, 3)` RGB."""

Mask: TypeAlias = NDArray[np.bool_]
"""One object: `(H, W)` on a slice, `(D, H, W)` in a volume."""

Labels: TypeAlias = NDArray[np.unsignedinteger[Any]]
"""Object ids, 0 where there is none: uint8 up to id 255, else uint16."""

Logits: TypeAlias = NDArray[np.float32]
"""Log-odds that a pixel belongs to the object; the mask is where they are above zero."""

Affine: TypeAlias = NDArray[np.float64]
"""`(4, 4)`: voxel `(i, j, k, 1)` -> millimetres `(x, y, z, 1)`, RAS+."""
