"""Turning masks into prompts, as if someone had drawn them."""

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from medsegany._validate import choice, whole
from medsegany.errors import InvalidPrompt
from medsegany.prompts._records import Box, Placed, as_mask
from medsegany.types import Mask

Where: TypeAlias = Literal["middle", "largest", "first", "upper_middle"]


def box_from_mask(mask: ArrayLike, margin_px: int = 0) -> Box:
    """The tight box of a mask, or one that is larger by a margin.

    Args:
        mask: `(H, W)`, one object.
        margin_px: Pixels added on each side, cut at the image's edge.

    Raises:
        InvalidPrompt: The mask is empty, or a map of several labels.
    """
    whole(margin_px, 0, "margin_px")
    array = as_mask(mask)
    rows, cols = np.flatnonzero(array.any(axis=1)), np.flatnonzero(array.any(axis=0))
    if not len(rows):
        msg = "An empty mask has no box."
        raise InvalidPrompt(msg)
    height, width = array.shape
    return Box(
        max(int(cols[0]) - margin_px, 0),
        max(int(rows[0]) - margin_px, 0),
        min(int(cols[-1]) + margin_px, width - 1),
        min(int(rows[-1]) + margin_px, height - 1),
    )


def prompt_slice(present: ArrayLike, where: Where = "middle") -> int:
    """The slice to prompt, of an object that is present on some slices.

    Args:
        present: `(D,)`: the object's number of pixels on each slice, or whether it is there.
        where: "middle" is `(first + last) // 2` of the object's extent or, where that slice lacks
            it, the nearest slice that holds it, the lower of two; "upper_middle" is
            `first + (last - first + 1) // 2`, the released SAM2 script's rule (one slice higher
            for an even extent); "largest" the slice with the most pixels, the lower of two;
            "first" the first one.

    Raises:
        InvalidPrompt: The object is on no slice.
        InvalidInput: There is no such rule.
    """
    choice(where, get_args(Where), "where")
    counts = np.asarray(present).astype(np.int64)
    slices = np.flatnonzero(counts)
    if not len(slices):
        msg = "The object is on no slice."
        raise InvalidPrompt(msg)
    first, last = int(slices[0]), int(slices[-1])
    match where:
        case "first":
            return first
        case "largest":
            return int(np.argmax(counts))
        case "middle":
            wanted = (first + last) // 2
        case _:  # upper_middle
            wanted = first + (last - first + 1) // 2
    # argmin takes the first of equal distances: the lower slice
    return int(slices[np.argmin(np.abs(slices - wanted))])


def boxes_from_labels(
    labels: ArrayLike,
    where: Where = "middle",
    margin_px: int = 0,
    jitter_px: int = 0,
    rng: np.random.Generator | None = None,
) -> dict[int, Box] | dict[int, Placed[Box]]:
    """A box for each object of a label map, as if someone had drawn it.

    Args:
        labels: `(H, W)`, or `(D, H, W)` for placed boxes; integers, 0 is the background.
        where: Which slice of a volume gets the box; see `prompt_slice`.
        margin_px: Pixels added on each side.
        jitter_px: Each side is moved by its own whole number of pixels, evenly drawn from
            `-jitter_px` to `jitter_px`; the box keeps at least one pixel and stays in the image.
        rng: Where the jitter comes from; there is no hidden generator.

    Returns:
        Object id -> box, or placed box.

    Raises:
        InvalidPrompt: `labels` is no label map; jitter without `rng`.
        InvalidInput: A margin or jitter that is no whole number from 0, or no such `where`.
    """
    array = np.asarray(labels)
    if array.ndim not in (2, 3) or not np.issubdtype(array.dtype, np.integer):
        msg = f"Labels are integers, (H, W) or (D, H, W), got {array.dtype} of shape {array.shape}."
        raise InvalidPrompt(msg)
    choice(where, get_args(Where), "where")
    if array.size and array.min() < 0:
        msg = f"Labels are whole numbers from 0, this map holds {array.min()}."
        raise InvalidPrompt(msg)
    if whole(jitter_px, 0, "jitter_px") and rng is None:
        msg = "jitter_px needs rng=numpy.random.default_rng(seed), so that it can be repeated."
        raise InvalidPrompt(msg)

    def box(mask: Mask) -> Box:
        tight = box_from_mask(mask, margin_px)
        return (
            tight if rng is None or not jitter_px else _jittered(tight, jitter_px, mask.shape, rng)
        )

    names = [int(value) for value in np.unique(array) if value != 0]
    if array.ndim == 2:
        return {name: box(array == name) for name in names}
    placed: dict[int, Placed[Box]] = {}
    for name in names:
        mask = array == name
        k = prompt_slice(mask.sum(axis=(1, 2)), where)
        placed[name] = box(mask[k]).at(k)
    return placed


def _jittered(box: Box, most: int, shape: tuple[int, ...], rng: np.random.Generator) -> Box:
    x0, y0, x1, y1 = (box.as_array() + rng.integers(-most, most, 4, endpoint=True)).tolist()
    right, bottom = shape[1] - 1, shape[0] - 1
    x0, x1 = sorted((min(max(x0, 0), right), min(max(x1, 0), right)))
    y0, y1 = sorted((min(max(y0, 0), bottom), min(max(y1, 0), bottom)))
    return Box(int(x0), int(y0), int(x1), int(y1))
