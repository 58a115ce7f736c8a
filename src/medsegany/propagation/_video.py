"""Objects in a video: one frame in, one frame out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from medsegany._segmentations import join, nothing
from medsegany.errors import InvalidImage, InvalidInput, InvalidPrompt
from medsegany.preprocess import check_image
from medsegany.progress import OnProgress, Progress, no_progress
from medsegany.prompts import ObjectPrompts, Prompts, by_object, check_kinds, on_stack
from medsegany.propagation._by_box import ByBox
from medsegany.propagation._by_memory import ByMemory
from medsegany.protocols import (
    Carrier,
    Direction,
    Frames,
    Propagation,
    RemembersSlices,
    Segmenter,
    Span,
)
from medsegany.results import Segmentation
from medsegany.types import Image

Waiting = dict[int, dict[int, ObjectPrompts]]  # frame -> object -> prompts


def track_video(
    segmenter: Segmenter,
    frames: Frames,
    prompts: Prompts,
    *,
    direction: Direction = "forward",
    length: int | None = None,
    propagation: Propagation | None = None,
    on_progress: OnProgress = no_progress,
) -> "VideoTracking":
    """Follow objects through a video, one frame at a time (paper, section 2.5).

    Nothing is computed before the first frame is asked for, and memory does not grow with the
    length of the video. An object is never stopped: it may leave and come back.

    Args:
        segmenter: The model.
        frames: uint8 frames, `(H, W)` or `(H, W, 3)`, all of one size: an array `(T, H, W[, 3])`,
            a sequence, any iterable (a camera), or a path that `io.read_frames` reads.
        prompts: In pixels of their frame, placed with `.at(frame)`; an unplaced prompt means
            frame 0.
        direction: "backward" and "both" need a sequence, and keep the results of the frames
            before the first prompt.
        length: Number of frames of an iterable that does not know it. SAM2 encodes time by
            `min(length, 16)`, so give it for streams shorter than that.
        propagation: `ByMemory()` is the default of models with a memory (SAM2), `ByBox()` of all
            others. Its own direction is not used.
        on_progress: Told of every finished frame.

    Returns:
        An iterator that yields a `Segmentation` for every frame, in order from 0. It lacks an
        object before its first prompt.

        An object with prompts on several frames of a sequence looks at all of them from the start,
        as upstream does. In an iterable the later ones are not known yet, and count once reached.

    Raises:
        InvalidImage: A frame is not made of display values, or its size changes.
        InvalidPrompt: A prompt is malformed, misses the frame, or lies beyond the video.
        InvalidInput: Another direction than "forward" without a sequence, or a wrong `length`.
        PromptNotSupported: The model does not take this kind of prompt.
        PropagationNotSupported: The model cannot cross a stack in this way.
    """
    if direction not in ("forward", "backward", "both"):
        msg = f'direction is "forward", "backward" or "both", got {direction!r}.'
        raise InvalidInput(msg)
    source = _opened(frames)
    known = len(source) if isinstance(source, (Sequence, np.ndarray)) else None
    if known is not None and length not in (None, known):
        msg = f"length={length}, but there are {known} frames."
        raise InvalidInput(msg)
    if known is None and direction != "forward":
        msg = f"direction={direction!r} goes back in time, so frames must be a sequence."
        raise InvalidInput(msg)
    if known == 0:
        msg = "The video has no frames."
        raise InvalidInput(msg)
    length = length if known is None else known
    way = propagation or (ByMemory() if isinstance(segmenter, RemembersSlices) else ByBox())
    if direction == "both" and isinstance(way, ByMemory) and way.directions == "shared":
        msg = (
            'directions="shared" lets the backward way see the whole forward one, and a video is '
            'yielded from its first frame: use "independent" here, or segment_volume.'
        )
        raise InvalidInput(msg)
    carrier = way.carrier(segmenter, Span(0, None if length is None else length - 1), {})
    return VideoTracking(
        segmenter, source, prompts, carrier, direction, length=length, on_progress=on_progress
    )


def _opened(frames: Frames) -> Any:  # noqa: ANN401 -- a sequence, an array or an iterable of frames
    if isinstance(frames, (str, Path)):
        from medsegany.io import read_frames  # noqa: PLC0415 -- io is only needed for paths

        return read_frames(frames)
    if isinstance(frames, np.ndarray) and frames.ndim == 2:
        msg = f"A video is (T, H, W) or (T, H, W, 3), got shape {frames.shape}: frames[None]?"
        raise InvalidInput(msg)
    if not hasattr(frames, "__iter__") and not hasattr(frames, "__getitem__"):
        msg = (
            f"frames are an array, a sequence, an iterable or a path, got {type(frames).__name__}."
        )
        raise InvalidInput(msg)
    return frames


class VideoTracking:
    """A video being tracked; see `medsegany.protocols.Tracking`."""

    def __init__(
        self,
        segmenter: Segmenter,
        source: Any,  # noqa: ANN401 -- a sequence, an array or an iterable of frames
        prompts: Prompts,
        carrier: Carrier,
        direction: Direction,
        *,
        length: int | None,
        on_progress: OnProgress,
    ) -> None:
        self._segmenter = segmenter
        self._source = source
        self._carrier = carrier
        self._direction = direction
        self._length = length
        self._on_progress = on_progress
        self._shape: tuple[int, int] | None = None
        self._current: tuple[int, Image] | None = None  # the frame last yielded
        self._started: dict[int, int] = {}  # object -> its first prompted frame
        self._waiting: Waiting = {}
        self._done: dict[int, Segmentation] = {}  # made ahead of their frame
        self._prompts = prompts
        by_object(prompts)  # what is wrong in itself is said at once
        if isinstance(source, (Sequence, np.ndarray)):
            self._begin(self._check(0, source[0]))
        self._frames: Iterator[Segmentation] = self._run()

    def __iter__(self) -> Iterator[Segmentation]:
        return self

    def __next__(self) -> Segmentation:
        return next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop, and let go of the frames and the memory."""
        self._frames.close()  # type: ignore[attr-defined]  # it is a generator, always
        self._done.clear()
        del self._carrier, self._source
        self._carrier, self._source = _Closed(), ()

    def prompt(self, prompts: Prompts) -> Segmentation | None:
        """Correct an object or add one, on the frame last yielded or on a later one."""
        now = 0 if self._current is None else self._current[0]
        if self._shape is None:
            msg = "The first frame has not been seen yet: give these prompts to track_video."
            raise InvalidPrompt(msg)
        asked = self._take(prompts, unplaced=now, earliest=now)
        if self._current is None or now not in self._waiting:
            return None
        index, image = self._current
        found = self._carrier.prompt(index, image, self._waiting.pop(index))
        for name in asked:
            if index in asked[name]:
                self._started[name] = min(self._started.get(name, index), index)
        return found

    # --- the frames ------------------------------------------------------------------------------

    def _run(self) -> Iterator[Segmentation]:
        index = -1
        for index, frame in enumerate(self._source):
            image = self._check(index, frame)
            if index == 0 and self._shape is None:
                self._begin(image)
            if index == 0:
                self._look_ahead()
            found = self._segment(index, image)
            self._current = (index, image)
            self._on_progress(Progress("frames", index + 1, self._length))
            yield found
        if self._waiting:
            late = min(self._waiting)
            msg = (
                f"Object {min(self._waiting[late])} is prompted on frame {late}, but the video "
                f"ended after {index + 1} frames."
            )
            raise InvalidPrompt(msg)

    def _segment(self, index: int, image: Image) -> Segmentation:
        ahead = self._done.pop(index, nothing(index))
        asked = self._waiting.pop(index, {})
        prompted = self._carrier.prompt(index, image, asked) if asked else nothing(index)
        for name in asked:
            self._started[name] = min(self._started.get(name, index), index)
        active = [
            name
            for name, start in self._started.items()
            if start < index
            and self._direction != "backward"
            and name not in prompted.masks
            and name not in ahead.masks
        ]
        carried = nothing(index)
        if active:
            carried = self._carrier.carry(index, image, active, reverse=False)
        return join(index, ahead, carried, prompted)

    def _look_ahead(self) -> None:
        """In a sequence: all prompts before the first frame, then the backward way."""
        if not isinstance(self._source, (Sequence, np.ndarray)):
            return
        for k in sorted(self._waiting):
            asked = self._waiting[k]
            self._put(k, self._carrier.prompt(k, self._check(k, self._source[k]), asked))
            for name in asked:
                self._started[name] = min(self._started.get(name, k), k)
        self._waiting.clear()
        if self._direction == "forward":
            return
        for k in range(max(self._started.values()) - 1, -1, -1):
            names = [name for name, start in self._started.items() if start > k]
            image = self._check(k, self._source[k])
            self._put(k, self._carrier.carry(k, image, names, reverse=True))
        self._carrier.turn()

    def _put(self, k: int, found: Segmentation) -> None:
        self._done[k] = join(k, self._done.get(k, nothing(k)), found)

    # --- checks ----------------------------------------------------------------------------------

    def _begin(self, first: Image) -> None:
        self._shape = (first.shape[0], first.shape[1])
        self._take(self._prompts, unplaced=0, earliest=0)

    def _take(self, prompts: Prompts, *, unplaced: int, earliest: int) -> Waiting:
        assert self._shape is not None
        asked = on_stack(prompts, self._shape, length=self._length, unplaced=unplaced)
        for name, at in asked.items():
            for k, here in at.items():
                if k < earliest:
                    msg = (
                        f"Object {name} is prompted on frame {k}, but frame {earliest} has been "
                        "yielded already: only it and later ones can be prompted."
                    )
                    raise InvalidPrompt(msg)
                if here.mask is None:
                    check_kinds(here, self._segmenter.accepts, self._segmenter.name)
        for name, at in asked.items():
            for k, here in at.items():
                self._waiting.setdefault(k, {})[name] = here
        return asked

    def _check(self, index: int, frame: NDArray[Any]) -> Image:
        if self._length is not None and index >= self._length:
            msg = f"length={self._length}, but there is a frame {index} (counted from 0)."
            raise InvalidInput(msg)
        image = check_image(frame)
        if self._shape is not None and image.shape[:2] != self._shape:
            msg = f"Frame {index} is {image.shape[:2]}, the frames before it {self._shape}."
            raise InvalidImage(msg)
        return image


class _Closed:
    """Stands where the carrier was."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- it never returns
        msg = "This tracking has been closed."
        raise InvalidInput(msg)
