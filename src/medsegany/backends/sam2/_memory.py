"""SAM2's memory of the objects of one stack: one official session per object."""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own name for it
from attrs import evolve

from medsegany._segmentations import given_in, join
from medsegany.backends._found import segmentation
from medsegany.backends.sam2 import _internals as internals
from medsegany.backends.sam2._build import SAM2VideoPredictor
from medsegany.backends.sam2._tracker import State, Tracker
from medsegany.errors import OutOfMemory
from medsegany.preprocess import as_rgb, check_image
from medsegany.prompts import ObjectPrompts
from medsegany.protocols import Span
from medsegany.results import Segmentation
from medsegany.types import Image

# Measured on 2 cores at 256 px: 4 together take 0.7 of the time of one by one, more gain no more.
_ON_A_CPU, _ON_A_GPU = 4, 8
_LARGEST_ON_A_CPU = 256  # pixels: beyond that, products of matrices take all the time

_TOO_LARGE = (
    "The device has not enough memory for this model. What takes less: ByMemory(memory_budget=...) "
    'with fewer bytes, load(..., image_size=512), load(..., dtype="bfloat16"), a smaller model, '
    "or fewer objects at once. propagation.estimate_memory says how much is needed."
)


def _together(tracker: Tracker) -> int:
    """How many objects go through the model at once."""
    if tracker.device.type != "cpu":
        return _ON_A_GPU
    return _ON_A_CPU if tracker.image_size <= _LARGEST_ON_A_CPU else 1


class Sam2Memory:
    """What SAM2 remembers; see `medsegany.protocols.Memory`."""

    def __init__(
        self,
        upstream: SAM2VideoPredictor,
        whole: Span,
        spans: Mapping[int, Span],
        *,
        fill_holes_px: int,
        budget: int,
        shared: bool,
        box_hint: bool = False,
        precision: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._tracker = Tracker.over(upstream, fill_holes_px, box_hint=box_hint)
        self._whole = whole
        self._spans = spans
        self._precision = precision
        self._store = _FeatureStore(budget)
        self._horizon = internals.Horizon.of(self._tracker)
        self._shared = shared
        self._planned = False
        self._together = _together(self._tracker)
        self._states: dict[int, State] = {}
        self._anchors: dict[int, int] = {}  # object -> its first prompted slice

    def condition(
        self, index: int, image: Image, prompts: Mapping[int, ObjectPrompts]
    ) -> Segmentation:
        """Segment the prompted objects and remember the slice as a prompted one."""
        with torch.inference_mode(), self._precision():
            features = self._features(index, image)
            steps: dict[int, internals.Step] = {}
            for name, asked in prompts.items():
                state = self._state(name, image)
                self._anchors[name] = min(self._anchors.get(name, index), index)
                points = np.array([(p.x, p.y) for p in asked.points], np.float32)
                labels = np.array([p.positive for p in asked.points], np.int32)
                steps[name] = internals.condition(
                    self._tracker,
                    state,
                    index - self._span(name).first,
                    features,
                    box=None if asked.box is None else asked.box.as_array().astype(np.float32),
                    points=points if asked.points else None,
                    labels=labels if asked.points else None,
                    mask=None if asked.mask is None else asked.mask.mask,
                )
            found = self._found(index, image, steps)
        # The user's mask is the result; the memory's own version of it went through a small grid.
        masks = given_in(prompts)
        records = {name: found.low_res_logits[name] for name in masks.masks}
        return join(index, found, evolve(masks, low_res_logits=records))

    def carry(
        self, index: int, image: Image, objects: Sequence[int], *, reverse: bool
    ) -> Segmentation:
        """Segment objects from what is remembered, and remember this slice too."""
        with torch.inference_mode(), self._precision():
            features = self._features(index, image)
            steps: dict[int, internals.Step] = {}
            while len(steps) < len(objects):
                batch = objects[len(steps) : len(steps) + self._together]
                sessions = [(self._states[n], index - self._span(n).first) for n in batch]
                try:
                    found = internals.carry(self._tracker, sessions, features, reverse=reverse)
                except torch.OutOfMemoryError as error:
                    if self._together == 1:
                        raise OutOfMemory(_TOO_LARGE) from error
                    self._together //= 2  # nothing has been remembered yet: try fewer
                    continue
                steps |= zip(batch, found, strict=True)
            for name in objects:
                first = self._span(name).first
                anchor = self._anchors[name] - first if self._shared else None
                internals.prune(
                    self._states[name],
                    index - first,
                    self._horizon,
                    anchor,
                    corrected=not self._planned,
                )
            return self._found(index, image, steps)

    def expect(self, slices: Sequence[int]) -> None:
        """Which slices will be asked for, in order: those needed last are forgotten first."""
        self._planned = True
        self._store.expect(slices)

    def drop(self, index: int) -> None:
        """Forget what was seen on this slice: another part of it will be shown.

        A mask of the other part is none to begin a correction with.
        """
        self._store.drop(index)
        for name, state in self._states.items():
            internals.forget_mask(state, index - self._span(name).first)

    def forget(self) -> None:
        """Forget every slice but the prompted ones."""
        for state in self._states.values():
            internals.forget(state)

    def _span(self, name: int) -> Span:
        return self._spans.get(name, self._whole)

    def _state(self, name: int, image: Image) -> State:
        if name not in self._states:
            span = self._span(name)
            length = internals.ENDLESS if span.last is None else span.last - span.first + 1
            size = (image.shape[0], image.shape[1])
            self._states[name] = internals.new_state(self._tracker, size, length)
        return self._states[name]

    def _features(self, index: int, image: Image) -> internals.Features:
        features = self._store.get(index)
        if features is None:
            frame = internals.as_input(as_rgb(check_image(image)), self._tracker.image_size)
            try:
                features = internals.encode(self._tracker, frame)
            except torch.OutOfMemoryError as error:
                raise OutOfMemory(_TOO_LARGE) from error
            features = self._store.put(index, features)
        return features

    def _found(self, index: int, image: Image, steps: Mapping[int, internals.Step]) -> Segmentation:
        low_res = torch.cat([step.low_res for step in steps.values()])
        size = (image.shape[0], image.shape[1])
        logits = low_res
        if tuple(low_res.shape[-2:]) != size:
            logits = F.interpolate(low_res, size=size, mode="bilinear", align_corners=False)
        scores = torch.cat([step.score for step in steps.values()])
        there = torch.cat([step.object_score for step in steps.values()])
        return evolve(segmentation(list(steps), logits, low_res, scores, there), index=index)


class _FeatureStore:
    """Features of slices, up to a number of bytes; always of the one being looked at.

    When a plan is known, what is needed last, or never again, goes first; otherwise what was used
    least recently.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._kept: OrderedDict[int, internals.Features] = OrderedDict()
        self._positions: list[torch.Tensor] | None = None
        self._plan: dict[int, list[int]] = {}  # slice -> when it will be asked for
        self._now = 0

    def expect(self, slices: Sequence[int]) -> None:
        """What will be asked for, in order."""
        self._plan, self._now = {}, 0
        for when, k in enumerate(slices):
            self._plan.setdefault(k, []).append(when)

    def get(self, index: int) -> internals.Features | None:
        self._now = self._next(index, default=self._now)
        if index not in self._kept:
            return None
        self._kept.move_to_end(index)
        return self._kept[index]

    def put(self, index: int, features: internals.Features) -> internals.Features:
        """Keep them; returns what is kept, which is less."""
        if self._positions is None:
            self._positions = internals.positions(features)
        features = self._kept[index] = internals.stripped(features, self._positions)
        size = internals.size_of(features)
        while len(self._kept) > 1 and len(self._kept) * size > self._budget:
            never = len(self._plan) * 3
            last = max(self._kept, key=lambda k: self._next(k, default=never) if k != index else -1)
            del self._kept[last]
        return features

    def drop(self, index: int) -> None:
        """Forget one slice."""
        self._kept.pop(index, None)

    def _next(self, index: int, default: int) -> int:
        """When it will be asked for, from now on."""
        times = self._plan.get(index, [])
        at = bisect_left(times, self._now)
        return times[at] if at < len(times) else default
