"""Video files, through PyAV."""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np

from medsegany.errors import FileError
from medsegany.io._files import reading
from medsegany.io._lazy import LazyFrames
from medsegany.types import Image

VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"}
"""Endings of videos."""

# Formats whose seeking can be relied on; an MPEG program stream gives frames wrong times after it.
_SEEKABLE = ("mov,", "matroska", "avi", "asf")
_KEPT_BYTES = 128 << 20  # of frames decoded on the way to one that was asked for


class VideoFile(Sequence[Image]):
    """A video file as a sequence of frames, `(H, W, 3)` RGB; each is decoded when asked for.

    Iterating decodes from the start, one frame after the other, and holds none. An index seeks to
    the keyframe before it and decodes up to it. Frames are those that a player shows, in order of
    their time; a rotation noted in the file is not applied.

    Attributes:
        path: The file.
        fps: Frames a second, on average.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._opened() as (_, stream):
            self.fps = float(stream.average_rate or stream.guessed_rate or Fraction(25))
        self._ahead: Generator[tuple[int, Image], None, None] | None = None
        self._next = 0  # the frame that `_ahead` yields next
        self._kept: OrderedDict[int, Image] = OrderedDict()

    def __repr__(self) -> str:
        return f"VideoFile({self.path.name!r})"

    def __len__(self) -> int:
        return len(self._times)

    def __iter__(self) -> Iterator[Image]:
        count = 0
        for count, image in enumerate(self._decoded(), start=1):  # noqa: B007 -- used below
            yield image
        if count != len(self):
            msg = f"{self.path} is damaged: {count} of its {len(self)} frames could be decoded."
            raise FileError(msg)

    def _decoded(self) -> Iterator[Image]:
        with self._opened() as (container, stream):
            for frame in container.decode(stream):
                yield _rgb(frame)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> LazyFrames[int]: ...
    def __getitem__(self, index: int | slice) -> Image | LazyFrames[int]:
        if isinstance(index, slice):
            return LazyFrames(range(len(self)), self.fps, self._frame)[index]
        return self._frame(index)

    def _frame(self, index: int) -> Image:
        wanted = range(len(self))[index]
        if wanted not in self._kept:
            self._decode_up_to(wanted)
        self._kept.move_to_end(wanted)
        return self._kept[wanted]

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        import av  # noqa: PLC0415 -- heavy, and only videos need it

        with reading(self.path, "a video"), av.open(str(self.path)) as container:
            if not container.streams.video:
                msg = f"{self.path} holds no video."
                raise FileError(msg)
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield container, stream

    @cached_property
    def _times(self) -> list[int]:
        """The time of every frame, in order, read from the packets without decoding them."""
        with self._opened() as (container, stream):
            seekable = container.format.name.startswith(_SEEKABLE)
            packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
        times = sorted({p.pts for p in packets if p.pts is not None})
        told = seekable and times and len(times) == len(packets)
        if told and self._begins_with(times[:8]):
            return times
        # Files without times, or with some that lie: counted by decoding, found by decoding.
        self._seekable = False
        return list(range(sum(1 for _ in self._decoded())))

    _seekable = True

    def _begins_with(self, times: list[int]) -> bool:
        """Whether the first frames that come out are those that the packets promise."""
        with self._opened() as (container, stream):
            return [frame.pts for frame in islice(container.decode(stream), len(times))] == times

    def _decode_up_to(self, wanted: int) -> None:
        # Close ahead of where decoding stands, going on is cheaper than seeking.
        if self._ahead is None or not self._next <= wanted <= self._next + 32:
            if self._ahead is not None:
                self._ahead.close()
            self._ahead = self._from(wanted)
        for index, image in self._ahead:
            self._next = index + 1
            image.setflags(write=False)  # it is handed out again
            self._kept[index] = image
            while len(self._kept) > max(1, _KEPT_BYTES // image.nbytes):
                self._kept.popitem(last=False)
            if index == wanted:
                return
        msg = f"{self.path} is damaged: frame {wanted} of {len(self)} cannot be decoded."
        raise FileError(msg)

    def _from(self, wanted: int) -> Generator[tuple[int, Image], None, None]:
        """Frames from the keyframe before the one wanted, with their numbers."""
        with self._opened() as (container, stream):
            times, early = self._times, False
            if wanted and self._seekable:
                container.seek(times[wanted], stream=stream, backward=True)
                for frame in container.decode(stream):
                    index = bisect_left(times, frame.pts)
                    early = early or index <= wanted
                    if not early:  # the file's table of keyframes is wrong
                        break
                    yield index, _rgb(frame)
                if early:
                    return
        yield from enumerate(self._decoded())


def _rgb(frame: Any) -> Image:  # noqa: ANN401 -- PyAV is imported late
    image: Image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    return image
