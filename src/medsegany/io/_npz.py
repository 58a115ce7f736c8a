"""The npz of the MedSAM challenges."""

import zipfile
from math import prod
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from medsegany._validate import choice
from medsegany.errors import FileError
from medsegany.io._files import existing, identity, reading, refuse_a_swollen_header
from medsegany.volume import Volume

KIND = ".npz"
_KEYS = ("imgs", "gts", "segs", "spacing", "spacing_zyx", "affine", "boxes", "recist", "names")


@frozen(eq=False)
class NpzCase:
    """A case of the MedSAM challenges.

    Attributes:
        volume: `imgs` with its geometry. The file stores a spacing and no orientation, so the axes
            are taken to point along R, A and S; a file without spacing is taken to have 1 mm.
        labels: `gts`, `(D, H, W)` integers, or None.
        boxes: `(N, 4)` x0, y0, x1, y1 or `(N, 6)` x0, y0, z0, x1, y1, z1, in voxels; or None.
        recist: Lesions' diameters drawn on one slice, as the MedSAM2 files have them: `(D, H, W)`
            integers like `labels`, as stored; or None.
    """

    volume: Volume
    labels: NDArray[np.integer[Any]] | None = field(default=None, repr=False)
    boxes: NDArray[Any] | None = field(default=None, repr=False)
    recist: NDArray[Any] | None = field(default=None, repr=False)


def read_npz(path: str | Path, *, spacing_order: Literal["xyz", "zyx"] = "xyz") -> NpzCase:
    """Read an `.npz` of the MedSAM challenges: `imgs`, and `gts`, `boxes`, `recist` if there.

    A 2D image becomes a volume of one slice. Pickled content is refused.

    Args:
        path: The file.
        spacing_order: How the file stores `spacing`. The challenges', and SimpleITK's, is
            (x, y, z), the reverse of the array's axes (z, y, x), and is turned here; "zyx" is for
            files that somebody has turned already. A key `spacing_zyx` says it by its name, and
            `affine`, which `write_labels` adds, says more than any spacing.

    Raises:
        FileError: The file is missing, broken, or holds no `imgs`.
        InvalidGeometry: Its spacing or affine describes no grid.
    """
    choice(spacing_order, ("xyz", "zyx"), "spacing_order")
    path = existing(path)
    content = read_arrays(path)
    if "imgs" not in content:
        msg = f"{path} holds {sorted(content) or 'none of the known arrays'}, and no 'imgs'."
        raise FileError(msg)
    voxels = content["imgs"]
    if voxels.dtype.kind not in "biuf":
        msg = f"{path} has 'imgs' of {voxels.dtype}; numbers were expected."
        raise FileError(msg)
    labels, recist = content.get("gts"), content.get("recist")
    if voxels.ndim == 4 and voxels.shape[0] == 3 and voxels.shape[3] != 3:
        voxels = np.moveaxis(voxels, 0, -1)  # the paper's ultrasound files keep colour first
    picture = voxels.ndim == 3 and voxels.shape[2] == 3 and not _same(labels, voxels)
    if voxels.ndim == 2 or picture:
        voxels = voxels[None]
        labels = None if labels is None else labels[None]
        recist = recist[None] if recist is not None and recist.ndim == 2 else recist
    if recist is not None and recist.shape != voxels.shape[:3]:
        msg = f"{path} has 'recist' of shape {recist.shape} for 'imgs' of shape {voxels.shape}."
        raise FileError(msg)
    if labels is not None and (labels.dtype.kind not in "biu" or labels.shape != voxels.shape[:3]):
        msg = (
            f"{path} has {labels.dtype} 'gts' of shape {labels.shape} for 'imgs' of shape "
            f"{voxels.shape}; integers on the same grid were expected."
        )
        raise FileError(msg)
    with reading(path, KIND):
        volume = Volume(voxels, grid(content, spacing_order, path), file_id=identity(path))
    return NpzCase(volume, labels, _boxes(content.get("boxes"), path), recist)


def _boxes(boxes: NDArray[Any] | None, path: Path) -> NDArray[Any] | None:
    if boxes is None or not boxes.size:
        return None
    rows = np.atleast_2d(boxes)
    if rows.dtype.kind not in "iuf" or rows.ndim != 2 or rows.shape[1] not in {4, 6}:
        msg = (
            f"{path} has {boxes.dtype} 'boxes' of shape {boxes.shape}; (N, 4) for a picture as "
            "(x0, y0, x1, y1), or (N, 6) as (x0, y0, z0, x1, y1, z1), were expected."
        )
        raise FileError(msg)
    return rows


def _same(labels: NDArray[Any] | None, voxels: NDArray[Any]) -> bool:
    """Whether labels tell that three columns are columns, and not red, green and blue."""
    return labels is not None and labels.shape == voxels.shape


def grid(
    content: dict[str, NDArray[Any]], spacing_order: Literal["xyz", "zyx"], path: Path
) -> NDArray[np.float64]:
    """The affine that a file's arrays describe."""
    if "affine" in content:
        with reading(path, KIND):
            return Volume(np.zeros((1, 1, 1)), content["affine"]).affine
    key = "spacing" if "spacing" in content else "spacing_zyx"
    spacing = [float(s) for s in content.get(key, np.ones(3)).ravel()]
    turned = spacing if key == "spacing_zyx" or spacing_order == "zyx" else spacing[::-1]
    if len(turned) == 2:  # of a 2D image: rows and columns
        turned = [1.0, *turned]
    if len(turned) != 3:
        order = "(x, y, z)" if spacing_order == "xyz" else "(z, y, x)"
        msg = f"{path} has a {key!r} of {len(turned)} numbers; {order} was expected."
        raise FileError(msg)
    with reading(path, KIND):
        return Volume.from_spacing(np.zeros((1, 1, 1)), turned).affine


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file that this library knows by name.

    Raises:
        FileError: The file is broken, or one of them is pickled.
    """
    with reading(path, KIND), zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        found = {}
        for key in _KEYS:
            info = members.get(f"{key}.npy")
            if info is None:
                continue
            with archive.open(info) as file:
                promised = _promised(file)
            refuse_a_swollen_header(path, promised, KIND)
            if promised > info.file_size:
                msg = f"{path}: {key!r} announces {promised:,} bytes and has {info.file_size:,}."
                raise FileError(msg)
            with archive.open(info) as file:
                found[key] = np.lib.format.read_array(file, allow_pickle=False)
        return found


def _promised(file: IO[bytes]) -> int:
    """How many bytes an array will take, by its header."""
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(file)
    return 0 if dtype.hasobject else prod(shape) * dtype.itemsize


def grid_arrays(volume: Volume) -> dict[str, NDArray[np.float64]]:
    """A grid as files of the challenges hold it, for `grid` to read again.

    `spacing` is (x, y, z), as in their files. They have no place for an orientation: `affine`
    (voxel (i, j, k) to millimetres in RAS+) is ours.
    """
    return {"spacing": np.array(volume.spacing_mm[::-1]), "affine": volume.affine}


def write_npz(path: Path, labels: NDArray[Any], like: Volume, names: dict[int, str]) -> None:
    """Write `segs` as the challenges want them, and the grid beside it."""
    arrays: dict[str, Any] = {"segs": labels, **grid_arrays(like)}
    if names:
        every = [names.get(n, "") for n in range(max(names) + 1)]
        arrays["names"] = np.array(every)  # names[label]
    np.savez_compressed(path, **arrays)
