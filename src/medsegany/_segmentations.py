"""Segmentations that no model made: given masks, nothing at all, and several in one."""

from collections.abc import Mapping

import numpy as np
from attrs import evolve

from medsegany.prompts import MaskPrompt
from medsegany.results import Segmentation
from medsegany.types import Mask

_LOGIT = np.float32(10.0)  # SAM2's own value for a mask that it is given


def nothing(index: int = 0) -> Segmentation:
    """No objects."""
    return Segmentation({}, {}, {}, {}, index=index)


def given(masks: Mapping[int, Mask], *, verbatim: bool = True) -> Segmentation:
    """Masks that nobody predicted, with logits of +10 and -10."""
    return Segmentation(
        masks=dict(masks),
        scores=dict.fromkeys(masks, float("nan")),
        presence=dict.fromkeys(masks, float("nan")),
        logits={name: np.where(mask, _LOGIT, -_LOGIT) for name, mask in masks.items()},
        verbatim=frozenset(masks) if verbatim else frozenset(),
    )


def join(index: int, *parts: Segmentation) -> Segmentation:
    """One segmentation of several; of an object that is in two, the later one counts."""
    whole = nothing(index)
    for part in parts:
        kept = whole.verbatim - part.masks.keys()
        low_res = {n: v for n, v in whole.low_res_logits.items() if n not in part.masks}
        whole = Segmentation(
            masks={**whole.masks, **part.masks},
            scores={**whole.scores, **part.scores},
            presence={**whole.presence, **part.presence},
            logits={**whole.logits, **part.logits},
            low_res_logits={**low_res, **part.low_res_logits},
            index=index,
            verbatim=kept | part.verbatim,
        )
    return whole


def as_given(found: Segmentation) -> Segmentation:
    """The same masks, now said to be given: they win over predicted ones."""
    return evolve(found, verbatim=frozenset(found.masks))


def as_mask_prompts(found: Segmentation) -> dict[int, MaskPrompt]:
    """The masks as prompts."""
    return {name: MaskPrompt(mask) for name, mask in found.masks.items()}
