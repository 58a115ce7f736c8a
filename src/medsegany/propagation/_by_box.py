"""Slice by slice: the box of one slice's mask is the prompt on the next."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from attrs import field, frozen

from medsegany._segmentations import given, given_in, join, nothing, sought_in
from medsegany._validate import at_least, one_of
from medsegany.prompts import Box, ObjectPrompts, box_from_mask
from medsegany.protocols import Direction, EmbeddedImage, Route, Segmenter, Span
from medsegany.results import Segmentation
from medsegany.types import Image, Mask


@frozen
class ByBox:
    """Carry an object by the box of its mask on the slice before; works with every `Segmenter`.

    This is how the paper runs SAM1 and MedSAM on volumes. A slice is reached from
    the nearest prompted one, ties to the lower; in a video, whose future is not known, from the
    last prompted one.

    Attributes:
        direction: Which way from the object's first prompted slice.
        margin_px: Pixels added on each side of the box: of the image or, with `grid`, of the grid.
        stop_after: An object has ended after so many empty slices in a row (not in a video, and
            not where its slices are given).
        on_empty: The box to look in after an empty slice: "last" is that of the last mask found,
            "first" the box that was the prompt, as in the released scripts (which never stop).
        grid: None for the tight box on the image's own pixels. 1024 or 256 reproduce the released
            scripts, which take the box on a resized mask (`infer_*_flare22.py` with a margin of 5,
            `CVPR24_LiteMedSAM_infer.py` with 3).
    """

    direction: Direction = field(default="both", validator=one_of("forward", "backward", "both"))
    margin_px: int = field(default=0, validator=at_least(0))
    stop_after: int = field(default=3, validator=at_least(1))
    on_empty: Literal["last", "first"] = field(
        default="last", validator=one_of("last", "first"), kw_only=True
    )
    grid: Literal[256, 1024] | None = field(
        default=None, validator=one_of(None, 256, 1024), kw_only=True
    )

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
        small, scale_x, scale_y = _on_grid(mask, self.grid)
        tight = box_from_mask(small)
        # The released code lets the right and lower edge reach the width, one past the last pixel.
        return Box(
            max(tight.x0 - self.margin_px, 0) / scale_x,
            max(tight.y0 - self.margin_px, 0) / scale_y,
            min(tight.x1 + self.margin_px, self.grid) / scale_x,
            min(tight.y1 + self.margin_px, self.grid) / scale_y,
        )


def _on_grid(mask: Mask, grid: int) -> tuple[Mask, float, float]:
    """The mask on a square grid, and the grid's cells per pixel along x and y."""
    from skimage.transform import resize_local_mean  # noqa: PLC0415 -- keeps the import fast

    height, width = mask.shape
    if grid == 1024:  # cv2.resize(mask, (1024, 1024), interpolation=INTER_NEAREST)
        rows = np.arange(grid) * height // grid
        cols = np.arange(grid) * width // grid
        nearest = mask[np.ix_(rows, cols)]
        if not nearest.any():  # all of it fell between the samples of a larger image
            y, x = np.nonzero(mask)
            nearest[y * grid // height, x * grid // width] = True
        return nearest, grid / width, grid / height
    # The longest side becomes 256 (cv2's INTER_AREA, which rounds on uint8), the rest is padding.
    scale = grid / max(height, width)
    shape = max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))
    area = resize_local_mean(mask.astype(np.float64), shape)
    padded = np.zeros((grid, grid), np.bool_)
    # cv2 rounds a half to the even 0, except in its own way of halving an image
    padded[: shape[0], : shape[1]] = (area >= 0.5) if scale == 0.5 else (area > 0.5)
    if not padded.any():  # thinner than half a cell: keep what is there
        padded[: shape[0], : shape[1]] = area > 0
    return padded, scale, scale


class BoxCarrier:
    """Carries objects by their boxes: one to look in next, and two per prompted slice."""

    def __init__(self, segmenter: Segmenter, how: ByBox) -> None:
        self._segmenter = segmenter
        self._how = how
        # object -> prompted slice -> (box to leave with, box to fall back on)
        self._prompted: dict[int, dict[int, tuple[Box | None, Box | None]]] = {}
        self._next: dict[int, Box] = {}
        self._fallback: dict[int, Box] = {}
        self._latest: tuple[int, EmbeddedImage] | None = None

    def prompt(
        self, index: int, image: Image, prompts: Mapping[int, ObjectPrompts]
    ) -> Segmentation:
        """Segment the prompted objects here; a mask is taken as it is."""
        sought = sought_in(prompts)
        found = self._embedded(index, image).segment(sought) if sought else nothing()
        found = join(index, found, given_in(prompts))
        for name, mask in found.masks.items():
            carried, drawn = self._how.box(mask), prompts[name].box
            self._prompted.setdefault(name, {})[index] = (carried or drawn, drawn or carried)
        return found

    def carry(
        self, index: int, image: Image, objects: Sequence[int], *, reverse: bool
    ) -> Segmentation:
        """Segment each object in the box of its mask on the slice before."""
        for name in objects:
            self._leave_prompt(name, index + 1 if reverse else index - 1)
        boxes = {name: self._next[name] for name in objects if name in self._next}
        found = self._embedded(index, image).segment(boxes) if boxes else nothing()
        absent = {n: np.zeros(image.shape[:2], np.bool_) for n in objects if n not in boxes}
        found = join(index, found, given(absent, verbatim=False))
        for name, mask in found.masks.items():
            box = self._how.box(mask)
            if box is None and self._how.on_empty == "first":
                box = self._fallback.get(name)
            if box is not None:
                self._next[name] = box
        return found

    def turn(self) -> None:
        """The other direction starts from prompted slices, not from where this one ended."""
        self._next.clear()

    def _embedded(self, index: int, image: Image) -> EmbeddedImage:
        """Some objects may be prompted on a slice to which others are carried."""
        if self._latest is None or self._latest[0] != index:
            self._latest = (index, self._segmenter.embed(image))
        return self._latest[1]

    def _leave_prompt(self, name: int, neighbour: int) -> None:
        """Beside a prompted slice, its boxes count and nothing from before."""
        if neighbour not in self._prompted.get(name, {}):
            return
        carried, fallback = self._prompted[name][neighbour]
        for kept, box in ((self._next, carried), (self._fallback, fallback)):
            if box is None:
                kept.pop(name, None)
            else:
                kept[name] = box
