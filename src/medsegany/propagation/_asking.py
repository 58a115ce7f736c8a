"""What a user asks of a volume, checked before anything is computed."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsegany._segmentations import as_mask_prompts, join, sought_in
from medsegany._validate import as_whole
from medsegany.errors import InvalidInput, InvalidPrompt
from medsegany.prompts import (
    MaskPrompt,
    ObjectPrompts,
    Prompts,
    by_object,
    on_stack,
    prompt_slice,
)
from medsegany.protocols import Init, Segmenter, Slices
from medsegany.results import Segmentation
from medsegany.types import Stack
from medsegany.volume import Volume

Asked = dict[int, dict[int, ObjectPrompts]]
"""Object id -> slice -> what is asked there."""


def in_turn(slices: Mapping[int, Sequence[int]]) -> Iterator[tuple[int, list[int]]]:
    """Slices and the objects to prompt there: each object's in its order, together where it fits.

    SAM2's memory adds its prompted slices up in the order in which they came, and a sum's last bits
    depend on that.

    Args:
        slices: Object id -> its prompted slices, in the order of prompting.
    """
    left = {name: deque(at) for name, at in slices.items()}
    while any(left.values()):
        k = next(at[0] for at in left.values() if at)
        names = [name for name, at in left.items() if at and at[0] == k]
        for name in names:
            left[name].popleft()
        yield k, names


def prompts_of(
    stack: Stack,
    prompts: Prompts | None,
    init: Init,
    initializer: Segmenter | None,
    reference: NDArray[Any] | Volume | None,
) -> Asked:
    """The prompts by object and slice; with `init="gt"` the reference's masks."""
    if initializer is not None and init != "medsam":
        msg = f'initializer= is used by init="medsam" only, and init is "{init}".'
        raise InvalidInput(msg)
    if reference is not None and init != "gt":
        msg = f'reference= is used by init="gt" only, and init is "{init}".'
        raise InvalidInput(msg)
    if init == "gt":
        return _from_reference(stack, prompts, reference)
    if prompts is None:
        msg = 'No prompts. They may be left out only with init="gt", which reads the reference.'
        raise InvalidPrompt(msg)
    if init == "medsam" and initializer is None:
        msg = (
            'init="medsam" needs the model that makes the mask: '
            'initializer=medsegany.load("medsam", checkpoint=...), or any other segmenter.'
        )
        raise InvalidInput(msg)
    return on_stack(prompts, (stack.shape[1], stack.shape[2]), length=len(stack))


def initialised(
    stack: Stack, asked: Asked, initializer: Segmenter
) -> tuple[Asked, dict[int, Segmentation]]:
    """Masks of another model as prompts, and slice by slice what that model said of them."""
    known: dict[int, Segmentation] = {}
    started: Asked = {name: dict(at) for name, at in asked.items()}
    for k in sorted({k for at in asked.values() for k in at}):
        # A mask that is given needs nobody to make it.
        here = sought_in({name: at[k] for name, at in asked.items() if k in at})
        if not here:
            continue
        known[k] = join(k, initializer.embed(stack[k]).segment(here))
        for name, prompt in as_mask_prompts(known[k]).items():
            started[name][k] = ObjectPrompts(mask=prompt)
    return started, known


def _from_reference(
    stack: Stack, prompts: Prompts | None, reference: NDArray[Any] | Volume | None
) -> Asked:
    if reference is None:
        msg = 'init="gt" needs reference=, the true labels as a (D, H, W) array of integers.'
        raise InvalidInput(msg)
    truth = reference.voxels if isinstance(reference, Volume) else np.asarray(reference)
    if truth.shape != stack.shape[:3]:
        msg = f"The reference is {truth.shape}, the volume {stack.shape[:3]}."
        raise InvalidInput(msg)
    if truth.dtype.kind not in "biu" or truth.min() < 0:
        msg = (
            "The reference holds whole numbers from 0 (integers), one per object, "
            f"got {truth.dtype} from {truth.min()}."
        )
        raise InvalidInput(msg)
    if prompts is None:
        slices = {
            int(name): [prompt_slice((truth == name).sum(axis=(1, 2)))]
            for name in np.unique(truth)
            if name != 0
        }
        if not slices:
            msg = "The reference holds no object."
            raise InvalidInput(msg)
    else:
        slices = _places(prompts, len(stack))
    asked: Asked = {}
    for name, at in slices.items():
        masks = {k: truth[k] == name for k in at}
        for k, mask in masks.items():
            if not mask.any():
                msg = f"The reference has no object {name} on slice {k}, where it is prompted."
                raise InvalidPrompt(msg)
        asked[name] = {k: ObjectPrompts(mask=MaskPrompt(masks[k])) for k in at}
    return asked


def _places(prompts: Prompts, length: int) -> dict[int, list[int]]:
    """Object id -> prompted slices; what is prompted there does not matter."""
    places: dict[int, list[int]] = {}
    for name, at in by_object(prompts).items():
        for k in at:
            if k is None or k >= length:
                msg = f"Object {name} is not placed on one of the {length} slices: use .at(index)."
                raise InvalidPrompt(msg)
            places.setdefault(name, []).append(k)
    return places


def check_not_all_empty(asked: Asked) -> None:
    """Refuse an object whose every prompt says that it is not there."""
    for name, at in asked.items():
        if all(here.mask is not None and not here.mask.mask.any() for here in at.values()):
            msg = f"Object {name} is given nothing but empty masks: there is nothing to carry."
            raise InvalidPrompt(msg)


def spans_of(slices: Slices | None, asked: Asked, length: int) -> dict[int, tuple[int, int]]:
    """Object id -> first and last slice; nothing for objects of which none are given."""
    if slices is None:
        return {}
    if not isinstance(slices, Mapping):
        slices = dict.fromkeys(asked, slices)
    if strangers := slices.keys() - asked.keys():
        msg = f"slices are given for object {min(strangers)}, prompts for {sorted(asked)}."
        raise InvalidInput(msg)
    spans: dict[int, tuple[int, int]] = {}
    for name, given in slices.items():
        first, last = _ends(given)
        if not 0 <= first <= last < length:
            msg = (
                f"slices of object {name} are ({first}, {last}): both count from 0, both are "
                f"included, and the stack has {length} (0 to {length - 1})."
            )
            raise InvalidInput(msg)
        outside = [k for k in asked[name] if not first <= k <= last]
        if outside:
            msg = f"Object {name} is prompted on slice {outside[0]}, outside ({first}, {last})."
            raise InvalidPrompt(msg)
        spans[name] = (first, last)
    return spans


def _ends(given: object) -> tuple[int, int]:
    if isinstance(given, (tuple, list)) and len(given) == 2:
        first, last = (as_whole(k) for k in given)
        if first is not None and last is not None:
            return first, last
    msg = f"slices are (first, last), two whole numbers, got {given!r}."
    raise InvalidInput(msg)
