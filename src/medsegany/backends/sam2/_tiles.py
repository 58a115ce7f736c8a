"""Looking again, from near, at what is large and thin."""

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from medsegany._validate import above_zero, at_least, share
from medsegany.backends.sam2._crop import Part
from medsegany.prompts import Box
from medsegany.types import Mask

_SMALLEST = 16  # pixels of the image: a tile of fewer shows nothing
_SUREST = 10.0  # logits: no tile outvotes the others, however sure it is


@frozen
class Tiles:
    """When an object is looked at again in tiles, and whether what they show counts.

    A mask is a quarter as fine as what a model looks at. On that grid a tree of vessels that fills
    an image is thinner than a pixel; in tiles it is not. Of other objects a tile shows too little.
    So tiles are tried where the model itself expects that its mask does not fit and that mask is
    thin already, and they count where what they find is thin.

    Attributes:
        below: Predicted IoU of the first mask below which tiles are tried.
        filled: Part of the box that the first mask fills at most where tiles are tried.
        smallest_px: The longer side of a box must be at least that long.
        part: Side of a tile, in terms of the longer side of the box; at least 16 pixels.
        overlap: Part of a tile that its neighbour sees, too.
        thin: They count where masks fill less than this part of most of them. A model that is
            trained for it fills tiles of what is not thin.
    """

    below: float = field(default=0.6, validator=share)
    filled: float = field(default=0.15, validator=share)
    smallest_px: int = field(default=100, validator=at_least(1))
    part: float = field(default=0.25, validator=above_zero)
    overlap: float = field(default=0.5, validator=share)
    thin: float = field(default=0.2, validator=share)

    def are_tried(self, score: float, box: Box, mask: Mask) -> bool:
        """Whether a mask of this predicted IoU, found with this box, is one to look at again."""
        large = _longer_side(box) >= self.smallest_px
        return score < self.below and large and _filled(box, mask) <= self.filled

    def count(self, found: Sequence[NDArray[np.float32]]) -> bool:
        """Whether what tiles found, logits of each, is thin."""
        filled = [float((logits > 0).mean()) for logits in found]
        return max(filled) > 0 and float(np.median(filled)) < self.thin

    def over(self, box: Box, size: tuple[int, int]) -> list[Part]:
        """The tiles of a box in an image `(H, W)`, by rows: squares, where the image has room."""
        side = max(_SMALLEST, round(self.part * _longer_side(box)))
        rows = _spans(box.y0, box.y1, side, size[0], self.overlap)
        columns = _spans(box.x0, box.x1, side, size[1], self.overlap)
        return [Part(y0, x0, y1, x1) for (y0, y1), (x0, x1) in product(rows, columns)]


def _longer_side(box: Box) -> float:
    return max(box.x1 - box.x0, box.y1 - box.y0) + 1


def _filled(box: Box, mask: Mask) -> float:
    """Part of the pixels of a box that a mask has."""
    x0, y0, x1, y1 = np.rint(box.as_array()).astype(int)
    return float(mask[y0 : y1 + 1, x0 : x1 + 1].mean())


def _spans(
    first: float, last: float, side: int, longest: int, overlap: float
) -> list[tuple[int, int]]:
    """Spans of one length from the first to the last pixel, evenly, each inside of the image."""
    begin, end = max(0, int(np.floor(first))), min(longest, int(np.ceil(last)) + 1)
    side = min(side, longest)
    free = max(0, end - begin - side)
    count = 1 + int(np.ceil(free / max(1.0, side * (1 - overlap))))
    starts = np.linspace(begin, begin + free, count).round().astype(int).clip(0, longest - side)
    return [(int(start), int(start) + side) for start in starts]


def inside(box: Box, part: Part) -> Box:
    """What of a box lies in a part that meets it."""
    return Box(
        max(box.x0, part.x0),
        max(box.y0, part.y0),
        min(box.x1, part.x1 - 1),
        min(box.y1, part.y1 - 1),
    )


def blended(
    found: Iterable[tuple[Part, NDArray[np.float32]]], size: tuple[int, int], outside: np.float32
) -> NDArray[np.float32]:
    """The mean `(H, W)` of the logits of parts; each counts most in its middle.

    Args:
        found: Parts, and the logits of each on its pixels.
        size: `(H, W)` of the image.
        outside: Where no part is.
    """
    total, weights = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for part, logits in found:
        weight = np.minimum.outer(*map(_to_the_border, logits.shape))
        total[part.slices] += weight * logits.clip(-_SUREST, _SUREST)
        weights[part.slices] += weight
    return np.where(weights > 0, total / np.maximum(weights, 1), outside)


def _to_the_border(length: int) -> NDArray[np.float32]:
    """Of each of so many pixels in a row: 1, 2, 3 and so on from either end."""
    up = np.arange(1, length + 1, dtype=np.float32)
    return np.minimum(up, up[::-1])
