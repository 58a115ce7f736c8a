"""The best, the median and the worst case of each modality, to look at."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from PIL import Image as Pillow

from medsegany.benchmark._manifest import Kind, Manifest
from medsegany.benchmark._measure import Opened, opened
from medsegany.benchmark._results import Measurement
from medsegany.benchmark._tables import by_case
from medsegany.overlays import contact_sheet, overlay
from medsegany.prompts import Box
from medsegany.types import Image, Mask

_SIDE = 256


@frozen(eq=False)
class Shown:
    """One case as a picture.

    Attributes:
        rank: "best", "median" or "worst".
        case: Its name.
        modality: Of the case.
        kind: Likewise.
        index: The slice or frame that is shown; 0 in an image.
        model: Whose masks they are.
        dsc: Mean over its objects.
        picture: uint8 `(256, 2 * 256 + 4, 3)`: the reference on the left, what was found on the
            right, with the boxes.
    """

    rank: str
    case: str
    modality: str
    kind: Kind
    index: int
    model: str
    dsc: float
    picture: Image = field(repr=False)


def best_and_worst(
    rows: Sequence[Measurement], model: str, manifest: Manifest, masks: Path
) -> list[Shown]:
    """Like figures 3b and 4 of the paper, of each modality and kind.

    Args:
        rows: Of one protocol.
        model: The model that is looked at.
        manifest: Of the cases.
        masks: The folder with the masks of this model and protocol; cases without are left out.
    """
    cases = {case.id: case for case in manifest}
    mine = [row for row in rows if row.status == "ok" and row.model == model]
    found = []
    for kind, modality in sorted({(row.kind, row.modality) for row in mine}):
        here = [row for row in mine if (row.kind, row.modality) == (kind, modality)]
        ranked = sorted(
            (mean, case)
            for (case, _), (mean, _) in by_case(here, "dsc").items()
            if case in cases and (masks / f"{case}.npz").exists()
        )
        if not ranked:
            continue
        places = {"best": -1, "median": (len(ranked) - 1) // 2, "worst": 0}
        few = {1: ("best",), 2: ("best", "worst")}
        for rank in few.get(len(ranked), tuple(places)):
            dsc, name = ranked[places[rank]]
            what = opened(cases[name], manifest.path(cases[name]))
            objects = [row for row in here if row.case == name]
            with np.load(masks / f"{name}.npz", allow_pickle=False) as file:
                found_masks = {row.label: file[str(row.label)] for row in objects}
            index = max(objects, key=lambda row: row.voxels).index
            picture = _picture(what, objects, found_masks, index)
            found.append(Shown(rank, name, modality, kind, index, model, dsc, picture))
    return found


def _picture(what: Opened, objects: Sequence[Measurement], masks: dict[int, Mask], k: int) -> Image:
    """The slice of this number."""
    flat = what.case.kind == "2d"
    image = what.image if flat else what.image[k]
    truth = what.truth if flat else what.truth[k]
    reference = np.where(np.isin(truth, [row.label for row in objects]), truth, 0)
    found = np.zeros(truth.shape, np.int64)
    for row in sorted(objects, key=lambda row: -row.voxels):  # small ones on top
        mask = masks[row.label]
        found[mask if flat else mask[k]] = row.label
    boxes = [Box(*row.box) for row in objects if row.index == k]
    numbers = {label: n for n, label in enumerate(sorted(masks), 1)}  # colours of their own
    thickness = max(1, round(max(truth.shape) / _SIDE))
    sides = [
        overlay(image, _renamed(labels, numbers), boxes=drawn, thickness_px=thickness)
        for labels, drawn in ((reference, []), (found, boxes))
    ]
    return contact_sheet([_square(side) for side in sides], columns=2)


def _renamed(labels: NDArray[np.integer], numbers: dict[int, int]) -> NDArray[np.integer]:
    renamed = np.zeros(labels.shape, np.int64)
    for label, number in numbers.items():
        renamed[labels == label] = number
    return renamed


def _square(picture: Image) -> Image:
    """Scaled into a square, with its aspect kept, on black."""
    height, width = picture.shape[:2]
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(Pillow.fromarray(picture).resize(size, Pillow.Resampling.LANCZOS))
    square = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    y, x = (_SIDE - small.shape[0]) // 2, (_SIDE - small.shape[1]) // 2
    square[y : y + small.shape[0], x : x + small.shape[1]] = small
    return square
