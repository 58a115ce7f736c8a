"""How good a model is on cases that it does not learn from, as it will be used."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsegany import metrics
from medsegany.backends.sam2 import SAM2VideoPredictor
from medsegany.errors import InvalidInput
from medsegany.prompts import Box, box_from_mask
from medsegany.propagation import ByMemory
from medsegany.protocols import Segmenter
from medsegany.training._store import StoredCase

_CLIP = 8  # slices that an object is carried through


def validation(
    cases: Sequence[StoredCase],
    labels: Sequence[int],
    *,
    smallest_px: int,
    at_most: int,
    clips: bool,
    segmenter_of: Callable[[SAM2VideoPredictor], Segmenter],
    seed: int,
) -> Callable[[SAM2VideoPredictor], Mapping[str, float]]:
    """A function that measures a model on slices of cases, always the same ones.

    Args:
        cases: The validation cases.
        labels: Those that are asked for.
        smallest_px: Pixels that an object needs on a slice to be prompted there.
        at_most: How many slices are looked at, at least 1, chosen by chance from the seed.
        clips: Whether objects are carried through eight slices as well.
        segmenter_of: Makes of the model what will be used.
        seed: Of the choice.

    Returns:
        A function that gives "prompted_dsc", the mean over labels of the mean over slices, each
        with its tight box; with clips "tracked_dsc", the same for slices that a mask was carried
        to; and "dsc", the mean of what there is, since both are to become good.

    Raises:
        InvalidInput: No object of these labels is large enough.
    """
    places = [
        (case, k)
        for case in cases
        for k in range(case.depth)
        if case.prompted(k, labels, smallest_px)
    ]
    if not places:
        msg = (
            "The validation cases hold no object that is learnt: divide the cases in another way, "
            "or without validation."
        )
        raise InvalidInput(msg)
    chosen = np.random.default_rng([seed, 5]).permutation(len(places))[:at_most].tolist()
    picked = [places[n] for n in sorted(chosen)]
    stacks = [places[n] for n in chosen if places[n][0].depth > 1]
    stacks = stacks[: max(1, at_most // _CLIP)]

    def measure(upstream: SAM2VideoPredictor) -> Mapping[str, float]:
        segmenter = segmenter_of(upstream)
        prompted: dict[int, list[float]] = {}
        for case, k in picked:
            truth = np.asarray(case.labels[k])
            boxes = _boxes(truth, case.prompted(k, labels, smallest_px))
            found = segmenter.segment_2d(np.asarray(case.images[k]), boxes)
            for n, mask in found.masks.items():
                prompted.setdefault(n, []).append(metrics.dsc(mask, truth == n))
        alone = _mean(prompted)
        if not clips or not stacks:
            return {"dsc": alone, "prompted_dsc": alone}
        scores = _carried(segmenter, stacks, labels, smallest_px)
        if not scores:  # objects of one slice
            return {"dsc": alone, "prompted_dsc": alone}
        carried = _mean(scores)
        return {"dsc": (alone + carried) / 2, "prompted_dsc": alone, "tracked_dsc": carried}

    return measure


def _boxes(truth: NDArray[Any], labels: Sequence[int]) -> dict[int, Box]:
    return {n: box_from_mask(truth == n) for n in labels}


def _carried(
    segmenter: Segmenter,
    stacks: Sequence[tuple[StoredCase, int]],
    labels: Sequence[int],
    smallest_px: int,
) -> dict[int, list[float]]:
    """DSC on the slices that follow a prompted one, those that hold the object."""
    scores: dict[int, list[float]] = {}
    for case, k in stacks:
        last = min(k + _CLIP, case.depth) - 1
        first = k if last > k else max(0, k - _CLIP + 1)
        part = np.asarray(case.images[first : last + 1])
        truth = np.asarray(case.labels[first : last + 1])
        drawn = _boxes(truth[k - first], case.prompted(k, labels, smallest_px))
        boxes = {n: box.at(k - first) for n, box in drawn.items()}
        found = segmenter.segment_volume(
            part, boxes, slices=(0, len(part) - 1), propagation=ByMemory()
        )
        for n, masks in found.masks.items():
            for j, mask in enumerate(masks):
                if j != k - first and (truth[j] == n).any():
                    scores.setdefault(n, []).append(metrics.dsc(mask, truth[j] == n))
    return scores


def _mean(scores: Mapping[int, Sequence[float]]) -> float:
    return fmean(fmean(values) for values in scores.values())
