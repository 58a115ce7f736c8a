"""Results on the grid of their source."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsegany.errors import FileError, InvalidInput
from medsegany.results import label_dtype
from medsegany.volume import Volume


def write_labels(path: str | Path, labels: NDArray[Any], *, like: Volume) -> None:
    """Write a label map beside its source: same grid, same affine, same codes and units.

    The file appears under its name only when it is complete; one of that name is replaced.

    Args:
        path: `.nii` or `.nii.gz`.
        labels: `(D, H, W)` bool or integers from 0: uint8 up to 255, else uint16 in the file.
        like: The volume that was segmented.

    Raises:
        InvalidInput: The labels lie on another grid, or are no labels.
        FileError: The file cannot be written, or has another ending.
    """
    path = Path(path)
    array = np.asarray(labels)
    if array.shape != like.shape:
        msg = f"The labels are {array.shape}, the volume {like.shape}."
        raise InvalidInput(msg)
    if array.dtype.kind not in "biu" or (array.size and array.min() < 0):
        msg = f"Labels are whole numbers from 0, got {array.dtype} from {array.min()}."
        raise InvalidInput(msg)
    if not path.name.endswith((".nii", ".nii.gz")):
        msg = f"{path.name}: labels are written as .nii or .nii.gz."
        raise FileError(msg)
    small = array.astype(label_dtype(int(array.max())))
    _atomically(path, lambda temporary: _write_nifti(temporary, small, like))


def _write_nifti(path: Path, labels: NDArray[Any], like: Volume) -> None:
    import nibabel as nib  # noqa: PLC0415 -- keeps `import medsegany` fast

    image = nib.Nifti1Image(labels.T, like.affine)
    codes = like.nifti
    image.header.set_xyzt_units(*codes.units)
    image.header["cal_max"] = 0  # let viewers choose
    image.set_sform(like.affine, codes.sform_code or 2)
    if codes.qform is not None:
        # a shear cannot be held by the quaternion, the sform has it
        image.set_qform(codes.qform, codes.qform_code, strip_shears=True)
    nib.save(image, path)


def _atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write to a neighbour and rename: a half-written file never stands under the final name."""
    ending = "".join(path.suffixes[-2:]) if path.name.endswith(".gz") else path.suffix
    try:
        handle, name = tempfile.mkstemp(suffix=ending, prefix=f".{path.stem}.", dir=path.parent)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror} in {path.parent}."
        raise FileError(msg) from error
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}."
        raise FileError(msg) from error
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
