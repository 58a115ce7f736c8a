"""Videos and folders of pictures."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from medsegany.errors import FileError
from medsegany.io._dicom import read_film
from medsegany.io._dicom_header import is_dicom
from medsegany.io._files import ending, existing, is_folder, looks_like
from medsegany.io._images import PICTURES, TIFF, count_pages, read_image
from medsegany.io._npz import read_npz
from medsegany.io._video import VIDEOS, VideoFile
from medsegany.types import Image


def read_frames(path: str | Path) -> Sequence[Image] | NDArray[np.uint8]:
    """The frames of a video, decoded when they are asked for.

    Args:
        path: A video file, a folder of pictures (in the order of the numbers in their names), a
            multi-frame DICOM file or multi-page TIFF, or an `.npz` with `imgs` (an array).

    Returns:
        A sequence: it has a length, an index and slices. A video file, or a film in DICOM, also
        has `fps`.

    Raises:
        FileError: There is nothing there, or it is none of these.
    """
    path = Path(path)
    if is_folder(path):
        found = sorted(
            (p for p in path.iterdir() if p.suffix.lower() in PICTURES and p.name[0] != "."),
            key=_natural,
        )
        if not found:
            msg = f"The folder {path} holds no pictures ({', '.join(sorted(PICTURES))})."
            raise FileError(msg)
        return FrameFolder(found)
    path = existing(path)
    kind = ending(path)
    if kind == ".npz":
        return read_npz(path).volume.voxels
    if kind in VIDEOS:
        return VideoFile(path)
    if kind in TIFF or kind == ".gif":
        return Pages(path, range(count_pages(path)))
    if kind not in PICTURES and is_dicom(path):
        return read_film(path)
    msg = (
        f"{path.name}: frames are read from a folder of pictures, a video file "
        f"({', '.join(sorted(VIDEOS))}), a multi-page .tif, multi-frame DICOM, or .npz."
    )
    content = looks_like(path)
    raise FileError(f"{msg} By its content it is {content}." if content else msg)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """So that frame 10 comes after frame 9."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts]


class FrameFolder(Sequence[Image]):
    """Pictures as a sequence; each is read when it is asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> "FrameFolder": ...
    def __getitem__(self, index: int | slice) -> "Image | FrameFolder":
        if isinstance(index, slice):
            return FrameFolder(self.paths[index])
        return read_image(self.paths[index])


class Pages(Sequence[Image]):
    """The pages of a TIFF as a sequence; each is read when it is asked for."""

    def __init__(self, path: Path, pages: range) -> None:
        self.path, self.pages = path, pages

    def __len__(self) -> int:
        return len(self.pages)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> "Pages": ...
    def __getitem__(self, index: int | slice) -> "Image | Pages":
        if isinstance(index, slice):
            return Pages(self.path, self.pages[index])
        return read_image(self.path, frame=self.pages[index])
