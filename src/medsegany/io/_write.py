"""Results on the grid of their source."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

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

    codes = like.nifti
    affine = like.affine.copy()
    affine[:3] /= codes.mm  # back to the unit of the file
    in_sform = codes.sform_code > 0 or codes.qform_code == 0
    image = nib.Nifti1Image(labels.T, affine)
    image.header.set_xyzt_units(*codes.units)
    # A source without any code lies where its reader guesses; the result says where we read it.
    image.set_sform(affine, (codes.sform_code or 2) if in_sform else 0)
    if codes.qform is not None:
        # a shear cannot be held by the quaternion, the sform has it
        image.set_qform(codes.qform, codes.qform_code, strip_shears=True)
    nib.save(image, path)


def _atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write to a neighbour and rename: a half-written file never stands under the final name."""
    ending = "".join(path.suffixes[-2:]) if path.name.endswith(".gz") else path.suffix
    temporary = path.with_name(f".{uuid4().hex}{ending}")
    try:
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}."
        raise FileError(msg) from error
    finally:
        temporary.unlink(missing_ok=True)
