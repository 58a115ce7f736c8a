"""Millimetres to prompts and back: for places that come from a viewer, a report or another scan.

Every function asks in which frame the millimetres are: `space="RAS"` (NIfTI, nibabel, 3D Slicer's
interface) or `space="LPS"` (DICOM, ITK, and the files that 3D Slicer writes). Mixed up, a place
lands on the other side of the body, so nothing is assumed.
"""

from typing import Literal, TypeAlias, TypeVar

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

from medsegany import _lps
from medsegany._validate import choice
from medsegany.errors import InvalidInput, InvalidPrompt
from medsegany.prompts import Box, Placed, Point
from medsegany.volume import Volume

Space: TypeAlias = Literal["RAS", "LPS"]
"""Which way millimetres are counted: right, anterior, superior; or left, posterior, superior."""

P = TypeVar("P", Box, Point)

# Of a voxel. Files keep their affines in single precision, so what is finer than this is noise, and
# would put the edge of a box now on this side of a voxel's centre, now on that.
_DIGITS = 3


def to_voxels(volume: Volume, points_mm: ArrayLike, *, space: Space) -> NDArray[np.float64]:
    """Voxels at places in millimetres; whole numbers are the centres of voxels.

    Args:
        volume: The grid.
        points_mm: `(..., 3)`.
        space: The frame of `points_mm`.

    Returns:
        `(..., 3)`, the last axis (i, j, k), so column, row, slice; the reverse of
        `voxels[k, j, i]`.

    Raises:
        InvalidInput: The points are not `(..., 3)` finite numbers.
    """
    ras = _in_ras(_points(points_mm, "points_mm"), space)
    ijk = np.linalg.solve(volume.affine[:3, :3], (ras - volume.affine[:3, 3]).reshape(-1, 3).T).T
    return np.asarray(ijk, np.float64).reshape(ras.shape)


def to_mm(volume: Volume, voxels_ijk: ArrayLike, *, space: Space) -> NDArray[np.float64]:
    """Places of voxels, in millimetres.

    Args:
        volume: The grid.
        voxels_ijk: `(..., 3)` as (i, j, k): column, row, slice. The voxels of a mask are
            `numpy.argwhere(mask)[:, ::-1]`.
        space: The frame of the result.

    Returns:
        `(..., 3)`, the voxels' centres.

    Raises:
        InvalidInput: The voxels are not `(..., 3)` finite numbers.
    """
    ijk = _points(voxels_ijk, "voxels_ijk")
    return _in_ras(ijk @ volume.affine[:3, :3].T + volume.affine[:3, 3], space)


def point(
    volume: Volume, position_mm: ArrayLike, *, space: Space, positive: bool = True
) -> Placed[Point]:
    """A point prompt at a place in the patient, on the nearest slice.

    Args:
        volume: The volume to be segmented.
        position_mm: `(3,)`.
        space: The frame of `position_mm`.
        positive: Whether the object is there (True) or is not (False).

    Returns:
        The point, in pixels to three digits.

    Raises:
        InvalidPrompt: The place is outside the volume.
    """
    ijk = _rounded(to_voxels(volume, position_mm, space=space))
    if ijk.shape != (3,):
        msg = f"position_mm is one place, three numbers; got shape {ijk.shape}."
        raise InvalidInput(msg)
    _refuse_a_miss(volume, np.stack([ijk, ijk]), position_mm, space)
    i, j, k = ijk.tolist()
    return Point(i, j, positive=positive).at(_slice(k, volume))


@frozen
class Region:
    """A box in the patient, as prompts and limits on a volume's own grid.

    Attributes:
        box: The prompt, in pixels of a slice.
        slices: First and last slice, both inclusive: `segment_volume(..., slices=region.slices)`.
    """

    box: Box
    slices: tuple[int, int]

    @property
    def prompt(self) -> Placed[Box]:
        """The box on the middle slice, the lower one of two."""
        first, last = self.slices
        return self.box.at((first + last) // 2)


def box(volume: Volume, points_mm: ArrayLike, *, space: Space) -> Region:
    """The smallest box of voxels that holds some places in the patient.

    Where the grid is oblique to the patient, two opposite corners do not say how the box lies: two
    are enough for a box whose sides run along the volume's own axes, such as one that was drawn
    on a slice. For a box along R, A and S give all eight, see `corners_of_bounds`.

    Args:
        volume: The volume to be segmented.
        points_mm: `(N, 3)`, at least two. They are the centres of the box's outermost voxels.
        space: The frame of `points_mm`.

    Returns:
        The box in pixels to three digits, overhanging the image where the places do, and its
        slices, cut to those that there are.

    Raises:
        InvalidPrompt: All of it is outside the volume.
        InvalidInput: There are fewer than two points.
    """
    ijk = _rounded(to_voxels(volume, points_mm, space=space))
    if ijk.ndim != 2 or len(ijk) < 2:
        msg = f"points_mm are (N, 3), at least two corners of the box; got shape {ijk.shape}."
        raise InvalidInput(msg)
    ends = np.stack([ijk.min(axis=0), ijk.max(axis=0)])
    _refuse_a_miss(volume, ends, points_mm, space)
    (x0, y0, k0), (x1, y1, k1) = ends.tolist()
    return Region(Box(x0, y0, x1, y1), (_slice(k0, volume), _slice(k1, volume)))


def corners_of_bounds(bounds_mm: ArrayLike) -> NDArray[np.float64]:
    """The eight corners of a box along the axes of the patient, for `box`.

    Args:
        bounds_mm: `(3, 2)`, the lowest and the highest coordinate along each axis; or the six
            numbers of a VTK or 3D Slicer `GetBounds()`, which are the same in a row.

    Returns:
        `(8, 3)`, in the frame of the bounds.

    Raises:
        InvalidInput: They are not six numbers, or a lowest lies above its highest.
    """
    try:
        bounds = np.asarray(bounds_mm, np.float64)
    except (TypeError, ValueError):
        bounds = np.zeros(0)
    if bounds.size != 6 or bounds.shape not in {(6,), (3, 2)} or not np.isfinite(bounds).all():
        msg = f"bounds_mm are (3, 2) numbers, lowest and highest per axis; got {bounds_mm!r}."
        raise InvalidInput(msg)
    bounds = bounds.reshape(3, 2)
    if (bounds[:, 0] > bounds[:, 1]).any():
        msg = f"The lowest bound lies above the highest: {bounds.tolist()}."
        raise InvalidInput(msg)
    return np.stack(np.meshgrid(*bounds, indexing="ij"), axis=-1).reshape(8, 3)


def corners(volume: Volume, prompt: Placed[Box] | Region, *, space: Space) -> NDArray[np.float64]:
    """Where the corners of a box lie in the patient; what `box` takes.

    Args:
        volume: The volume that the box is on.
        prompt: A box on a slice, or a region.
        space: The frame of the result.

    Returns:
        `(4, 3)` millimetres for a box on a slice, in turn around it from (x0, y0); `(8, 3)` for a
        region, those of its first slice and then those of its last.
    """
    if isinstance(prompt, Region):
        flat, slices = prompt.box, list(prompt.slices)
    else:
        flat, index = _placed(prompt, Box)
        slices = [index]
    around = [(flat.x0, flat.y0), (flat.x1, flat.y0), (flat.x1, flat.y1), (flat.x0, flat.y1)]
    return to_mm(volume, [(x, y, k) for k in slices for x, y in around], space=space)


def position(volume: Volume, prompt: Placed[Point], *, space: Space) -> NDArray[np.float64]:
    """Where a point prompt lies in the patient: `(3,)` millimetres, on its slice."""
    there, index = _placed(prompt, Point)
    return to_mm(volume, (there.x, there.y, index), space=space)


def _placed(prompt: object, kind: type[P]) -> tuple[P, int]:
    if isinstance(prompt, Placed) and isinstance(prompt.prompt, kind):
        return prompt.prompt, prompt.index
    msg = f"A {kind.__name__} on a slice is needed, {kind.__name__}(...).at(k); got {prompt!r}."
    raise InvalidInput(msg)


def _points(value: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        points = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        points = np.full(0, np.nan)
    if points.ndim == 0 or points.shape[-1] != 3 or not np.isfinite(points).all():
        msg = f"{name} are (..., 3) finite numbers, got {value!r}."
        raise InvalidInput(msg)
    return points


def _in_ras(points: NDArray[np.float64], space: Space) -> NDArray[np.float64]:
    choice(space, ("RAS", "LPS"), "space")
    return _lps.flip(points) if space == "LPS" else points


def _rounded(ijk: NDArray[np.float64]) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = np.round(ijk, _DIGITS) + 0.0  # and no -0.0
    return rounded


def _slice(k: float, volume: Volume) -> int:
    return int(min(max(round(k), 0), volume.shape[0] - 1))


def _refuse_a_miss(
    volume: Volume, ends: NDArray[np.float64], points_mm: ArrayLike, space: Space
) -> None:
    if _meets(volume, ends):
        return
    size = np.array(volume.shape[::-1])
    edges = to_mm(volume, corners_of_bounds([(0, n - 1) for n in size]), space=space)
    edges = np.round(edges, 1) + 0.0  # and no -0.0
    spans = ", ".join(
        f"{name} {low:.1f} to {high:.1f}"
        for name, low, high in zip(space, edges.min(axis=0), edges.max(axis=0), strict=True)
    )
    what = np.round(np.asarray(points_mm, np.float64), 3).tolist()
    msg = (
        f"{what} mm in {space} lies outside the volume, which spans {spans} mm. In voxels "
        f"(i, j, k) it is {_words(ends)}, of {tuple(size.tolist())}."
    )
    other: Space = "LPS" if space == "RAS" else "RAS"
    there = to_voxels(volume, points_mm, space=other).reshape(-1, 3)
    if _meets(volume, np.stack([there.min(axis=0), there.max(axis=0)])):
        msg += f' Taken as {other} it lies inside: space="{other}"?'
    raise InvalidPrompt(msg)


def _meets(volume: Volume, ends: NDArray[np.float64]) -> bool:
    # A voxel reaches half a voxel around its centre.
    low, high = ends
    return bool((high >= -0.5).all() and (low <= np.array(volume.shape[::-1]) - 0.5).all())


def _words(ends: NDArray[np.float64]) -> str:
    low, high = (tuple(np.round(end, 1).tolist()) for end in ends)
    return f"{low}" if low == high else f"{low} to {high}"
