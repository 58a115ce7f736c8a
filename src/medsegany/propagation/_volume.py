"""Objects in a volume: a sweep up and a sweep down, and what is kept of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsegany._segmentations import as_given, as_mask_prompts, join
from medsegany.errors import InvalidInput, InvalidPrompt
from medsegany.preprocess import check_stack
from medsegany.progress import OnProgress, Progress, no_progress
from medsegany.prompts import (
    MaskPrompt,
    ObjectPrompts,
    Prompts,
    by_object,
    check_kinds,
    on_stack,
    prompt_slice,
)
from medsegany.propagation._by_box import ByBox
from medsegany.propagation._by_memory import ByMemory
from medsegany.propagation._collect import Collector
from medsegany.protocols import (
    Carrier,
    Init,
    Overlap,
    Propagation,
    RemembersSlices,
    Segmenter,
    Slices,
    Span,
)
from medsegany.results import Segmentation, VolumeSegmentation
from medsegany.types import Stack
from medsegany.volume import Volume

Asked = dict[int, dict[int, ObjectPrompts]]


def segment_volume(  # noqa: PLR0913 -- the contract: what travels together is in `propagation`
    segmenter: Segmenter,
    volume: Volume | NDArray[Any],
    prompts: Prompts | None = None,
    *,
    init: Init = "default",
    initializer: Segmenter | None = None,
    reference: NDArray[Any] | None = None,
    slices: Slices | None = None,
    propagation: Propagation | None = None,
    overlap: Overlap = "logits",
    on_progress: OnProgress = no_progress,
) -> VolumeSegmentation:
    """Segment objects in a volume from prompts on some slices (paper, section 2.4).

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
        reference: For `init="gt"`: `(D, H, W)` integers, where object `id` is `reference == id`.
        slices: `(first, last)`, both included, or a mapping id -> `(first, last)`: every slice
            inside is visited and nothing outside. None: the whole stack, and an object ends, in
            each direction, after `propagation.stop_after` empty slices in a row.
        propagation: The way to cross: `ByMemory()` is the default of models with a memory (SAM2),
            `ByBox()` of all others.
        overlap: Which object gets a contested voxel in `labels()`. "logits": given masks, then the
            higher logit, then the lower id. "last": the object that comes last in `prompts`, as
            the released scripts do.
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
    stack = check_stack(volume)
    way = propagation or (ByMemory() if isinstance(segmenter, RemembersSlices) else ByBox())
    asked, known = _start(stack, prompts, init, initializer, reference)
    _check_supported(segmenter, asked)
    _check_not_all_empty(asked)
    spans = _spans(slices, asked, len(stack))
    whole = Span(0, len(stack) - 1)
    carrier = way.carrier(segmenter, whole, {n: Span(*span) for n, span in spans.items()})
    _choice(overlap, ("logits", "last"), "overlap")
    shape = (stack.shape[0], stack.shape[1], stack.shape[2])
    collector = Collector(shape, tuple(asked), by_logits=overlap == "logits")
    sweep = _Sweeps(stack, way, carrier, collector, on_progress, stops=slices is None)
    sweep.run(asked, known, spans)
    return collector.result()


class _Sweeps:
    """One run over one volume: the prompted slices, then upward, then downward."""

    def __init__(
        self,
        stack: Stack,
        way: Propagation,
        carrier: Carrier,
        collector: Collector,
        on_progress: OnProgress,
        *,
        stops: bool,
    ) -> None:
        self._stack, self._way, self._carrier = stack, way, carrier
        self._collector = collector
        self._on_progress = on_progress
        self._stops = stops
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
        prompted = _by_slice({n: list(at) for n, at in asked.items()})
        self._total = len(prompted) + len(_by_slice(forward)) + len(_by_slice(backward))
        for k in sorted(prompted):
            here = {name: asked[name][k] for name in prompted[k]}
            found = self._carrier.prompt(k, self._stack[k], here)
            self._keep(join(k, found, known[k]) if k in known else found)
        self._sweep(forward, reverse=False)
        self._carrier.turn()
        self._sweep(backward, reverse=True)
        if self._done < self._total:  # objects ended early
            self._on_progress(Progress("slices", self._total, self._total))

    def _sweep(self, routes: Mapping[int, Sequence[int]], *, reverse: bool) -> None:
        visits = _by_slice(routes)
        misses = dict.fromkeys(routes, 0)
        step = -1 if reverse else 1
        previous: dict[int, int] = {}
        for k in sorted(visits, reverse=reverse):
            # A gap in the route is a prompted slice: an object that had ended starts anew there.
            for name in visits[k]:
                if previous.get(name, k - step) != k - step:
                    misses[name] = 0
                previous[name] = k
            alive = [n for n in visits[k] if not self._stops or misses[n] < self._way.stop_after]
            if alive:
                found = self._carrier.carry(k, self._stack[k], alive, reverse=reverse)
                for name, mask in found.masks.items():
                    misses[name] = 0 if mask.any() else misses[name] + 1
                self._keep(found)

    def _keep(self, found: Segmentation) -> None:
        self._collector.add(found)
        self._done += 1
        self._on_progress(Progress("slices", self._done, self._total))


def _by_slice(routes: Mapping[int, Sequence[int]]) -> dict[int, list[int]]:
    slices: dict[int, list[int]] = {}
    for name, route in routes.items():
        for k in route:
            slices.setdefault(k, []).append(name)
    return slices


# --- what is asked -------------------------------------------------------------------------------


def _start(
    stack: Stack,
    prompts: Prompts | None,
    init: Init,
    initializer: Segmenter | None,
    reference: NDArray[Any] | None,
) -> tuple[Asked, dict[int, Segmentation]]:
    """Prompts by object and slice, and the segmentations that `init` makes of them."""
    _choice(init, ("default", "medsam", "gt"), "init")
    if initializer is not None and init != "medsam":
        msg = f'initializer= is used by init="medsam" only, and init is "{init}".'
        raise InvalidInput(msg)
    if reference is not None and init != "gt":
        msg = f'reference= is used by init="gt" only, and init is "{init}".'
        raise InvalidInput(msg)
    if init == "gt":
        return _from_reference(stack, prompts, reference), {}
    if prompts is None:
        msg = 'No prompts. They may be left out only with init="gt", which reads the reference.'
        raise InvalidPrompt(msg)
    shape = (stack.shape[1], stack.shape[2])
    asked = on_stack(prompts, shape, length=len(stack))
    if init == "default":
        return asked, {}
    if initializer is None:
        msg = (
            'init="medsam" needs the model that makes the mask: '
            'initializer=medsegany.load("medsam", checkpoint=...), or any other segmenter.'
        )
        raise InvalidInput(msg)
    return _from_initializer(stack, asked, initializer)


def _from_initializer(
    stack: Stack, asked: Asked, initializer: Segmenter
) -> tuple[Asked, dict[int, Segmentation]]:
    known: dict[int, Segmentation] = {}
    started: Asked = {name: dict(at) for name, at in asked.items()}
    for k, names in sorted(_by_slice({n: list(at) for n, at in asked.items()}).items()):
        # A mask that is given needs nobody to make it.
        here = {n: asked[n][k].as_prompts() for n in names if asked[n][k].mask is None}
        if not here:
            continue
        found = initializer.embed(stack[k]).segment(here)
        known[k] = as_given(join(k, found))
        for name, prompt in as_mask_prompts(found).items():
            started[name][k] = ObjectPrompts(mask=prompt)
    return started, known


def _from_reference(stack: Stack, prompts: Prompts | None, reference: NDArray[Any] | None) -> Asked:
    if reference is None:
        msg = 'init="gt" needs reference=, the true labels as a (D, H, W) array of integers.'
        raise InvalidInput(msg)
    truth = np.asarray(reference)
    if truth.shape != stack.shape[:3]:
        msg = f"The reference is {truth.shape}, the volume {stack.shape[:3]}."
        raise InvalidInput(msg)
    if truth.dtype.kind not in "biu":
        msg = f"The reference holds integers, one per object, got {truth.dtype}."
        raise InvalidInput(msg)
    if prompts is None:
        slices = {
            int(name): [prompt_slice((truth == name).sum(axis=(1, 2)))]
            for name in np.unique(truth)
            if name != 0
        }
        if not slices:
            msg = "The reference holds no object."
            raise InvalidInput(msg)
    else:
        slices = _places(prompts, len(stack))
    asked: Asked = {}
    for name, at in slices.items():
        masks = {k: truth[k] == name for k in at}
        for k, mask in masks.items():
            if not mask.any():
                msg = f"The reference has no object {name} on slice {k}, where it is prompted."
                raise InvalidPrompt(msg)
        asked[name] = {k: ObjectPrompts(mask=MaskPrompt(masks[k])) for k in sorted(masks)}
    return asked


def _places(prompts: Prompts, length: int) -> dict[int, list[int]]:
    """Object id -> prompted slices; what is prompted there does not matter."""
    places: dict[int, list[int]] = {}
    for name, at in by_object(prompts).items():
        for k in at:
            if k is None or k >= length:
                msg = f"Object {name} is not placed on one of the {length} slices: use .at(index)."
                raise InvalidPrompt(msg)
            places.setdefault(name, []).append(k)
    return places


def _check_supported(segmenter: Segmenter, asked: Asked) -> None:
    """Refuse before the first slice is encoded; masks need no model."""
    for at in asked.values():
        for here in at.values():
            if here.mask is None:
                check_kinds(here, segmenter.accepts, segmenter.name)


def _check_not_all_empty(asked: Asked) -> None:
    for name, at in asked.items():
        if all(here.mask is not None and not here.mask.mask.any() for here in at.values()):
            msg = f"Object {name} is given nothing but empty masks: there is nothing to carry."
            raise InvalidPrompt(msg)


def _spans(slices: Slices | None, asked: Asked, length: int) -> dict[int, tuple[int, int]]:
    if slices is None:
        return {}
    if not isinstance(slices, Mapping):
        slices = dict.fromkeys(asked, slices)
    if slices.keys() != asked.keys():
        msg = f"slices are given for objects {sorted(slices)}, prompts for {sorted(asked)}."
        raise InvalidInput(msg)
    spans: dict[int, tuple[int, int]] = {}
    for name, given in slices.items():
        try:
            first, last = (int(k) for k in given)
        except (TypeError, ValueError):
            msg = f"slices are (first, last), got {given!r}."
            raise InvalidInput(msg) from None
        if not 0 <= first <= last < length:
            msg = (
                f"slices of object {name} are ({first}, {last}): both count from 0, both are "
                f"included, and the stack has {length} (0 to {length - 1})."
            )
            raise InvalidInput(msg)
        outside = [k for k in asked[name] if not first <= k <= last]
        if outside:
            msg = f"Object {name} is prompted on slice {outside[0]}, outside ({first}, {last})."
            raise InvalidPrompt(msg)
        spans[name] = (first, last)
    return spans


def _choice(value: str, allowed: Sequence[str], name: str) -> None:
    if value not in allowed:
        msg = f"{name} is one of {', '.join(map(repr, allowed))}, got {value!r}."
        raise InvalidInput(msg)
