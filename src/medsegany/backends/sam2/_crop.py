"""Looking at the surroundings of each prompt instead of the whole image."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own name for it
from attrs import field, frozen
from numpy.typing import NDArray

from medsegany._validate import above_zero, at_least, share
from medsegany.prompts import Box, MaskPrompt, ObjectPrompts, Point
from medsegany.types import Image, Mask


@frozen
class Part:
    """A rectangle of an image, and how it looks as the square that a model takes.

    Between both, areas count and not centres of pixels: a box goes around whole pixels here as
    there. (The official transforms take the corners of a box for points. Where a few pixels fill
    the square, that would cut off the last row and column.)

    Attributes:
        y0: First row.
        x0: First column.
        y1: The row after the last.
        x1: The column after the last.
    """

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """What cuts it out of an array `(H, W, ...)`."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def square(self, image: Image, side: int) -> Image:
        """`(side, side)` or `(side, side, 3)`: what it looks like."""
        part = np.ascontiguousarray(image[self.slices])
        layers = part[..., None] if part.ndim == 2 else part
        values = torch.from_numpy(layers.astype(np.float32)).permute(2, 0, 1)[None]
        resized = _resized(values, (side, side)).round().clamp(0, 255).byte()[0].numpy()
        return resized[0] if part.ndim == 2 else np.moveaxis(resized, 0, -1)

    def square_mask(self, mask: Mask, side: int) -> Mask:
        """`(side, side)`: a mask `(H, W)` as it looks there."""
        values = torch.from_numpy(mask[self.slices].astype(np.float32))[None, None]
        seen: Mask = _resized(values, (side, side))[0, 0].numpy() >= 0.5
        return seen

    def in_square(self, asked: ObjectPrompts, side: int) -> ObjectPrompts:
        """Prompts in pixels of the square; points outside of the part are left out."""
        if asked.mask is not None:
            return ObjectPrompts(mask=MaskPrompt(self.square_mask(asked.mask.mask, side)))
        x, y = side / (self.x1 - self.x0), side / (self.y1 - self.y0)
        box = None
        if asked.box is not None:
            x0, x1 = _pixels(asked.box.x0 - self.x0, asked.box.x1 - self.x0, x)
            y0, y1 = _pixels(asked.box.y0 - self.y0, asked.box.y1 - self.y0, y)
            box = Box(x0, y0, x1, y1)
        points = tuple(
            Point((p.x + 0.5 - self.x0) * x - 0.5, (p.y + 0.5 - self.y0) * y - 0.5, p.positive)
            for p in asked.points
            if self.holds(p)
        )
        return ObjectPrompts(box=box, points=points)

    def holds(self, point: Point) -> bool:
        """Whether a click lies in it."""
        inside_x = self.x0 - 0.5 <= point.x <= self.x1 - 0.5
        return inside_x and self.y0 - 0.5 <= point.y <= self.y1 - 0.5

    def back(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of the square, `(side, side)`, on the pixels of the part."""
        size = (self.y1 - self.y0, self.x1 - self.x0)
        found: NDArray[np.float32] = _resized(torch.from_numpy(logits)[None, None], size)[
            0, 0
        ].numpy()
        return found


def _pixels(first: float, last: float, scale: float) -> tuple[float, float]:
    """First and last pixel of what was made larger or smaller; at least one, in its middle."""
    first, last = first * scale, (last + 1) * scale - 1
    return (first, last) if first <= last else ((first + last) / 2,) * 2


def _resized(values: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """`(1, C, H, W)` of another size, by area where it shrinks."""
    return F.interpolate(values, size, mode="bilinear", antialias=True)


@frozen
class Crop:
    """How much of an image is looked at for one object.

    Attributes:
        times: Its sides, in terms of those of the object's box.
        narrowest: Its shorter side is at least this part of the longer one, so that what is long
            and thin is not blown up in one direction only; 1 is a square.
        smallest_px: No side is shorter, unless the image is.
        search: Whether what points mean is looked for at every size, and not only in the whole
            image: that takes some ten encodings instead of one.
    """

    times: float = field(default=1.5, validator=above_zero)
    narrowest: float = field(default=0.5, validator=share)
    smallest_px: int = field(default=16, validator=at_least(1))
    search: bool = False

    def around(self, box: Box, size: tuple[int, int]) -> Part:
        """The part of an image `(H, W)` with the box in its middle, or as near as can be.

        At the border of the image it is moved and not cut, so its sides follow from the box alone.
        """
        sides = np.array([box.y1 - box.y0 + 1, box.x1 - box.x0 + 1])
        wide = np.maximum(sides, self.narrowest * sides.max()) * self.times
        height, width = np.ceil(np.maximum(wide, self.smallest_px)).astype(int).tolist()
        return _with_its_middle(box, height, width, size)

    def at_every_size(self, box: Box, size: tuple[int, int]) -> list[Part]:
        """The whole image `(H, W)`, and squares around a box that get smaller and smaller.

        Each has half the area of the one before; the last is twice `smallest_px` wide, or as wide
        as the box.
        """
        parts = [Part(0, 0, *size)]
        if not self.search:
            return parts
        least = max(2 * self.smallest_px, box.x1 - box.x0 + 1, box.y1 - box.y0 + 1)
        while (side := max(size) / 2 ** (len(parts) / 2)) >= least:
            parts.append(_with_its_middle(box, round(side), round(side), size))
        return parts

    def following(self, part: Part, box: Box, size: tuple[int, int]) -> Part:
        """The part for the next slice or frame, where the object was last seen in this box.

        It stays as long as it fits: what is remembered is remembered in its coordinates.
        """
        new = self.around(box, size)
        for low, high, first, end, fresh_first, fresh_end, longest in (
            (box.y0, box.y1 + 1, part.y0, part.y1, new.y0, new.y1, size[0]),
            (box.x0, box.x1 + 1, part.x0, part.x1, new.x0, new.x1, size[1]),
        ):
            rim = 0.05 * (end - first)
            leaves = (low < first + rim and first > 0) or (high > end - rim and end < longest)
            fresh, kept = fresh_end - fresh_first, end - first
            if leaves or kept > 1.5 * fresh or fresh > 1.3 * kept:
                return new
        return part


def _with_its_middle(box: Box, height: int, width: int, size: tuple[int, int]) -> Part:
    """A part of an image `(H, W)` with a box in its middle, or as near as can be."""
    y0, y1 = _within((box.y0 + box.y1 + 1) / 2, height, size[0])
    x0, x1 = _within((box.x0 + box.x1 + 1) / 2, width, size[1])
    return Part(y0, x0, y1, x1)


def _within(centre: float, side: int, longest: int) -> tuple[int, int]:
    """First and end of so many pixels around a place, inside of 0 to longest."""
    side = min(side, longest)
    first = min(max(round(centre - side / 2), 0), longest - side)
    return first, first + side
