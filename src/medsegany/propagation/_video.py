"""Objects in a video: one frame in, one frame out."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from inspect import GEN_RUNNING, getgeneratorstate
from pathlib import Path
from typing import Any, Self

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from medsegany._segmentations import join, nothing, without
from medsegany._validate import choice, whole
from medsegany.errors import InvalidImage, InvalidInput, InvalidPrompt
from medsegany.preprocess import check_image
from medsegany.progress import OnProgress, Progress, no_progress
from medsegany.prompts import ObjectPrompts, Prompts, by_object, check_kinds, on_stack, together
from medsegany.propagation._asking import in_turn
from medsegany.propagation._by_memory import ByMemory
from medsegany.propagation._volume import default_way
from medsegany.protocols import Carrier, Direction, Frames, Propagation, Segmenter, Span
from medsegany.results import Segmentation
from medsegany.types import Image


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
    """Follow objects through a video, one frame at a time.

    The paper prompts the first frame that shows the object and goes forward.

    Nothing is computed before the first frame is asked for, and memory does not grow with the
    length of the video. An object is never stopped: it may leave and come back.

    Args:
        segmenter: The model.
        frames: uint8 frames, `(H, W)` or `(H, W, 3)`, all of one size: an array `(T, H, W[, 3])`,
            a sequence (anything with a length and an index), any iterable (a camera), or a path
            that `io.read_frames` reads.
        prompts: In pixels of their frame, placed with `.at(frame)`; an unplaced prompt means
            frame 0.
        direction: "backward" goes from an object's first prompt down to frame 0, "both" does that
            too. Both need a sequence, and keep results of the frames before the first prompt until
            they are yielded: some 10 MB for a frame of 1080 lines and an object.
        length: Number of frames of an iterable that does not know it. SAM2 encodes time by
            `min(length, 16)`, so give it for streams shorter than that.
        propagation: `ByMemory()` is the default of models with a memory (SAM2), `ByBox()` of all
            others. Its own direction is not used.
        on_progress: Told of every finished frame. It may close the tracking.

    Returns:
        An iterator that yields a `Segmentation` for every frame, in order from 0. It lacks an
        object where the direction does not lead: before its first prompt on the forward way, after
        it on the backward one.

        An object with prompts on several frames of a sequence looks at all of them from the start,
        as upstream does. In an iterable the later ones are not known yet, and count once reached.

    Raises:
        InvalidImage: A frame is not made of display values, or its size changes.
        InvalidPrompt: A prompt is malformed, misses the frame, or lies beyond the video.
        InvalidInput: Another direction than "forward" without a sequence, or a wrong `length`.
        PromptNotSupported: The model does not take this kind of prompt.
        PropagationNotSupported: The model cannot cross a stack in this way.
    """
    choice(direction, ("forward", "backward", "both"), "direction")
    source = _opened(frames, length)
    if not source.indexed and direction != "forward":
        msg = f"direction={direction!r} goes back in time, so frames must be a sequence."
        raise InvalidInput(msg)
    way = default_way(segmenter) if propagation is None else propagation
    if isinstance(way, ByMemory):
        way = _for_video(way, direction)
    last = None if source.length is None else source.length - 1
    carrier = way.carrier(segmenter, Span(0, last), {})
    return VideoTracking(segmenter, source, prompts, carrier, direction, on_progress)


def _for_video(way: ByMemory, direction: Direction) -> ByMemory:
    if direction == "both" and way.directions == "shared":
        msg = (
            'directions="shared" lets the backward way see the whole forward one, and a video is '
            'yielded from its first frame: use "independent" here, or segment_volume.'
        )
        raise InvalidInput(msg)
    if direction == "forward" and way.memory_budget is None:
        return evolve(way, memory_budget=0)  # no frame is ever looked at again
    return way


@frozen(eq=False)
class _Source:
    """Frames, and what is known of them.

    Attributes:
        frames: Whatever the user gave.
        indexed: Whether any frame can be had at any time.
        length: Number of frames, where it is known.
    """

    frames: Any
    indexed: bool
    length: int | None

    def __iter__(self) -> Iterator[NDArray[Any]]:
        if self.indexed and self.length is not None and not hasattr(self.frames, "__iter__"):
            return (self.frames[t] for t in range(self.length))
        return iter(self.frames)


def _opened(frames: Frames, length: int | None) -> _Source:
    if length is not None:
        length = whole(length, 1, "length")
    found: Any = frames
    if isinstance(frames, (str, Path)):
        from medsegany.io import read_frames  # noqa: PLC0415 -- io is only needed for paths

        found = read_frames(frames)
    if isinstance(found, np.ndarray) and found.ndim == 2:
        msg = f"A video is (T, H, W) or (T, H, W, 3), got shape {found.shape}: frames[None]?"
        raise InvalidInput(msg)
    indexed = hasattr(found, "__getitem__") and not isinstance(found, Mapping)
    if not indexed and not isinstance(found, Iterable):
        msg = f"frames are an array, a sequence, an iterable or a path, got {type(found).__name__}."
        raise InvalidInput(msg)
    if not hasattr(found, "__len__"):
        return _Source(found, indexed=False, length=length)
    if length not in (None, len(found)):
        msg = f"length={length}, but there are {len(found)} frames."
        raise InvalidInput(msg)
    if len(found) == 0:
        msg = "The video has no frames."
        raise InvalidInput(msg)
    return _Source(found, indexed=indexed, length=len(found))


class VideoTracking:
    """A video being tracked; see `medsegany.protocols.Tracking`."""

    def __init__(
        self,
        segmenter: Segmenter,
        source: _Source,
        prompts: Prompts,
        carrier: Carrier,
        direction: Direction,
        on_progress: OnProgress,
    ) -> None:
        self._segmenter = segmenter
        self._source = source
        self._carrier = carrier
        self._direction = direction
        self._on_progress = on_progress
        self._open = True
        self._shape: tuple[int, int] | None = None
        self._current: tuple[int, Image] | None = None  # the frame last yielded
        self._prompted: dict[int, list[int]] = {}  # object -> frames it is or was prompted on
        self._waiting: dict[int, dict[int, ObjectPrompts]] = {}  # frame -> object -> prompts
        self._ahead: dict[int, Segmentation] = {}  # made before their frame is reached
        by_object(prompts)  # what is wrong in itself is said at once
        self._early = [prompts]  # until the first frame tells the size
        if source.indexed:
            self._begin(self._check(0, source.frames[0]))
        self._frames = self._run()

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
        self._open = False
        # While on_progress is calling, the loop is running, and ends by itself.
        if getgeneratorstate(self._frames) != GEN_RUNNING:
            self._frames.close()
        self._ahead.clear()
        self._waiting.clear()
        self._current = None
        self._source = _Source((), indexed=True, length=0)

    def prompt(self, prompts: Prompts) -> Segmentation | None:
        """Correct an object or add one, on the frame last yielded or on a later one.

        It is carried forward from there. (A backward way is computed before the first frame is
        yielded: what it said of later frames is dropped, up to the object's next prompt.)
        """
        if not self._open:
            msg = "This tracking has ended or was closed: its frames cannot be prompted any more."
            raise InvalidPrompt(msg)
        if self._direction == "backward":
            msg = 'With direction="backward" nothing is carried forward: give all prompts at once.'
            raise InvalidPrompt(msg)
        if self._shape is None:
            by_object(prompts)
            self._early.append(prompts)
            return None
        now = 0 if self._current is None else self._current[0]
        self._take(prompts, unplaced=now, earliest=now)
        if self._current is None or now not in self._waiting:
            return None
        return self._prompted_on(*self._current)

    # --- the frames ------------------------------------------------------------------------------

    def _run(self) -> Generator[Segmentation, None, None]:
        index = -1
        for index, frame in enumerate(self._source):
            image = self._check(index, frame)
            if self._shape is None:
                self._begin(image)
            if index == 0 and self._source.indexed:
                self._look_ahead()
            found = self._segment(index, image)
            self._current = (index, image)
            self._on_progress(Progress("frames", index + 1, self._source.length))
            if not self._open:
                return
            yield found
        self._open = False
        self._check_end(index + 1)

    def _segment(self, index: int, image: Image) -> Segmentation:
        ahead = self._ahead.pop(index, nothing(index))
        prompted = self._prompted_on(index, image) if index in self._waiting else nothing(index)
        carried = nothing(index)
        active = [
            name
            for name, at in self._prompted.items()
            if min(at) < index and name not in prompted.masks and name not in ahead.masks
        ]
        if active and self._direction != "backward":
            carried = self._carrier.carry(index, image, active, reverse=False)
        return join(index, ahead, carried, prompted)

    def _look_ahead(self) -> None:
        """In a sequence: all prompts before the first frame, then the backward way."""
        for k, names in in_turn(self._prompted):
            image = self._check(k, self._source.frames[k])
            asked = {name: self._waiting[k][name] for name in names}
            self._put(k, self._carrier.prompt(k, image, asked))
        self._waiting.clear()
        if self._direction == "forward":
            return
        starts = {name: min(at) for name, at in self._prompted.items()}
        for k in range(max(starts.values()) - 1, -1, -1):
            names = [name for name, start in starts.items() if start > k]
            image = self._check(k, self._source.frames[k])
            self._put(k, self._carrier.carry(k, image, names, reverse=True))
        self._carrier.turn()

    def _put(self, k: int, found: Segmentation) -> None:
        self._ahead[k] = join(k, self._ahead.get(k, nothing(k)), found)

    def _prompted_on(self, index: int, image: Image) -> Segmentation:
        """What its prompts say; they count from there on."""
        found = self._carrier.prompt(index, image, self._waiting.pop(index))
        for name in found.masks:
            self._forget_ahead(name, index)
        return found

    def _forget_ahead(self, name: int, index: int) -> None:
        """After a correction: what the backward way said of later frames counts no more."""
        for k in sorted(k for k in self._ahead if k > index):
            if k in self._prompted[name]:
                return
            self._ahead[k] = without(self._ahead[k], name)

    # --- checks ----------------------------------------------------------------------------------

    def _begin(self, first: Image) -> None:
        self._shape = (first.shape[0], first.shape[1])
        for prompts in self._early:
            self._take(prompts, unplaced=0, earliest=0)
        self._early.clear()

    def _take(self, prompts: Prompts, *, unplaced: int, earliest: int) -> None:
        """Note what is asked, all of it or, when something is wrong, nothing."""
        assert self._shape is not None
        asked = on_stack(prompts, self._shape, length=self._source.length, unplaced=unplaced)
        merged: dict[tuple[int, int], ObjectPrompts] = {}
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
                before = self._waiting.get(k, {}).get(name, ObjectPrompts())
                merged[k, name] = together(name, [*before.as_prompts(), *here.as_prompts()])
        for (k, name), here in merged.items():
            self._waiting.setdefault(k, {})[name] = here
            if k not in self._prompted.setdefault(name, []):
                self._prompted[name].append(k)

    def _check(self, index: int, frame: NDArray[Any]) -> Image:
        length = self._source.length
        if length is not None and index >= length:
            msg = f"length={length}, but there is a frame {index} (counted from 0)."
            raise InvalidInput(msg)
        try:
            image = check_image(frame)
        except InvalidImage as error:
            msg = f"Frame {index}: {error}"
            raise InvalidImage(msg) from error
        if self._shape is not None and image.shape[:2] != self._shape:
            msg = f"Frame {index} is {image.shape[:2]}, the frames before it {self._shape}."
            raise InvalidImage(msg)
        return image

    def _check_end(self, seen: int) -> None:
        if self._waiting:
            late = min(self._waiting)
            msg = (
                f"Object {min(self._waiting[late])} is prompted on frame {late}, but the video "
                f"ended after {seen} frames."
            )
            raise InvalidPrompt(msg)
        if self._source.length is not None and seen < self._source.length:
            msg = (
                f"length={self._source.length}, but the video ended after {seen} frames. "
                "Models that encode time were told a wrong number."
            )
            raise InvalidInput(msg)
