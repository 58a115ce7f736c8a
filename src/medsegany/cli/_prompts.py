"""Prompts in words: `--object 2 --box 30,42,118,97@57`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from attrs import field, frozen
from typer.core import TyperCommand

from medsegany import world
from medsegany.cli._common import NotUnderstood
from medsegany.errors import InvalidPrompt
from medsegany.io import read_labels
from medsegany.prompts import AnyPrompt, Box, MaskPrompt, Placed, Point, prompt_slice
from medsegany.types import Image
from medsegany.volume import Volume

Kind: TypeAlias = Literal["--box", "--point", "--negative-point", "--mask"]

_KINDS: tuple[Kind, ...] = ("--box", "--point", "--negative-point", "--mask")
_ARGUMENTS = "medsegany.arguments"
_SHAPES = {
    "--box": ("x0,y0,x1,y1", "30,42,118,97", 4, "x0,y0,z0,x1,y1,z1", 6),
    "--point": ("x,y", "74,70", 2, "x,y,z", 3),
    "--negative-point": ("x,y", "74,70", 2, "x,y,z", 3),
}


class InOrder(TyperCommand):
    """A command that remembers its arguments as they came: `--object` is for those after it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 -- click's, or
        # typer's own copy of it
        ctx.meta[_ARGUMENTS] = list(args)
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


@frozen
class Asked:
    """One prompt in words.

    Attributes:
        name: Of which object.
        kind: Its option.
        text: Its value.
    """

    name: int
    kind: Kind
    text: str


def in_order(context: Any, space: world.Space | None = None) -> list[Asked]:  # noqa: ANN401 -- typer's
    """The prompts of a command, each with the object it is for; their words are checked.

    Raises:
        NotUnderstood: Numbers are missing, or are none.
    """
    arguments: list[str] = context.meta[_ARGUMENTS]
    found: list[Asked] = []
    name, at, unused = 1, 0, ""
    while at < len(arguments) and arguments[at] != "--":
        option, equals, value = arguments[at].partition("=")
        at += 1
        if option != "--object" and option not in _KINDS:
            continue
        if not equals:
            value, at = arguments[at], at + 1
        if option == "--object":
            _refuse_unused(unused)
            name, unused = _object_id(value), value
        else:
            found += [Asked(name, kind, value) for kind in _KINDS if kind == option]
            unused = ""
    _refuse_unused(unused)
    for one in found:
        if one.kind != "--mask":
            _numbers(one) if space is None else _millimetres(one)
    return found


def _refuse_unused(name: str) -> None:
    if name:
        msg = f"--object {name} is for the prompts after it, and there are none."
        raise NotUnderstood(msg)


def _object_id(text: str) -> int:
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        msg = f"--object {text}: a whole number from 1 is needed; 0 is the background."
        raise NotUnderstood(msg)
    return int(text)


@frozen
class Built:
    """Prompts as the verbs take them.

    Attributes:
        prompts: Object -> prompts.
        slices: Object -> first and last slice, of boxes in millimetres.
    """

    prompts: dict[int, list[AnyPrompt]] = field(factory=dict)
    slices: dict[int, tuple[int, int]] = field(factory=dict)


def on_image(asked: Sequence[Asked], image: Image) -> Built:
    """Prompts on a picture."""
    built = Built()
    for one in asked:
        if one.kind == "--mask":
            prompt: AnyPrompt = MaskPrompt(_labels(one, Path(one.text), image))
        else:
            numbers, k = _numbers(one)
            if k not in (None, 0):
                msg = f"{one.kind} {one.text}: a picture has no slice {k}."
                raise InvalidPrompt(msg)
            prompt = _flat(one, numbers)
        built.prompts.setdefault(one.name, []).append(prompt)
    return built


def on_frames(asked: Sequence[Asked], first: Image) -> Built:
    """Prompts in a video: without `@frame` on frame 0."""
    built = Built()
    for one in asked:
        if one.kind == "--mask":
            path, k = path_and_slice(one.text)
            prompt: AnyPrompt = MaskPrompt(_labels(one, path, first)).at(k or 0)
        else:
            numbers, k = _numbers(one)
            prompt = _flat(one, numbers).at(k or 0)
        built.prompts.setdefault(one.name, []).append(prompt)
    return built


def on_volume(asked: Sequence[Asked], volume: Volume, space: world.Space | None) -> Built:
    """Prompts in a volume, in voxels or, where a space is given, in millimetres."""
    built = Built()
    for one in asked:
        if one.kind == "--mask":
            prompt: AnyPrompt = _mask_on(one, volume)
        elif space is not None:
            prompt = _in_world(one, volume, space, built.slices)
        else:
            numbers, k = _numbers(one)
            if k is None and volume.shape[0] > 1:
                msg = f"{one.kind} {one.text}: on which slice? For example {one.text}@57."
                raise InvalidPrompt(msg)
            prompt = _flat(one, numbers).at(k or 0)
        built.prompts.setdefault(one.name, []).append(prompt)
    return built


def _numbers(one: Asked) -> tuple[list[float], int | None]:
    words, example, count, *_ = _SHAPES[one.kind]
    text, at, index = one.text.partition("@")
    try:
        numbers = [float(n) for n in text.split(",")]
        k = int(index) if at else None
    except ValueError:
        numbers, k = [], None
    if len(numbers) != count or (at and k is None):
        msg = (
            f"{one.kind} {one.text}: {words}@slice is needed, for example {example}@57. "
            "x is the column, y the row; slices and frames count from 0."
        )
        raise NotUnderstood(msg)
    return numbers, k


def _flat(one: Asked, numbers: list[float]) -> Box | Point:
    if one.kind == "--box":
        return Box(*numbers)
    x, y = numbers
    return Point(x, y, positive=one.kind == "--point")


def _millimetres(one: Asked) -> list[float]:
    *_, words, count = _SHAPES[one.kind]
    try:
        numbers = [float(n) for n in one.text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        msg = f"{one.kind} {one.text}: with --world it is {words}, in millimetres."
        raise NotUnderstood(msg)
    return numbers


def _in_world(
    one: Asked, volume: Volume, space: world.Space, slices: dict[int, tuple[int, int]]
) -> Placed[Box] | Placed[Point]:
    numbers = _millimetres(one)
    if one.kind != "--box":
        return world.point(volume, numbers, space=space, positive=one.kind == "--point")
    ends = np.array(numbers).reshape(2, 3)
    bounds = np.stack([ends.min(axis=0), ends.max(axis=0)], axis=1)
    region = world.box(volume, world.corners_of_bounds(bounds), space=space)
    if region.slices[0] < region.slices[1]:
        slices[one.name] = region.slices
    return region.prompt


def path_and_slice(text: str) -> tuple[Path, int | None]:
    """A mask's file, and the number after the @ if there is one."""
    path, at, index = text.rpartition("@")
    if at and index.isdecimal() and not Path(text).exists():
        return Path(path), int(index)
    return Path(text), None


def _mask_on(one: Asked, volume: Volume) -> Placed[MaskPrompt]:
    path, k = path_and_slice(one.text)
    mask = _labels(one, path, volume)
    if k is None:
        k = prompt_slice(mask.any(axis=(1, 2)))
    if not 0 <= k < volume.shape[0]:
        msg = f"--mask {one.text}: there is no slice {k}, the volume has {volume.shape[0]}."
        raise InvalidPrompt(msg)
    return MaskPrompt(mask[k]).at(k)


def _labels(one: Asked, path: Path, like: Volume | Image) -> Any:  # noqa: ANN401 -- any rank
    """The object in a label map: by its number, or whatever there is one of."""
    labels = read_labels(path, like=like).labels
    present = np.unique(labels[labels > 0]).tolist()
    if one.name in present:
        return labels == one.name
    if len(present) == 1:
        return labels > 0
    msg = f"--mask {one.text}: object {one.name} is not in it; there is {present or 'nothing'}."
    raise InvalidPrompt(msg)
