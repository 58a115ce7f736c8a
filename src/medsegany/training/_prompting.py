"""Prompts for training, drawn from the true mask as someone might have drawn them."""

from typing import Literal, TypeAlias, get_args

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from medsegany._validate import at_least, not_negative
from medsegany.prompts import Box, box_from_mask
from medsegany.types import Mask

PromptKind: TypeAlias = Literal["box", "point", "clicks", "box+clicks", "mask"]
"""A box; one click inside; one to four clicks, inside and outside; a box and such clicks; the mask
itself."""

KINDS: tuple[PromptKind, ...] = get_args(PromptKind)
WITH_BOX: tuple[PromptKind, ...] = ("box", "box+clicks")
"""Whose first two points are the corners of a box."""


@frozen
class BoxJitter:
    """How far the sides of a training box lie from those of the mask, each side on its own.

    Attributes:
        outward_px: Whole pixels of the model's input, evenly drawn from 0 to this (paper, 2.6: 5).
        fraction: Of the box's own width or height: evenly drawn from minus to plus this.
        grid_px: The side of the grid that the mask is resized to (nearest) before its box is
            taken, and whose pixels `outward_px` counts; None for the box of the mask as it is,
            and pixels of the input. The released script has 256: at an input of 1024 its 5 pixels
            are 20 (`finetune_sam2_img.py`).
    """

    outward_px: int = field(default=5, validator=at_least(0))
    fraction: float = field(default=0.0, validator=not_negative)
    grid_px: int | None = field(default=None, validator=at_least(1, optional=True))

    def box(
        self, mask: Mask, size: int, rng: np.random.Generator, given: Box | None = None
    ) -> NDArray[np.float32]:
        """A box of a mask, as `(x0, y0, x1, y1)` in pixels of the model's input.

        Args:
            mask: `(H, W)`, not empty, unless a box is given.
            size: The side of the model's input.
            rng: Where it is drawn from.
            given: Instead of the mask's own, in its pixels.
        """
        if self.grid_px is not None and given is None:
            small = nearest(mask, self.grid_px)
            # A thin object may lie between the grid's points: then its own box is taken.
            mask = small if small.any() else mask
        grid = size if self.grid_px is None else self.grid_px
        tight = (given or box_from_mask(mask)).as_array().astype(np.float64)
        height, width = mask.shape
        x0, y0, x1, y1 = tight * np.array([grid / width, grid / height] * 2)
        out = rng.integers(0, self.outward_px, 4, endpoint=True).astype(np.float64)
        if self.fraction:
            sides = np.array([x1 - x0, y1 - y0] * 2)
            out += rng.uniform(-self.fraction, self.fraction, 4) * sides
        box = np.array([x0 - out[0], y0 - out[1], x1 + out[2], y1 + out[3]])
        box = np.clip(box, 0, grid)
        box[2:] = np.maximum(box[2:], box[:2])
        scaled: NDArray[np.float32] = (box * (size / grid)).astype(np.float32)
        return scaled


def nearest(mask: Mask, size: int) -> Mask:
    """A mask resized to a square by taking points, as OpenCV's INTER_NEAREST does."""
    rows = np.arange(size) * mask.shape[0] // size
    columns = np.arange(size) * mask.shape[1] // size
    taken: Mask = mask[rows[:, None], columns]
    return taken


def clicks(
    mask: Mask, most: int, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """One click inside a mask, and up to `most - 1` more inside or just outside.

    Returns:
        `(most, 2)` as (x, y) in pixels of the model's input, and `(most,)`: 1 inside, 0 outside,
        -1 for one that was not made.
    """
    height, width = mask.shape
    scale = np.array([size / width, size / height])
    where, kinds = np.zeros((most, 2), np.float32), np.full(most, -1, np.int32)
    box = box_from_mask(mask, margin_px=max(2, max(mask.shape) // 20))
    near = np.zeros_like(mask)
    near[box.y0 : box.y1 + 1, box.x0 : box.x1 + 1] = True
    inside, outside = np.argwhere(mask), np.argwhere(near & ~mask)
    for n in range(1 if most == 1 else int(rng.integers(1, most, endpoint=True))):
        positive = n == 0 or not len(outside) or rng.random() < 0.5
        row, column = rng.choice(inside if positive else outside)
        where[n], kinds[n] = (column, row) * scale, int(positive)
    return where, kinds
