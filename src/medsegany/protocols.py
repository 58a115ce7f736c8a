"""The contracts between models, the ways to cross a stack, and the people who call them.

Nothing here is meant to be inherited from: a class that has these members fits. What a member must
do is written in its docstring, and `medsegany.testing.SegmenterContract` checks it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeAlias, runtime_checkable

from attrs import frozen
from numpy.typing import NDArray

from medsegany.progress import OnProgress, no_progress
from medsegany.prompts import Box, MaskPrompt, ObjectPrompts, Point, Prompts
from medsegany.results import Segmentation, VolumeSegmentation
from medsegany.types import Image
from medsegany.volume import Volume

Direction: TypeAlias = Literal["forward", "backward", "both"]
Init: TypeAlias = Literal["default", "medsam", "gt"]
Overlap: TypeAlias = Literal["logits", "last"]
Slices: TypeAlias = tuple[int, int] | Mapping[int, tuple[int, int]]
Frames: TypeAlias = NDArray[Any] | Sequence[NDArray[Any]] | Iterable[NDArray[Any]] | str | Path


class EmbeddedImage(Protocol):
    """An image that a model has encoded, to be prompted as often as wanted.

    It is immutable and may be shared between threads.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """`(H, W)` of the image as given."""

    def segment(self, prompts: Prompts) -> Segmentation:
        """Segment the prompted objects.

        Prompts are in pixels of the image as given. Objects do not influence each other (one call
        for many is a batch, whose last bits may differ from those of one call each), and a
        `MaskPrompt` comes back as it is.

        Raises:
            InvalidPrompt: A prompt is malformed or misses the image.
            PromptNotSupported: The model does not take this kind of prompt.
        """


@runtime_checkable
class Segmenter(Protocol):
    """A promptable model.

    A backend of your own supplies `name`, `accepts` and `embed`, and hands the other verbs to
    `medsegany.propagation.segment_volume` and `.track_video`, and to `embed(...).segment(...)`.
    One segmenter is not shared between threads; embeddings and results may be.
    """

    @property
    def name(self) -> str:
        """The name that `medsegany.load` knows it by."""

    @property
    def accepts(self) -> frozenset[type[Box] | type[Point] | type[MaskPrompt]]:
        """The kinds of prompts that `segment_2d` takes."""

    def embed(self, image: Image) -> EmbeddedImage:
        """Encode an image once.

        Args:
            image: uint8, `(H, W)` grey or `(H, W, 3)` RGB; not changed.

        Raises:
            InvalidImage: Anything else, with a pointer to `preprocess.to_display`.
        """

    def segment_2d(self, image: Image, prompts: Prompts) -> Segmentation:
        """Segment objects on one image: `embed(image).segment(prompts)`.

        Args:
            image: uint8, `(H, W)` grey or `(H, W, 3)` RGB; not changed.
            prompts: In pixels of `image`: one prompt, several for object 1, or a mapping object id
                -> prompt(s).

        Raises:
            InvalidImage: The image is something else.
            InvalidPrompt: A prompt is malformed or misses the image.
            PromptNotSupported: The model does not take this kind of prompt.
        """

    def segment_volume(  # noqa: PLR0913 -- the contract: what travels together is in `propagation`
        self,
        volume: Volume | NDArray[Any],
        prompts: Prompts | None = None,
        *,
        init: Init = "default",
        initializer: "Segmenter | None" = None,
        reference: NDArray[Any] | Volume | None = None,
        slices: Slices | None = None,
        propagation: "Propagation | None" = None,
        overlap: Overlap = "logits",
        on_progress: OnProgress = no_progress,
    ) -> VolumeSegmentation:
        """Segment objects in a volume from prompts on some slices.

        As `medsegany.propagation.segment_volume`, which says what the arguments mean.
        """

    def track_video(
        self,
        frames: Frames,
        prompts: Prompts,
        *,
        direction: Direction = "forward",
        length: int | None = None,
        propagation: "Propagation | None" = None,
        on_progress: OnProgress = no_progress,
    ) -> "Tracking":
        """Follow objects through a video, one frame at a time.

        As `medsegany.propagation.track_video`, which says what the arguments mean.
        """


class Tracking(Protocol):
    """A video being tracked: an iterator over its frames, in order from 0.

    Closing it stops the work; used as a context manager it closes itself.
    """

    def __iter__(self) -> Iterator[Segmentation]: ...

    def __next__(self) -> Segmentation: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def prompt(self, prompts: Prompts) -> Segmentation | None:
        """Correct an object or add one, on the frame last yielded or on a later one.

        Args:
            prompts: An unplaced prompt means the frame last yielded (0 before the first).

        Returns:
            The prompted objects on the frame last yielded, when they were prompted there.

        Raises:
            InvalidPrompt: A prompt is malformed, misses the frame, or lies on an earlier frame.
        """

    def close(self) -> None:
        """Stop, and let go of the frames and the memory."""


@frozen
class Span:
    """The slices of one object.

    Attributes:
        first: The first slice.
        last: The last slice, included; None where the end is not known.
    """

    first: int = 0
    last: int | None = None


@frozen
class Route:
    """The slices that one object visits beside its prompted ones.

    Attributes:
        forward: Rising; each is reached from the slice below.
        backward: Falling; each is reached from the slice above.
    """

    forward: Sequence[int]
    backward: Sequence[int]


class Carrier(Protocol):
    """Carries objects from slice to slice; lives for one volume or one video.

    Every slice arrives as `(index, image)`, with `index` counted in the whole stack.
    """

    def prompt(
        self, index: int, image: Image, prompts: Mapping[int, ObjectPrompts]
    ) -> Segmentation:
        """Segment the prompted objects here, to be carried on from here."""

    def carry(
        self, index: int, image: Image, objects: Sequence[int], *, reverse: bool
    ) -> Segmentation:
        """Carry objects to this slice from the one before it, or after it when `reverse`."""

    def turn(self) -> None:
        """Called once, between the two directions.

        In a volume the backward way comes second, in a video, which is yielded from its first
        frame, the forward one.
        """


@runtime_checkable
class PlansAhead(Protocol):
    """A carrier, or a memory, that wants to know what will be asked for; few do."""

    def expect(self, slices: Sequence[int]) -> None:
        """Called once, before anything else: all slices in the order of visiting.

        A hint. Where an object ends early, some of them are never asked for.
        """


class Propagation(Protocol):
    """A way to cross a stack: a small frozen value, such as `ByMemory()` or `ByBox()`."""

    @property
    def direction(self) -> Direction:
        """Which way from the object's first prompted slice."""

    @property
    def stop_after(self) -> int:
        """After how many empty slices in a row an object has ended."""

    def carrier(self, segmenter: Segmenter, whole: Span, spans: Mapping[int, Span]) -> Carrier:
        """Start carrying.

        Args:
            segmenter: The model that looks at the slices.
            whole: The span of objects that are not in `spans`.
            spans: The slices of each object.

        Raises:
            PropagationNotSupported: The model lacks what this way needs.
        """

    def route(self, prompted: Sequence[int], span: tuple[int, int]) -> Route:
        """The slices to visit, `span` and `prompted` given, in the order of visiting."""


class Memory(Protocol):
    """What a model that remembers slices knows of some objects; each object is on its own."""

    def condition(
        self, index: int, image: Image, prompts: Mapping[int, ObjectPrompts]
    ) -> Segmentation:
        """Segment the prompted objects and remember the slice as a prompted one."""

    def carry(
        self, index: int, image: Image, objects: Sequence[int], *, reverse: bool
    ) -> Segmentation:
        """Segment objects from what is remembered, and remember this slice too."""

    def forget(self) -> None:
        """Forget every slice but the prompted ones."""


@runtime_checkable
class RemembersSlices(Protocol):
    """A segmenter with a memory, which `ByMemory` needs."""

    def remember(
        self,
        whole: Span,
        spans: Mapping[int, Span],
        *,
        fill_holes_px: int,
        memory_budget: int,
        shared: bool = False,
    ) -> Memory:
        """Start with an empty memory.

        Args:
            whole: The span of objects that are not in `spans`.
            spans: The slices of each object; SAM2's encoding of time depends on their number.
            fill_holes_px: Holes up to this many pixels of the low-resolution mask are filled.
            memory_budget: Bytes for encoded slices that may be needed again.
            shared: Whether the second direction looks at what the first one left, near the
                prompted slices.
        """
