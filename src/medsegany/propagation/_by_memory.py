"""With a model that remembers: SAM2's own way through a stack."""

from collections.abc import Mapping, Sequence
from typing import Literal

from attrs import field, frozen

from medsegany._segmentations import as_mask_prompts, join, sought_in
from medsegany._validate import at_least, one_of
from medsegany.errors import PropagationNotSupported
from medsegany.prompts import ObjectPrompts
from medsegany.protocols import (
    Direction,
    Memory,
    PlansAhead,
    RemembersSlices,
    Route,
    Segmenter,
    Span,
)
from medsegany.results import Segmentation
from medsegany.types import Image

DEFAULT_BUDGET = 2**30


@frozen
class ByMemory:
    """Carry an object by the model's memory of earlier slices; SAM2's default.

    Each object has a memory of its own, as in one official `SAM2VideoPredictor` session per
    object; on the forward way it is not looked for before its own first prompt.

    Attributes:
        direction: Which way from the object's first prompted slice.
        directions: "independent" forgets the forward way before the backward one, as the paper's
            scripts do; "shared" does not, as upstream does when `propagate_in_video` runs forward
            and then in reverse on one state.
        prompted: "prompt" gives box and points to the memory model itself (upstream's
            `add_new_points_or_box`); "mask" makes the mask with `segment_2d` first and gives that,
            as the paper does.
        fill_holes_px: Holes of at most so many pixels of the low-resolution mask are filled, on
            every device alike (upstream's `fill_hole_area`, which needs CUDA).
        memory_budget: Bytes for encoded slices kept to be used again by other objects and by the
            backward way; None for 1 GiB. Less is slower, never different.
        stop_after: An object has ended after so many empty slices in a row (not in a video, and
            not where its slices are given).
    """

    direction: Direction = field(default="both", validator=one_of("forward", "backward", "both"))
    directions: Literal["independent", "shared"] = field(
        default="independent", validator=one_of("independent", "shared")
    )
    prompted: Literal["prompt", "mask"] = field(
        default="prompt", validator=one_of("prompt", "mask")
    )
    fill_holes_px: int = field(default=8, validator=at_least(0))
    memory_budget: int | None = field(default=None, validator=at_least(0, optional=True))
    stop_after: int = field(default=3, validator=at_least(1))

    @property
    def budget(self) -> int:
        """`memory_budget`, or what it is where none is given."""
        return DEFAULT_BUDGET if self.memory_budget is None else self.memory_budget

    def carrier(
        self, segmenter: Segmenter, whole: Span, spans: Mapping[int, Span]
    ) -> "MemoryCarrier":
        """Start carrying.

        Raises:
            PropagationNotSupported: The model has no memory.
        """
        if not isinstance(segmenter, RemembersSlices):
            msg = f"{segmenter.name} has no memory of slices: use propagation=ByBox()."
            raise PropagationNotSupported(msg)
        memory = segmenter.remember(
            whole,
            spans,
            fill_holes_px=self.fill_holes_px,
            memory_budget=self.budget,
            shared=self.directions == "shared",
        )
        return MemoryCarrier(segmenter, memory, self)

    def route(self, prompted: Sequence[int], span: tuple[int, int]) -> Route:
        """From the first prompted slice to the end, and from it down."""
        start = min(prompted)
        skipped = set(prompted)
        forward = range(start + 1, span[1] + 1) if self.direction != "backward" else ()
        backward = range(start - 1, span[0] - 1, -1) if self.direction != "forward" else ()
        return Route([k for k in forward if k not in skipped], list(backward))


class MemoryCarrier:
    """Carries objects with a `Memory`."""

    def __init__(self, segmenter: Segmenter, memory: Memory, how: ByMemory) -> None:
        self._segmenter = segmenter
        self._memory = memory
        self._how = how

    def prompt(
        self, index: int, image: Image, prompts: Mapping[int, ObjectPrompts]
    ) -> Segmentation:
        """Segment the prompted objects here and remember them."""
        if self._how.prompted == "prompt":
            return self._memory.condition(index, image, prompts)
        sought = sought_in(prompts)
        if not sought:
            return self._memory.condition(index, image, prompts)
        found = self._segmenter.embed(image).segment(sought)
        masks = {name: ObjectPrompts(mask=m) for name, m in as_mask_prompts(found).items()}
        remembered = self._memory.condition(index, image, {**prompts, **masks})
        # What segment_2d said of its masks is worth more than the memory's "given".
        return join(index, remembered, found)

    def carry(
        self, index: int, image: Image, objects: Sequence[int], *, reverse: bool
    ) -> Segmentation:
        """Segment objects from what is remembered."""
        return self._memory.carry(index, image, objects, reverse=reverse)

    def expect(self, slices: Sequence[int]) -> None:
        """Tell the memory which slices will be asked for."""
        if isinstance(self._memory, PlansAhead):
            self._memory.expect(slices)

    def turn(self) -> None:
        """Forget the forward way, unless it is shared."""
        if self._how.directions == "independent":
            self._memory.forget()
