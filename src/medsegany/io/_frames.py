"""Videos and folders of pictures."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from medsegany.errors import FileError
from medsegany.io._images import read_image
from medsegany.io._volumes import read_npz
from medsegany.types import Image

_PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}
_VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"}


def read_frames(path: str | Path) -> Sequence[Image] | NDArray[np.uint8] | Iterable[Image]:
    """The frames of a video, decoded when they are asked for.

    Args:
        path: A folder of pictures (a sequence, in the order of the numbers in their names), an
            `.npz` with `imgs` (an array), or a video file (an iterable: forward only).

    Raises:
        FileError: There is nothing there, or it is none of these.
    """
    path = Path(path)
    if path.is_dir():
        found = sorted(
            (p for p in path.iterdir() if p.suffix.lower() in _PICTURES and p.name[0] != "."),
            key=_natural,
        )
        if not found:
            msg = f"The folder {path} holds no pictures ({', '.join(sorted(_PICTURES))})."
            raise FileError(msg)
        return FrameFolder(found)
    if not path.is_file():
        msg = f"There is no file or folder {path}."
        raise FileError(msg)
    if path.suffix == ".npz":
        return read_npz(path).volume.voxels
    if path.suffix.lower() in _VIDEOS:
        return VideoFile(path)
    msg = f"{path.name}: frames are read from a folder of pictures, .npz, or a video file."
    raise FileError(msg)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """So that frame 10 comes after frame 9."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts]


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


class VideoFile:
    """A video file: iterating decodes it from the start, one frame at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[Image]:
        import av  # noqa: PLC0415 -- heavy, and only videos need it

        try:
            with av.open(str(self.path)) as container:
                for frame in container.decode(video=0):
                    image: Image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                    yield image
        except (av.FFmpegError, IndexError) as error:
            msg = f"{self.path} cannot be decoded: {error}"
            raise FileError(msg) from error
