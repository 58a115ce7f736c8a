"""Sorting what a user asks: by object, by slice, checked against the image."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from medsegany._validate import as_whole
from medsegany.errors import InvalidPrompt, PromptNotSupported
from medsegany.prompts._records import (
    Box,
    MaskPrompt,
    ObjectPrompts,
    Placed,
    Point,
    Prompt,
    Prompts,
)


def by_object(prompts: Prompts) -> dict[int, dict[int | None, ObjectPrompts]]:
    """Sort prompts: object id -> slice (None: not placed) -> what is asked there.

    Raises:
        InvalidPrompt: Two boxes or a mask and something else for one object on one slice, an object
            id below 1, or something that is no prompt.
    """
    listed = prompts if isinstance(prompts, Mapping) else {1: prompts}
    if not listed:
        msg = "No prompts: give a Box, Point or MaskPrompt, or a mapping {1: Box(...), 2: ...}."
        raise InvalidPrompt(msg)
    return {_object_id(name): _by_slice(name, given) for name, given in listed.items()}


def on_image(prompts: Prompts, shape: tuple[int, int]) -> dict[int, ObjectPrompts]:
    """What is asked for each object on a single image, checked against its size.

    The first thing that `EmbeddedImage.segment` of a backend calls.

    Args:
        prompts: As a user gives them. A placed prompt must lie on slice 0: an image is a stack of
            one.
        shape: `(H, W)` of the image.

    Raises:
        InvalidPrompt: As `by_object`; a prompt misses the image or lies on another slice.
    """
    found: dict[int, ObjectPrompts] = {}
    for name, slices in on_stack(prompts, shape, length=1, unplaced=0).items():
        found[name] = slices[0]
    return found


def on_stack(
    prompts: Prompts,
    shape: tuple[int, int],
    *,
    length: int | None,
    unplaced: int | None = None,
) -> dict[int, dict[int, ObjectPrompts]]:
    """What is asked on each slice of a stack: object id -> slice -> prompts, in the order given.

    Args:
        prompts: As a user gives them.
        shape: `(H, W)` of every slice.
        length: Number of slices, or None where that is not known.
        unplaced: Where a prompt without `.at(index)` belongs; None makes it an error.

    Raises:
        InvalidPrompt: As `by_object`; an unplaced prompt where a place is needed, a slice beyond
            the stack, a prompt that misses the slice.
    """
    placed: dict[int, dict[int, ObjectPrompts]] = {}
    for name, slices in by_object(prompts).items():
        here: dict[int, ObjectPrompts] = {}
        for index, asked in slices.items():
            k = unplaced if index is None else index
            if k is None:
                msg = (
                    f"The prompt of object {name} has no slice. "
                    f"Say where it lies: {_shown(asked)}.at(slice_index)."
                )
                raise InvalidPrompt(msg)
            if length is not None and k >= length:
                msg = f"Object {name} is prompted on slice {k}, but there {_are(length)} (from 0)."
                raise InvalidPrompt(msg)
            if k in here:
                msg = (
                    f"Object {name} is prompted twice on slice {k}: with .at({k}) and without a "
                    "place. Put them together."
                )
                raise InvalidPrompt(msg)
            check_fits(asked, shape, name)
            here[k] = asked
        placed[name] = here
    return placed


def check_kinds(asked: ObjectPrompts, accepts: Container[type], model: str) -> None:
    """Refuse kinds of prompts that a model does not take.

    Raises:
        PromptNotSupported: With the kinds that it does take.
    """
    for prompt in asked.as_prompts():
        kind = type(prompt)
        if kind not in accepts:
            takes = " and ".join(k.__name__ for k in (Box, Point, MaskPrompt) if k in accepts)
            msg = f"{model} takes {takes} prompts, not {kind.__name__}."
            raise PromptNotSupported(msg)


def check_fits(asked: ObjectPrompts, shape: tuple[int, int], name: int) -> None:
    """Refuse prompts that miss an image of `shape` (H, W).

    A box that overhangs the image is left as it is.

    Raises:
        InvalidPrompt: With a word on swapped axes where the swapped prompt would fit.
    """
    height, width = shape
    if asked.mask is not None and asked.mask.mask.shape != shape:
        msg = f"The mask of object {name} is {asked.mask.mask.shape}, the image {shape}."
        if asked.mask.mask.shape == shape[::-1]:
            msg += " Is it transposed?"
        raise InvalidPrompt(msg)
    for prompt in ([asked.box] if asked.box else []) + list(asked.points):
        corners = (
            (prompt.x0, prompt.y0, prompt.x1, prompt.y1)
            if isinstance(prompt, Box)
            else (prompt.x, prompt.y, prompt.x, prompt.y)
        )
        if _meets(*corners, height, width):
            continue
        x0, y0, x1, y1 = corners
        msg = f"{prompt} of object {name} lies outside the image, {width} wide and {height} high."
        if _meets(y0, x0, y1, x1, height, width):
            msg += " With x and y swapped it would fit: x is the column, y the row."
        raise InvalidPrompt(msg)


def _meets(x0: float, y0: float, x1: float, y1: float, height: int, width: int) -> bool:
    # A pixel's area reaches half a pixel around its centre.
    return x1 >= -0.5 and y1 >= -0.5 and x0 <= width - 0.5 and y0 <= height - 0.5


def _object_id(value: object) -> int:
    name = as_whole(value)
    if name is None or name < 1:
        msg = f"An object id is a whole number from 1 (0 is the background), got {value!r}."
        raise InvalidPrompt(msg)
    return name


def _by_slice(name: int, given: object) -> dict[int | None, ObjectPrompts]:
    single = isinstance(given, (Box, Point, MaskPrompt, Placed))
    if not single and (isinstance(given, (str, bytes)) or not isinstance(given, Sequence)):
        msg = f"Object {name} got {type(given).__name__}; a prompt is a Box, Point or MaskPrompt."
        if isinstance(given, np.ndarray):
            msg += " An array of four numbers is Box(*array)."
        raise InvalidPrompt(msg)
    items: Sequence[Any] = given if isinstance(given, Sequence) else [given]
    if not items:
        msg = f"Object {name} has no prompts."
        raise InvalidPrompt(msg)
    slices: dict[int | None, list[Prompt]] = {}
    for item in items:
        index, prompt = (item.index, item.prompt) if isinstance(item, Placed) else (None, item)
        slices.setdefault(index, []).append(prompt)
    return {index: together(name, found) for index, found in slices.items()}


def _are(length: int) -> str:
    return "is one slice or frame" if length == 1 else f"are {length} slices or frames"


def together(name: int, found: Sequence[Prompt]) -> ObjectPrompts:
    """What several prompts of one object on one slice ask for.

    Raises:
        InvalidPrompt: They contradict each other, or one is no prompt.
    """
    boxes: list[Box] = []
    points: list[Point] = []
    masks: list[MaskPrompt] = []
    for prompt in found:
        match prompt:
            case Box():
                boxes.append(prompt)
            case Point():
                points.append(prompt)
            case MaskPrompt():
                masks.append(prompt)
            case _:
                msg = (
                    f"{prompt!r} (for object {name}) is no prompt: "
                    "use Box(x0, y0, x1, y1), Point(x, y) or MaskPrompt(mask)."
                )
                raise InvalidPrompt(msg)
    if len(boxes) > 1:
        msg = f"Object {name} has {len(boxes)} boxes on one slice. Two objects? {{1: a, 2: b}}."
        raise InvalidPrompt(msg)
    if masks and (len(masks) > 1 or boxes or points):
        msg = (
            f"Object {name} has a mask and {len(found) - 1} other prompt(s) on one slice. "
            "A mask is the result on its slice and stands alone."
        )
        raise InvalidPrompt(msg)
    if masks:
        return ObjectPrompts(mask=masks[0])
    return ObjectPrompts(box=boxes[0] if boxes else None, points=tuple(points))


def _shown(asked: ObjectPrompts) -> str:
    return type(asked.as_prompts()[0]).__name__ + "(...)"
