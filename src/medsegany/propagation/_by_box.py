"""Slice by slice: the box of one slice's mask is the prompt on the next."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from attrs import evolve, field, frozen, validators

from medsegany._segmentations import given, join, nothing
from medsegany.prompts import Box, ObjectPrompts, box_from_mask
from medsegany.protocols import Direction, Route, Segmenter, Span
from medsegany.results import Segmentation
from medsegany.types import Image, Mask


@frozen
class ByBox:
    """Carry an object by the box of its mask on the slice before; works with every `Segmenter`.

    This is how the paper runs SAM1 and MedSAM on volumes (section 2.4). A slice is reached from
    the nearest prompted one, ties to the lower; in a video, whose future is not known, from the
    last prompted one.

    Attributes:
        direction: Which way from the object's first prompted slice.
        margin_px: Pixels added on each side of the box: of the image or, with `grid`, of the grid.
        stop_after: An object has ended after so many empty slices in a row (not in a video, and
            not where its slices are given).
        on_empty: The box to look in after an empty slice: "last" is that of the last mask found,
            "first" that of the prompted slice, as the released scripts do (they never stop).
        grid: None for the tight box on the image's own pixels. 1024 or 256 reproduce the released
            scripts, which take the box on a resized mask (`infer_*_flare22.py` with a margin of 5,
            `CVPR24_LiteMedSAM_infer.py` with 3).
    """

    direction: Direction = field(
        default="both", validator=validators.in_(("forward", "backward", "both"))
    )
    margin_px: int = field(default=0, validator=validators.ge(0))
    stop_after: int = field(default=3, validator=validators.ge(1))
    on_empty: Literal["last", "first"] = field(
        default="last", validator=validators.in_(("last", "first")), kw_only=True
    )
    grid: Literal[256, 1024] | None = field(
        default=None, validator=validators.in_((None, 256, 1024)), kw_only=True
    )

    def toward(self, direction: Direction) -> "ByBox":
        """The same way in another direction."""
        return evolve(self, direction=direction)

    def carrier(
        self,
        segmenter: Segmenter,
        whole: Span,  # noqa: ARG002 -- a box needs no idea of time
        spans: Mapping[int, Span],  # noqa: ARG002
    ) -> "BoxCarrier":
        """Start carrying."""
        return BoxCarrier(segmenter, self)

    def route(self, prompted: Sequence[int], span: tuple[int, int]) -> Route:
        """Each slice from the nearest prompted one, ties to the lower."""
        start = min(prompted)
        first = start if self.direction == "forward" else span[0]
        last = start if self.direction == "backward" else span[1]
        forward, backward = [], []
        for k in range(first, last + 1):
            nearest = min(prompted, key=lambda p: (abs(p - k), p))
            if k > nearest:
                forward.append(k)
            elif k < nearest:
                backward.append(k)
        return Route(forward, backward[::-1])

    def box(self, mask: Mask) -> Box | None:
        """The box that carries this mask on; None for an empty mask."""
        if not mask.any():
            return None
        if self.grid is None:
            return box_from_mask(mask, self.margin_px)
        height, width = mask.shape
        size, scale = _on_grid(mask, self.grid)
        tight = box_from_mask(size)
        # The released code lets the right and lower edge reach the width, one past the last pixel.
        x0, y0 = max(tight.x0 - self.margin_px, 0), max(tight.y0 - self.margin_px, 0)
        x1, y1 = (
            min(tight.x1 + self.margin_px, self.grid),
            min(tight.y1 + self.margin_px, self.grid),
        )
        if self.grid == 256:
            return Box(x0 / scale, y0 / scale, x1 / scale, y1 / scale)
        return Box(
            x0 * width / self.grid,
            y0 * height / self.grid,
            x1 * width / self.grid,
            y1 * height / self.grid,
        )


def _on_grid(mask: Mask, grid: int) -> tuple[Mask, float]:
    """The mask on a square grid, and the factor of its sides (256 only)."""
    from skimage.transform import resize_local_mean  # noqa: PLC0415 -- keeps the import fast

    height, width = mask.shape
    if grid == 1024:  # cv2.resize(mask, (1024, 1024), interpolation=INTER_NEAREST)
        rows = np.arange(grid) * height // grid
        cols = np.arange(grid) * width // grid
        return mask[np.ix_(rows, cols)], 1.0
    # The longest side becomes 256 (cv2's INTER_AREA, which rounds on uint8), the rest is padding.
    scale = grid / max(height, width)
    shape = int(height * scale + 0.5), int(width * scale + 0.5)
    area = resize_local_mean(mask.astype(np.float64), shape)
    padded = np.zeros((grid, grid), np.bool_)
    padded[: shape[0], : shape[1]] = area >= 0.5
    if not padded.any():  # thinner than half a cell: keep what is there
        padded[: shape[0], : shape[1]] = area > 0
    return padded, scale


class BoxCarrier:
    """Carries objects by their boxes: remembers one box for each object and prompted slice."""

    def __init__(self, segmenter: Segmenter, how: ByBox) -> None:
        self._segmenter = segmenter
        self._how = how
        self._prompted: dict[int, dict[int, Box | None]] = {}
        self._first: dict[int, Box] = {}
        self._last: dict[int, Box] = {}

    def prompt(
        self, index: int, image: Image, prompts: Mapping[int, ObjectPrompts]
    ) -> Segmentation:
        """Segment the prompted objects here; a mask is taken as it is."""
        asked = {name: p.as_prompts() for name, p in prompts.items() if p.mask is None}
        masks = {name: p.mask.mask for name, p in prompts.items() if p.mask is not None}
        found = self._segmenter.embed(image).segment(asked) if asked else nothing()
        found = join(index, found, given(masks))
        for name, mask in found.masks.items():
            self._prompted.setdefault(name, {})[index] = self._how.box(mask)
        return found

    def carry(
        self, index: int, image: Image, objects: Sequence[int], *, reverse: bool
    ) -> Segmentation:
        """Segment each object in the box of its mask on the slice before."""
        boxes: dict[int, Box] = {}
        for name in objects:
            self._depart(name, index + 1 if reverse else index - 1)
            if name in self._last:
                boxes[name] = self._last[name]
        found = self._segmenter.embed(image).segment(boxes) if boxes else nothing()
        empty = {n: np.zeros(image.shape[:2], np.bool_) for n in objects if n not in boxes}
        found = join(index, found, given(empty, verbatim=False))
        for name, mask in found.masks.items():
            box = self._how.box(mask)
            if box is not None:
                self._last[name] = box
            elif self._how.on_empty == "first" and name in self._first:
                self._last[name] = self._first[name]
        return found

    def turn(self) -> None:
        """Nothing to do: the backward way starts from boxes of prompted slices."""

    def _depart(self, name: int, neighbour: int) -> None:
        """Take the prompted slice's box where the way starts, or passes, beside one."""
        prompted = self._prompted.get(name, {})
        if neighbour not in prompted:
            return
        box = prompted[neighbour]
        if box is not None:
            self._first[name] = self._last[name] = box
