"""Segmentations that no model made: given masks, nothing, parts of others, several in one."""

from collections.abc import Iterable, Mapping

import numpy as np
from attrs import evolve

from medsegany.prompts import MaskPrompt, ObjectPrompts, Prompt
from medsegany.results import Segmentation
from medsegany.types import Mask

_LOGIT = np.float32(10.0)  # SAM2's own value for a mask that it is given


def nothing(index: int = 0) -> Segmentation:
    """No objects."""
    return Segmentation({}, {}, {}, {}, index=index)


def given(masks: Mapping[int, Mask], *, verbatim: bool = True) -> Segmentation:
    """Masks that nobody predicted, with logits of +10 and -10."""
    return Segmentation(
        masks={name: np.array(mask) for name, mask in masks.items()},
        scores=dict.fromkeys(masks, float("nan")),
        presence=dict.fromkeys(masks, float("nan")),
        logits={name: np.where(mask, _LOGIT, -_LOGIT) for name, mask in masks.items()},
        verbatim=frozenset(masks) if verbatim else frozenset(),
    )


def select(found: Segmentation, names: Iterable[int]) -> Segmentation:
    """Some of the objects, in the order of `names`."""
    names = list(names)
    return evolve(
        found,
        masks={name: found.masks[name] for name in names},
        scores={name: found.scores[name] for name in names},
        presence={name: found.presence[name] for name in names},
        logits={name: found.logits[name] for name in names},
        low_res_logits={n: found.low_res_logits[n] for n in names if n in found.low_res_logits},
        verbatim=found.verbatim.intersection(names),
    )


def without(found: Segmentation, name: int) -> Segmentation:
    """All objects but one."""
    return select(found, [other for other in found.masks if other != name])


def join(index: int, *parts: Segmentation) -> Segmentation:
    """One segmentation of several; of an object that is in two, the later one counts."""
    whole = nothing(index)
    for part in parts:
        kept = select(whole, [name for name in whole.masks if name not in part.masks])
        whole = Segmentation(
            masks={**kept.masks, **part.masks},
            scores={**kept.scores, **part.scores},
            presence={**kept.presence, **part.presence},
            logits={**kept.logits, **part.logits},
            low_res_logits={**kept.low_res_logits, **part.low_res_logits},
            index=index,
            verbatim=kept.verbatim | part.verbatim,
        )
    return whole


def given_in(prompts: Mapping[int, ObjectPrompts]) -> Segmentation:
    """The masks among some prompts, as they are."""
    return given({name: p.mask.mask for name, p in prompts.items() if p.mask is not None})


def sought_in(prompts: Mapping[int, ObjectPrompts]) -> dict[int, tuple[Prompt, ...]]:
    """The prompts that a model must answer: boxes and points."""
    return {name: p.as_prompts() for name, p in prompts.items() if p.mask is None}


def as_mask_prompts(found: Segmentation) -> dict[int, MaskPrompt]:
    """The masks as prompts."""
    return {name: MaskPrompt(mask) for name, mask in found.masks.items()}
