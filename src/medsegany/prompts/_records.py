"""Boxes, points and masks: frozen records in pixels of the image as given."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from attrs import cmp_using, field, frozen
from numpy.typing import ArrayLike, NDArray

from medsegany._validate import as_whole
from medsegany.errors import InvalidPrompt
from medsegany.types import Mask

P_co = TypeVar("P_co", bound="Box | Point | MaskPrompt", covariant=True)


def _number(value: "float | np.number[Any]") -> float:
    plain = (
        value.item() if isinstance(value, (np.number, np.ndarray)) and value.ndim == 0 else value
    )
    if isinstance(plain, bool) or not isinstance(plain, (int, float)):
        msg = f"A coordinate is one number in pixels, got {value!r}."
        raise InvalidPrompt(msg)
    if not math.isfinite(plain):
        msg = f"A coordinate is a finite number of pixels, got {plain}."
        raise InvalidPrompt(msg)
    return plain


def _yes_or_no(value: bool) -> bool:  # noqa: FBT001 -- the field's own value
    # SAM gives other labels other meanings: 2 would make the point a corner of a box.
    if isinstance(value, (bool, np.bool_)) or as_whole(value) in (0, 1):
        return bool(value)
    msg = f"A point is positive (True) or not (False), got {value!r}."
    raise InvalidPrompt(msg)


def _index(value: object) -> int:
    index = as_whole(value)
    if index is None:
        msg = f"A slice or frame is given by its index, a whole number, got {value!r}."
        raise InvalidPrompt(msg)
    if index < 0:
        msg = f"A slice or frame index counts from 0, got {index}."
        raise InvalidPrompt(msg)
    return index


@frozen
class Box:
    """A rectangle around the object.

    The corners are inclusive pixel indices: the tight box of a mask is
    `(cols.min(), rows.min(), cols.max(), rows.max())`, and one pixel is `Box(x, y, x, y)`.

    Attributes:
        x0: First column.
        y0: First row.
        x1: Last column, at least `x0`.
        y1: Last row, at least `y0`.
    """

    x0: float = field(converter=_number)
    y0: float = field(converter=_number)
    x1: float = field(converter=_number)
    y1: float = field(converter=_number)

    def __attrs_post_init__(self) -> None:
        for axis, low, high in (("x", self.x0, self.x1), ("y", self.y0, self.y1)):
            if high < low:
                msg = (
                    f"Box needs {axis}1 >= {axis}0, got {axis}0={low}, {axis}1={high}. "
                    "Boxes are (x0, y0, x1, y1): did you pass (row, col) or a width and height?"
                )
                raise InvalidPrompt(msg)

    def at(self, index: int) -> "Placed[Box]":
        """This box on slice or frame `index`."""
        return Placed(self, index)

    def as_array(self) -> NDArray[np.float64]:
        """`[x0, y0, x1, y1]`."""
        return np.array([self.x0, self.y0, self.x1, self.y1], dtype=np.float64)


@frozen
class Point:
    """A click.

    Attributes:
        x: Column.
        y: Row.
        positive: Whether the pixel belongs to the object (True) or not (False).
    """

    x: float = field(converter=_number)
    y: float = field(converter=_number)
    positive: bool = field(default=True, converter=_yes_or_no)

    def at(self, index: int) -> "Placed[Point]":
        """This point on slice or frame `index`."""
        return Placed(self, index)


def as_mask(value: ArrayLike) -> Mask:
    """A boolean copy of a mask: bool, or integers with one value beside zero.

    Raises:
        InvalidPrompt: It is not 2D, or is a map of several labels, or holds fractions.
    """
    array = np.asarray(value)
    if array.ndim != 2:
        msg = f"A mask on a slice is (H, W), got shape {array.shape}."
        raise InvalidPrompt(msg)
    if array.dtype == np.bool_:
        return array.copy()
    if array.dtype.kind not in "iuf":
        msg = f"A mask is bool or integers, got {array.dtype}."
        raise InvalidPrompt(msg)
    found = np.unique(array)
    if not np.isin(found, np.round(found)).all():
        msg = "A mask is bool or integers, this array holds fractions: threshold it first."
        raise InvalidPrompt(msg)
    others = found[found != 0]
    if len(others) > 1:
        msg = (
            f"A mask holds one object, this array holds the values {others[:5].tolist()}: "
            f"a map of labels? One object of it is labels == {int(others[0])}."
        )
        raise InvalidPrompt(msg)
    mask: Mask = array != 0
    return mask


def _frozen_mask(value: ArrayLike) -> Mask:
    mask = as_mask(value)
    mask.setflags(write=False)
    return mask


@frozen
class MaskPrompt:
    """The object's mask on this slice, given rather than sought.

    It is the result on its slice, to the pixel, and what is carried from there. An empty mask says
    that the object is not on this slice.

    Attributes:
        mask: `(H, W)`, bool or 0 and one other integer; copied.
    """

    mask: Mask = field(
        converter=_frozen_mask,
        eq=cmp_using(eq=np.array_equal),
        hash=False,
        repr=lambda m: f"<{m.shape}, {int(m.sum())} pixels>",
    )

    def at(self, index: int) -> "Placed[MaskPrompt]":
        """This mask on slice or frame `index`."""
        return Placed(self, index)


Prompt: TypeAlias = Box | Point | MaskPrompt


@frozen
class Placed(Generic[P_co]):
    """A prompt on one slice of a volume or one frame of a video; made by `.at(index)`.

    Attributes:
        prompt: The prompt.
        index: Slice or frame, counted from 0.
    """

    prompt: P_co
    index: int = field(converter=_index)


AnyPrompt: TypeAlias = Prompt | Placed[Box] | Placed[Point] | Placed[MaskPrompt]

Prompts: TypeAlias = AnyPrompt | Sequence[AnyPrompt] | Mapping[int, AnyPrompt | Sequence[AnyPrompt]]
"""One prompt, several for object 1, or a mapping object id -> prompt(s)."""


@frozen
class ObjectPrompts:
    """Everything that is asked for one object on one slice: a mask, or a box and points.

    Attributes:
        box: At most one.
        points: In the order given.
        mask: The mask, when there is one; box and points are then absent.
    """

    box: Box | None = None
    points: tuple[Point, ...] = ()
    mask: MaskPrompt | None = None

    def as_prompts(self) -> tuple[Prompt, ...]:
        """Box first, then points; or the mask."""
        if self.mask is not None:
            return (self.mask,)
        return (*([self.box] if self.box is not None else []), *self.points)
