"""Tracked videos: a label map per frame, and a film to look at."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from medsegany import overlays
from medsegany.errors import FileError, InvalidInput
from medsegany.io._files import atomically, reason, replacing, shortened, writing
from medsegany.io._frames import read_frames
from medsegany.io._png import write_png
from medsegany.results import Segmentation, label_dtype
from medsegany.types import Image, Labels

_FPS = 25.0


@frozen
class WrittenVideo:
    """What `write_video` wrote.

    Attributes:
        masks: The folder of label maps, `000000.png` for frame 0.
        overlay: The film, or None.
        frames: How many frames there are.
    """

    masks: Path
    overlay: Path | None
    frames: int


def write_video(
    folder: str | Path,
    tracked: Iterable[Segmentation],
    *,
    like: Iterable[Image] | str | Path,
    overlay: bool = True,
    fps: float | None = None,
) -> WrittenVideo:
    """Write a tracked video while it is being tracked: memory does not grow.

    `folder/masks/000000.png` and so on are label maps, 0 where there is no object, of the size of
    the frames: uint8, or uint16 where an id is above 255. `folder/overlay.mp4` shows them on the
    frames. When tracking stops half way, the masks so far stay, each of them whole; the film
    appears only when it is complete.

    Args:
        folder: New or empty, so that no mask of an earlier run stands among these.
        tracked: What `segmenter.track_video(frames, ...)` returns, from frame 0.
        like: The frames that were tracked, or their path. They are gone through a second time, so
            a camera's stream will not do.
        overlay: Whether to write the film.
        fps: Its frames a second. Omitted: those of `like` if it says so (a video file does), or 25.

    Raises:
        FileError: The folder is not empty, or cannot be written.
        InvalidInput: There are more or fewer frames than results, or they differ in size.
    """
    rate = _rate(fps)
    frames = read_frames(like) if isinstance(like, (str, Path)) else like
    if isinstance(frames, Iterator):
        msg = "like= is gone through a second time, and an iterator is used up: give a sequence."
        raise InvalidInput(msg)
    folder = Path(folder)
    masks, film = folder / "masks", folder / "overlay.mp4"
    _make_empty(folder, masks)
    saved = _save(masks, _pairs(frames, tracked))
    if not overlay:
        return WrittenVideo(masks, None, sum(1 for _ in saved))
    rate = rate or getattr(frames, "fps", None) or _FPS
    count = 0
    with replacing(film) as neighbour, _encoder(neighbour, film, rate) as add:
        for count, (image, labels) in enumerate(saved, start=1):  # noqa: B007 -- used below
            add(_drawn(image, labels))
    return WrittenVideo(masks, film, count)


def _rate(fps: float | None) -> float | None:
    if fps is not None and not (type(fps) in {int, float} and 0 < fps < math.inf):
        msg = f"fps is a number above zero, got {fps!r}."
        raise InvalidInput(msg)
    return fps


def _make_empty(folder: Path, masks: Path) -> None:
    try:
        if folder.exists() and any(folder.iterdir()):
            msg = f"The folder {folder} is not empty: masks of several videos would mix."
            raise FileError(msg)
        masks.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        msg = f"The folder {shortened(folder)} cannot be made: {reason(error)}"
        raise FileError(msg) from error


def _pairs(
    frames: Iterable[Image], tracked: Iterable[Segmentation]
) -> Iterator[tuple[Image, Segmentation]]:
    images = iter(frames)
    index = -1
    for index, found in enumerate(tracked):
        image = next(images, None)
        if found.index != index:
            msg = f"The results skip from frame {index - 1} to {found.index}: start from frame 0."
            raise InvalidInput(msg)
        if image is None:
            msg = f"There is a result of frame {index}, and like= has {index} frames."
            raise InvalidInput(msg)
        yield image, found
    if index == -1:
        msg = "There are no results: was the tracking used up before? It yields every frame once."
        raise InvalidInput(msg)
    if next(images, None) is not None:
        msg = f"There are {index + 1} results, and more frames than that."
        raise InvalidInput(msg)


def _save(
    masks: Path, pairs: Iterable[tuple[Image, Segmentation]]
) -> Iterator[tuple[Image, Labels]]:
    for image, found in pairs:
        shape = image.shape[:2]
        labels: Labels = found.labels() if found.masks else np.zeros(shape, label_dtype(0))
        if labels.shape != shape:
            msg = f"Frame {found.index} of like= is {shape}, its masks are {labels.shape}."
            raise InvalidInput(msg)
        name = masks / f"{found.index:06d}.png"
        atomically(name, partial(_write_mask, labels=labels))
        yield image, labels


def _write_mask(path: Path, labels: Labels) -> None:
    write_png(path, labels, {}, {})


def _drawn(image: Image, labels: Labels) -> Image:
    thickness = max(1, round(max(labels.shape) / 400))
    return overlays.overlay(image, labels, thickness_px=thickness)


@contextmanager
def _encoder(path: Path, film: Path, fps: float) -> Iterator[Callable[[Image], None]]:
    """A function that adds a frame to an MP4.

    Args:
        path: Where it is written.
        film: How it will be called.
        fps: Frames a second.
    """
    import av  # noqa: PLC0415 -- heavy, and only videos need it

    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    stream: Any = None
    with _encoding(film):
        container = av.open(str(path), "w")

    def add(image: Image) -> None:
        nonlocal stream
        # The format halves the size for colour, so sides are even: a last row is repeated.
        height, width = image.shape[:2]
        even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        with _encoding(film):
            if stream is None:
                stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
                stream.height, stream.width = even.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))

    try:
        yield add
        with _encoding(film):
            container.mux(stream.encode(None))
            container.close()
    except BaseException:
        with suppress(OSError, av.FFmpegError):  # which has been said
            container.close()
        raise


@contextmanager
def _encoding(film: Path) -> Iterator[None]:
    import av  # noqa: PLC0415 -- heavy, and only videos need it

    with writing(film):
        try:
            yield
        except av.FFmpegError as error:
            raise OSError(str(error)) from error
