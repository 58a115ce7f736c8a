"""Videos and folders of pictures."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medsegany.errors import FileError
from medsegany.io._dicom import read_film
from medsegany.io._dicom_header import is_dicom
from medsegany.io._files import by_number, ending, existing, is_folder, looks_like
from medsegany.io._images import PICTURES, TIFF, count_pages, read_pixels
from medsegany.io._lazy import LazyFrames
from medsegany.io._npz import read_npz
from medsegany.io._video import VIDEOS, VideoFile
from medsegany.preprocess import AnyWindow, to_display
from medsegany.types import Image


def read_frames(
    path: str | Path, *, window: AnyWindow | None = None
) -> Sequence[Image] | NDArray[np.uint8]:
    """The frames of a video, decoded when they are asked for.

    Args:
        path: A video file, a folder of pictures (in the order of the numbers in their names), a
            multi-frame DICOM file or multi-page TIFF, or an `.npz` with `imgs` (an array).
        window: How more than 8 bits of grey become display values; see `preprocess.to_display`.
            None takes the percentiles of some frames together, so that all are scaled alike, and
            refuses DICOM of CT.

    Returns:
        A sequence, with a length, an index and slices. That of a video file or of a film in DICOM
        has `fps`, too.

    Raises:
        FileError: There is nothing there, or it is none of these.
        InvalidInput: CT without `window`.
    """
    path = Path(path)
    if is_folder(path):
        found = sorted(
            (p for p in path.iterdir() if p.suffix.lower() in PICTURES and p.name[0] != "."),
            key=by_number,
        )
        if not found:
            msg = f"The folder {path} holds no pictures ({', '.join(sorted(PICTURES))})."
            raise FileError(msg)
        return LazyFrames(found, None, read_pixels, window).scaled_alike()
    path = existing(path)
    kind = ending(path)
    if kind == ".npz":
        voxels = read_npz(path).volume.voxels
        return voxels if voxels.dtype == np.uint8 else to_display(voxels, window or "percentile")
    if kind in VIDEOS:
        return VideoFile(path)
    if kind in TIFF or kind == ".gif":
        pages = range(count_pages(path))
        return LazyFrames(pages, None, partial(read_pixels, path), window).scaled_alike()
    if kind not in PICTURES and is_dicom(path):
        return read_film(path, window)
    msg = (
        f"{path.name}: frames are read from a folder of pictures, a video file "
        f"({', '.join(sorted(VIDEOS))}), a multi-page .tif, multi-frame DICOM, or .npz."
    )
    content = looks_like(path)
    raise FileError(f"{msg} By its content it is {content}." if content else msg)
