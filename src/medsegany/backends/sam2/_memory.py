"""SAM2's memory of the objects of one stack: one official session per object."""

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
from medsegany.preprocess import as_rgb, check_image
from medsegany.prompts import ObjectPrompts
from medsegany.protocols import Span
from medsegany.results import Segmentation
from medsegany.types import Image

_DEFAULT_BUDGET = 2**30


class Sam2Memory:
    """What SAM2 remembers; see `medsegany.protocols.Memory`."""

    def __init__(
        self,
        upstream: SAM2VideoPredictor,
        whole: Span,
        spans: Mapping[int, Span],
        *,
        fill_holes_px: int,
        budget: int | None,
        precision: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._tracker = internals.Tracker.over(upstream, fill_holes_px)
        self._whole = whole
        self._spans = spans
        self._precision = precision
        self._store = _FeatureStore(_DEFAULT_BUDGET if budget is None else budget)
        self._reach = internals.horizon(self._tracker)
        self._states: dict[int, internals.State] = {}
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
            for name in objects:
                state, first = self._states[name], self._span(name).first
                steps[name] = internals.carry(
                    self._tracker, state, index - first, features, reverse=reverse
                )
                anchor = self._anchors[name] - first
                internals.prune(state, index - first, self._reach, anchor)
            return self._found(index, image, steps)

    def forget(self) -> None:
        """Forget every slice but the prompted ones."""
        for state in self._states.values():
            internals.forget(state)

    def _span(self, name: int) -> Span:
        return self._spans.get(name, self._whole)

    def _state(self, name: int, image: Image) -> internals.State:
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
            features = internals.encode(self._tracker, frame)
            self._store.put(index, features)
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
    """The features of the slices encoded last, up to a number of bytes; always of one."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._kept: OrderedDict[int, internals.Features] = OrderedDict()
        self._positions: list[torch.Tensor] | None = None

    def get(self, index: int) -> internals.Features | None:
        if index not in self._kept:
            return None
        self._kept.move_to_end(index)
        return self._kept[index]

    def put(self, index: int, features: internals.Features) -> None:
        image, backbone = features
        # The position encoding is the same for every slice, and five times as large as the rest.
        if self._positions is None:
            self._positions = backbone["vision_pos_enc"]
        backbone["vision_pos_enc"] = self._positions
        self._kept[index] = (image, backbone)
        size = _bytes([image, *backbone["backbone_fpn"]])
        while len(self._kept) > 1 and len(self._kept) * size > self._budget:
            self._kept.popitem(last=False)


def _bytes(tensors: Sequence[torch.Tensor]) -> int:
    return sum(t.element_size() * t.nelement() for t in tensors)
