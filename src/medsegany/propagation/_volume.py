"""Objects in a volume: a sweep up and a sweep down, and what is kept of it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from numpy.typing import NDArray

from medsegany._segmentations import join, select
from medsegany._validate import choice
from medsegany.preprocess import check_stack
from medsegany.progress import OnProgress, Progress, no_progress
from medsegany.prompts import Prompts, check_kinds
from medsegany.propagation._asking import (
    Asked,
    check_not_all_empty,
    in_turn,
    initialised,
    prompts_of,
    spans_of,
)
from medsegany.propagation._by_box import ByBox
from medsegany.propagation._by_memory import ByMemory
from medsegany.propagation._collect import Collector
from medsegany.protocols import (
    Carrier,
    Init,
    Overlap,
    PlansAhead,
    Propagation,
    RemembersSlices,
    Segmenter,
    Slices,
    Span,
)
from medsegany.results import Segmentation, VolumeSegmentation
from medsegany.types import Stack
from medsegany.volume import Volume


def segment_volume(  # noqa: PLR0913 -- the contract: what travels together is in `propagation`
    segmenter: Segmenter,
    volume: Volume | NDArray[Any],
    prompts: Prompts | None = None,
    *,
    init: Init = "default",
    initializer: Segmenter | None = None,
    reference: NDArray[Any] | Volume | None = None,
    slices: Slices | None = None,
    propagation: Propagation | None = None,
    overlap: Overlap = "logits",
    on_progress: OnProgress = no_progress,
) -> VolumeSegmentation:
    """Segment objects in a volume from prompts on some slices (the paper's Tables 2 and 3).

    Args:
        segmenter: The model.
        volume: A `Volume` or an array of display values: uint8 `(D, H, W)` or `(D, H, W, 3)`. Not
            changed.
        prompts: In pixels of their slice, each placed on one: `{1: Box(30, 42, 118, 97).at(57)}`.
            An object may have prompts on several slices. None only with `init="gt"`.
        init: How the prompted slice gets its mask (the paper's Table 3). "default": the model's
            own way from the prompt. "medsam": the mask of `initializer`. "gt": the reference's
            mask, on each prompted slice or, without prompts, on each label's middle slice.
        initializer: For `init="medsam"`: MedSAM, or any other segmenter.
        reference: For `init="gt"`: `(D, H, W)` integers, or a volume of them, in which object
            `id` is where `reference == id`.
        slices: `(first, last)`, both included, or a mapping id -> `(first, last)`: every slice
            inside is visited and nothing outside. None, and for objects that the mapping leaves
            out: the whole stack, and an object ends, in each direction, after
            `propagation.stop_after` empty slices in a row.
        propagation: The way to cross: `ByMemory()` is the default of models with a memory (SAM2),
            `ByBox()` of all others.
        overlap: Which object gets a contested voxel in `labels()`. "logits": given masks, then the
            higher logit, then the lower id. "last": the object that comes last in `prompts`,
            whatever its mask's origin, as the released scripts do.
        on_progress: Told of every finished slice.

    Returns:
        Masks and scores of every object, on the grid of `volume`.

    Raises:
        InvalidImage: `volume` is no stack of display values.
        InvalidPrompt: A prompt is malformed, misses its slice or has none, or lies outside
            `slices`; an object is given nothing but empty masks.
        InvalidInput: `init`, `initializer`, `reference`, `slices` do not fit together.
        PromptNotSupported: The model does not take this kind of prompt.
        PropagationNotSupported: The model cannot cross a stack in this way.
    """
    # Everything is checked before the first slice is encoded.
    stack = check_stack(volume)
    choice(init, ("default", "medsam", "gt"), "init")
    choice(overlap, ("logits", "last"), "overlap")
    way = default_way(segmenter) if propagation is None else propagation
    asked = prompts_of(stack, prompts, init, initializer, reference)
    for at in asked.values():
        for here in at.values():
            if here.mask is None:  # a mask needs no model
                sought_by = initializer or segmenter
                check_kinds(here, sought_by.accepts, sought_by.name)
    check_not_all_empty(asked)
    spans = spans_of(slices, asked, len(stack))
    whole = Span(0, len(stack) - 1)
    carrier = way.carrier(segmenter, whole, {n: Span(*span) for n, span in spans.items()})
    known: dict[int, Segmentation] = {}
    if initializer is not None:
        asked, known = initialised(stack, asked, initializer)
    shape = (stack.shape[0], stack.shape[1], stack.shape[2])
    collector = Collector(shape, tuple(asked), by_logits=overlap == "logits")
    sweep = _Sweeps(stack, way, carrier, collector, on_progress)
    sweep.run(asked, known, spans)
    return collector.result()


def default_way(segmenter: Segmenter) -> Propagation:
    """`ByMemory()` for models with a memory, `ByBox()` for all others."""
    return ByMemory() if isinstance(segmenter, RemembersSlices) else ByBox()


class _Sweeps:
    """One run over one volume: the prompted slices, then upward, then downward."""

    def __init__(
        self,
        stack: Stack,
        way: Propagation,
        carrier: Carrier,
        collector: Collector,
        on_progress: OnProgress,
    ) -> None:
        self._stack, self._way, self._carrier = stack, way, carrier
        self._collector = collector
        self._on_progress = on_progress
        self._done = self._total = 0

    def run(
        self,
        asked: Asked,
        known: Mapping[int, Segmentation],
        spans: Mapping[int, tuple[int, int]],
    ) -> None:
        whole = (0, len(self._stack) - 1)
        routes = {n: self._way.route(list(at), spans.get(n, whole)) for n, at in asked.items()}
        forward = {n: route.forward for n, route in routes.items()}
        backward = {n: route.backward for n, route in routes.items()}
        # What an object prompted on several slices is told of them, it must know from the start.
        # The others are prompted on the way, when their slice is being looked at anyhow.
        early = {n: list(at) for n, at in asked.items() if len(at) > 1}
        on_the_way = _by_slice({n: list(at) for n, at in asked.items() if n not in early})
        turns = list(in_turn(early))
        down_first = self._way.direction == "backward"
        up = _Sweep(forward, {} if down_first else on_the_way, reverse=False)
        down = _Sweep(backward, on_the_way if down_first else {}, reverse=True)
        self._total = len(turns) + len(on_the_way) + len(up.visits) + len(down.visits)
        if isinstance(self._carrier, PlansAhead):
            self._carrier.expect([*(k for k, _ in turns), *up.slices, *down.slices])
        for k, names in turns:
            self._prompt(k, names, asked, known)
        for sweep in (up, down):
            if sweep is down:
                self._carrier.turn()
            self._cross(sweep, asked, known, endless=spans.keys())
        if self._done < self._total:  # objects ended early
            self._on_progress(Progress("slices", self._total, self._total))

    def _prompt(
        self, k: int, names: Sequence[int], asked: Asked, known: Mapping[int, Segmentation]
    ) -> None:
        here = {name: asked[name][k] for name in names}
        found = self._carrier.prompt(k, self._stack[k], here)
        if k in known:  # what the initializer said of its masks
            said = [name for name in names if name in known[k].masks]
            found = join(k, found, select(known[k], said))
        self._keep(found)

    def _cross(
        self,
        sweep: "_Sweep",
        asked: Asked,
        known: Mapping[int, Segmentation],
        *,
        endless: Collection[int],
    ) -> None:
        """Go one way; the `endless` objects are looked for however long they were not seen."""
        visits, reverse = sweep.visits, sweep.reverse
        misses: dict[int, int] = {}
        step = -1 if reverse else 1
        previous: dict[int, int] = {}
        for k in sweep.slices:
            if k in sweep.prompted:
                self._prompt(k, sweep.prompted[k], asked, known)
            if k not in visits:
                continue
            # A gap in the route is a prompted slice: an object that had ended starts anew there.
            for name in visits[k]:
                if previous.get(name, k - step) != k - step:
                    misses[name] = 0
                previous[name] = k
            alive = [
                n for n in visits[k] if n in endless or misses.get(n, 0) < self._way.stop_after
            ]
            if alive:
                found = self._carrier.carry(k, self._stack[k], alive, reverse=reverse)
                for name, mask in found.masks.items():
                    misses[name] = 0 if mask.any() else misses.get(name, 0) + 1
                self._keep(found)

    def _keep(self, found: Segmentation) -> None:
        self._collector.add(found)
        self._done += 1
        self._on_progress(Progress("slices", self._done, self._total))


@frozen
class _Sweep:
    """One way through the volume.

    Attributes:
        routes: Object -> the slices that it is carried to.
        prompted: Slice -> objects that are prompted when it is reached.
        reverse: Whether it goes down.
    """

    routes: Mapping[int, Sequence[int]]
    prompted: Mapping[int, list[int]]
    reverse: bool = field(kw_only=True)
    visits: Mapping[int, list[int]] = field(init=False)
    slices: list[int] = field(init=False)

    @visits.default
    def _visits(self) -> dict[int, list[int]]:
        return _by_slice(self.routes)

    @slices.default
    def _slices(self) -> list[int]:
        return sorted({*self.visits, *self.prompted}, reverse=self.reverse)


def _by_slice(routes: Mapping[int, Sequence[int]]) -> dict[int, list[int]]:
    slices: dict[int, list[int]] = {}
    for name, route in routes.items():
        for k in route:
            slices.setdefault(k, []).append(name)
    return slices
