"""Volumes: NIfTI and the MedSAM challenge's npz."""

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from medsegany.errors import FileError, InvalidInput, MedSegAnyError
from medsegany.preprocess import WINDOWS, AnyWindow, to_display
from medsegany.volume import Volume

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage

_LOOKS_LIKE_CT = -500  # no other modality stores values as low as air in Hounsfield units


def read_volume(
    path: str | Path, *, window: AnyWindow | None = None, frame: int | None = None
) -> Volume:
    """Read a volume, ready for `segment_volume`.

    Args:
        path: NIfTI (`.nii`, `.nii.gz`), or an `.npz` of the MedSAM challenges.
        window: How intensities become display values; see `preprocess.to_display`. For CT a name
            such as "abdomen" or a `Window(level, width)`, for anything else "percentile". "raw"
            keeps the intensities. None leaves uint8 alone, takes percentiles for other data, and
            refuses what looks like CT.
        frame: Which volume of a 4D file, counted from 0.

    Returns:
        The voxels in storage order, and where they lie.

    Raises:
        FileError: The file is missing, broken, or of another kind.
        InvalidInput: 4D without `frame`, a `frame` that does not exist, CT without `window`.
        InvalidGeometry: The file's affine describes no grid.
    """
    path = Path(path)
    if path.name.lower().endswith(".npz"):
        volume = read_npz(path).volume
        _no_frame(path, frame)
    elif path.name.lower().endswith((".nii", ".nii.gz")):
        volume = _read_nifti(path, frame)
    else:
        msg = f"{path.name}: volumes are read from .nii, .nii.gz and .npz files."
        raise FileError(msg)
    return _displayed(volume, path, window)


@frozen(eq=False)
class NpzCase:
    """A case of the MedSAM challenges.

    Attributes:
        volume: `imgs` with its geometry. The file stores a spacing and no orientation, so the axes
            are taken to point along R, A and S; a file without spacing is taken to have 1 mm.
        labels: `gts`, `(D, H, W)` integers, or None.
        boxes: `(N, 4)` x0, y0, x1, y1 or `(N, 6)` with z between, or None.
    """

    volume: Volume
    labels: NDArray[np.integer[Any]] | None = field(default=None, repr=False)
    boxes: NDArray[Any] | None = field(default=None, repr=False)


def read_npz(path: str | Path) -> NpzCase:
    """Read an `.npz` of the MedSAM challenges: `imgs`, and `gts`, `spacing`, `boxes` if there.

    Its `spacing` is (x, y, z), the reverse of the array's axes (z, y, x), and is turned here.
    A 2D image becomes a volume of one slice. Pickled content is refused.

    Raises:
        FileError: The file is missing, broken, or holds no `imgs`.
    """
    path = Path(path)
    content = _npz_content(path)
    if "imgs" not in content:
        msg = f"{path} holds {sorted(content)}, and no 'imgs'."
        raise FileError(msg)
    voxels = content["imgs"]
    labels = content.get("gts")
    if voxels.ndim == 4 and voxels.shape[0] == 3 and voxels.shape[3] != 3:
        voxels = np.moveaxis(voxels, 0, -1)  # the paper's ultrasound files keep colour first
    if voxels.ndim == 2 or (voxels.ndim == 3 and voxels.shape[2] == 3):
        voxels = voxels[None]
        labels = None if labels is None else labels[None]
    if labels is not None and (labels.dtype.kind not in "biu" or labels.shape != voxels.shape[:3]):
        msg = (
            f"{path} has {labels.dtype} 'gts' of shape {labels.shape} for 'imgs' of shape "
            f"{voxels.shape}; integers on the same grid were expected."
        )
        raise FileError(msg)
    spacing = [float(s) for s in content.get("spacing", np.ones(3)).ravel()]
    if len(spacing) != 3:
        msg = f"{path} has a 'spacing' of {len(spacing)} numbers; (x, y, z) was expected."
        raise FileError(msg)
    volume = Volume.from_spacing(voxels, spacing[::-1])
    return NpzCase(volume, labels, content.get("boxes"))


def _npz_content(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in ("imgs", "gts", "spacing", "boxes") if key in file}
    except FileNotFoundError as error:
        msg = f"There is no file {path}."
        raise FileError(msg) from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError, TypeError) as error:
        msg = f"{path} cannot be read as .npz: {error}"
        raise FileError(msg) from error


def _read_nifti(path: Path, frame: int | None) -> Volume:
    import nibabel as nib  # noqa: PLC0415 -- keeps `import medsegany` fast

    if not path.is_file():
        msg = f"There is no file {path}."
        raise FileError(msg)
    try:
        image = cast("SpatialImage", nib.load(path))
        return Volume.from_nibabel(_one_frame(image, path, frame))
    except MedSegAnyError:
        raise
    except (
        nib.filebasedimages.ImageFileError,
        nib.spatialimages.HeaderDataError,
        OSError,
        EOFError,
        ValueError,
        KeyError,
        zlib.error,
    ) as e:
        msg = f"{path} cannot be read as NIfTI: {e}"
        raise FileError(msg) from e


def _one_frame(image: "SpatialImage", path: Path, frame: int | None) -> "SpatialImage":
    dims = len(image.shape)
    if dims == 3:
        _no_frame(path, frame)
        return image
    if dims != 4:
        msg = f"{path} has {dims} dimensions, {image.shape}; a volume has three."
        raise FileError(msg)
    if frame is None:
        msg = f"{path} holds {image.shape[3]} volumes: say which with frame=0."
        raise InvalidInput(msg)
    if not 0 <= frame < image.shape[3]:
        msg = f"frame={frame}, but {path} holds {image.shape[3]} volumes, counted from 0."
        raise InvalidInput(msg)
    return image.slicer[..., frame]


def _no_frame(path: Path, frame: int | None) -> None:
    if frame is not None:
        msg = f"frame={frame}, but {path} holds one volume."
        raise InvalidInput(msg)


def _displayed(volume: Volume, path: Path, window: AnyWindow | None) -> Volume:
    if window == "raw":
        return volume
    if window is not None:
        return to_display(volume, window)
    if volume.voxels.dtype == np.uint8:
        return volume
    lowest = np.fmin.reduce(volume.voxels, axis=None)  # NaN hides nothing
    if lowest <= _LOOKS_LIKE_CT:
        msg = (
            f"{path} looks like CT (its lowest value is {lowest:g}), and CT needs a window: "
            f"window= one of {', '.join(map(repr, WINDOWS))}, or preprocess.Window(level, width). "
            '"raw" keeps the intensities; "percentile" is for anything but CT.'
        )
        raise InvalidInput(msg)
    return to_display(volume, "percentile")
