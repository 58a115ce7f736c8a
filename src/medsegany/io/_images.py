"""Pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsegany.errors import FileError
from medsegany.io._dicom import read_picture
from medsegany.io._dicom_header import is_dicom
from medsegany.io._files import ending, existing, looks_like, reading
from medsegany.io._frame import which
from medsegany.io._lazy import display
from medsegany.preprocess import AnyWindow
from medsegany.types import Image

TIFF = {".tif", ".tiff"}
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", *TIFF}
"""Endings of pictures."""

_DEEP = {"I", "I;16", "I;16B", "I;16L", "F"}
_BY_PILLOW = {"u1", "u2", "f4", "b1"}
_VOLUMES = {"NIfTI", "NRRD", "MetaImage"}


def read_image(
    path: str | Path, *, window: AnyWindow | None = None, frame: int | None = None
) -> Image:
    """Read a PNG, JPEG, TIFF, DICOM or other picture as the display values that the verbs take.

    Args:
        path: The file.
        window: How more than 8 bits of grey become display values; see `preprocess.to_display`.
            None takes percentiles, and refuses a DICOM slice of CT. Colours have none.
        frame: Which image of a multi-page TIFF, an animation or a multi-frame DICOM file, from 0.

    Returns:
        uint8, `(H, W)` for grey pictures, else `(H, W, 3)` RGB. Pixels are in storage order (an
        EXIF rotation is not applied), an alpha channel is dropped, colours of more than 8 bits
        keep their highest 8. DICOM pictures in which low means bright are inverted.

    Raises:
        FileError: There is no such file, or it is no picture.
        InvalidInput: It holds several pictures and `frame` does not say which, or is CT without
            `window`.
    """
    path = existing(path)
    if ending(path) not in PICTURES and is_dicom(path):
        return read_picture(path, window, frame)
    page = which(path, frame, count_pages(path), "pictures (all: io.read_frames)")
    return display(read_pixels(path, page), window)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from PIL import Image as Pillow, UnidentifiedImageError  # noqa: PLC0415 -- a fast import

    try:
        # SyntaxError and more: what Pillow raises at damaged bytes
        with reading(path, "a picture"), Pillow.open(path) as picture:
            yield picture
    except FileError as error:
        if not isinstance(error.__cause__, UnidentifiedImageError):
            raise
        msg = f"{path} is no picture: PNG, JPEG and TIFF are read here, volumes by read_volume."
        found = looks_like(path)
        if found:
            msg += f" By its content it is {found}" + (
                ": read_volume." if found in _VOLUMES else "."
            )
        raise FileError(msg) from error


def count_pages(path: Path) -> int:
    """How many pictures a file holds."""
    if _by_tifffile(path):
        import tifffile  # noqa: PLC0415 -- few files need it

        with reading(path, "TIFF"), tifffile.TiffFile(path) as file:
            return len(file.pages)
    with _opened(path) as picture:
        return int(getattr(picture, "n_frames", 1))


def read_pixels(path: Path, page: int = 0) -> NDArray[Any]:
    """A picture as stored: `(H, W)` of any depth, or `(H, W, 3)` uint8; no alpha."""
    if _by_tifffile(path):
        return _tiff(path, page)
    with _opened(path) as picture:
        if page:
            picture.seek(page)
        if picture.mode in _DEEP:
            return np.asarray(picture)
        mode = "L" if picture.mode in {"1", "L", "LA", "La"} else "RGB"
        return np.array(picture.convert(mode))


def _by_tifffile(path: Path) -> bool:
    """Whether it is a TIFF that Pillow does not open, or misreads: most that are deep."""
    if looks_like(path) != "TIFF":
        return False
    import tifffile  # noqa: PLC0415 -- few files need it

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0].aspage()
            kind = None if page.dtype is None else page.dtype.str[1:]
            whitish = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
            colour = page.samplesperpixel > 2
            return (kind != "u1" and colour) or kind not in _BY_PILLOW or (kind != "u1" and whitish)
    except Exception:  # noqa: BLE001 -- damaged: Pillow says it, with the reason
        return False


def _tiff(path: Path, page: int) -> NDArray[Any]:
    import tifffile  # noqa: PLC0415 -- few files need it

    with reading(path, "TIFF"), tifffile.TiffFile(path) as file:
        found = file.pages[page].aspage()
        values = found.asarray()
        if found.axes == "SYX":  # planes of colour, one after the other
            values = np.moveaxis(values, 0, -1)
        if values.ndim == 3 and values.shape[2] in {3, 4} and values.dtype.kind == "u":
            deep = 8 * values.dtype.itemsize - 8
            return (values[..., :3] >> deep).astype(np.uint8)
        if values.ndim != 2 or values.dtype.kind not in "biuf":
            msg = f"{path} has {values.dtype} pages of shape {values.shape}; (H, W) or RGB is read."
            raise FileError(msg)
        if found.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
            highest = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else values.max()
            return np.asarray(highest - values)
        return np.asarray(values)
