"""Prompts of many objects as the arrays that a decoder takes in one call."""

from collections.abc import Iterator, Mapping

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from medsegany.prompts import ObjectPrompts

# A decoder holds the image features once per object: 32 take about 0.5 GB at 1024 px.
_MOST = 32


@frozen
class Batch:
    """Objects with the same number of prompts.

    Attributes:
        names: Object ids.
        boxes: `(B, 4)` x0, y0, x1, y1 in pixels of the image, or None.
        points: `(B, N, 2)` x, y in pixels of the image, or None.
        positive: `(B, N)` 1 for points on the object, 0 for points beside it, or None.
    """

    names: tuple[int, ...]
    boxes: NDArray[np.float64] | None
    points: NDArray[np.float64] | None
    positive: NDArray[np.int64] | None


def batches(asked: Mapping[int, ObjectPrompts]) -> Iterator[Batch]:
    """Group objects whose prompts have the same shape.

    Nothing is padded: a padded prompt is another prompt to SAM.
    """
    groups: dict[tuple[bool, int], list[int]] = {}
    for name, here in asked.items():
        groups.setdefault((here.box is not None, len(here.points)), []).append(name)
    for (has_box, points), names in groups.items():
        for start in range(0, len(names), _MOST):
            some = names[start : start + _MOST]
            yield Batch(
                tuple(some),
                np.stack([asked[n].box.as_array() for n in some]) if has_box else None,  # type: ignore[union-attr]  # has_box
                np.array([[(p.x, p.y) for p in asked[n].points] for n in some], np.float64)
                if points
                else None,
                np.array([[int(p.positive) for p in asked[n].points] for n in some])
                if points
                else None,
            )
