"""Measure weights on what was held out of the pools: by this, and not by `EVAL`, one chooses.

    uv run python scripts/nano/held_out.py ../shared/data/train runs/nano/stage-6/best.safetensors
    uv run python scripts/nano/held_out.py DATA stage-6.safetensors --before mixed.safetensors \
        --keep 0 0.25 0.5

With `--before`, means of both are measured, too. Images are prompted by their tight boxes, and some
by a click into their middle; what is bent or hollow in them is measured alone, too; radiographs and
skin, of which nothing is held out, are drawn. Volumes are prompted by a box on their middle slice,
once with their first and last slice given, and once without; slices that follow each other by one
on the middle one, all of them given; and films, which are images in motion, by one on their first
frame.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from moving import Volumes
from neighbours import Neighbours
from numpy.typing import NDArray
from pools import Pools, pictures
from projected import radiograph
from scipy import ndimage
from skin import skin
from weights import read

import medsegany
from medsegany.backends.sam2 import Sam2Segmenter
from medsegany.metrics import dsc
from medsegany.prompts import Box, Point, box_from_mask, boxes_from_labels
from medsegany.propagation import ByBox, ByMemory
from medsegany.training import Clip
from medsegany.training._weights import between
from medsegany.types import Mask

_WAYS = {"memory": ByMemory(), "boxes": ByBox()}


def main() -> None:
    """Measure each of the weights, and print a line of each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path, help="The folder of the pools.")
    options.add_argument("weights", type=Path, nargs="+")
    options.add_argument("--before", type=Path, help="Weights to be mixed in.")
    options.add_argument("--keep", type=float, nargs="+", default=[0.0], help="Parts of those.")
    options.add_argument("--images", type=int, default=500)
    options.add_argument("--clicks", type=int, default=150, help="Images that are clicked on, too.")
    options.add_argument("--films", type=int, default=80)
    options.add_argument("--hollow", type=int, default=150, help="Bent or hollow parts of images.")
    options.add_argument("--drawn", type=int, default=120, help="Radiographs, and images of skin.")
    options.add_argument("--image-size", type=int, help="Not that of the card.")
    options.add_argument(
        "--best-of-three",
        action="store_true",
        help="Where the mask is not stable, take the best of three others, as SAM 2 does.",
    )
    options.add_argument("--only", choices=("images", "stacks"))
    given = options.parse_args()
    found = pictures(given.data, held_out=True)
    pools = Pools(found, seed=3, vessels=1.0)
    images = [pools.clip(n, 1) for n in range(given.images)]
    bent = pools.hollow()
    hollow = [bent.clip(n, 1) for n in range(given.hollow)]
    drawn = {
        draw.__name__: [draw(np.random.default_rng([999, n]), 224) for n in range(given.drawn)]
        for draw in (radiograph, skin)
    }
    films = [pools.clip(n, 8) for n in range(given.films)]
    volumes = Volumes(given.data / "mr3d_msd_hippocampus.npz", 0, held_out=True)
    stacks = list(Neighbours(found, 0).whole())
    for path in given.weights:
        for keep in given.keep:
            state = read(path)
            if given.before is not None:
                state = between(state, read(given.before), keep)
            nano = medsegany.load("nano", image_size=given.image_size)
            assert isinstance(nano, Sam2Segmenter)
            nano.upstream.load_state_dict(state)
            decoder = nano.upstream.sam_mask_decoder
            decoder.dynamic_multimask_via_stability = given.best_of_three
            scores: dict[str, float] = {}
            if given.only != "stacks":
                scores["images"] = of_images(nano, images, box_from_mask)
                scores["hollow"] = of_images(nano, hollow, box_from_mask)
                scores |= {
                    name: of_images(nano, many, box_from_mask) for name, many in drawn.items()
                }
                scores["clicks"] = of_images(nano, images[: given.clicks], click)
            if given.only != "images":
                scores |= of_volumes(nano, volumes)
                scores |= of_stacks(nano, stacks)
                scores |= of_films(nano, films)
            numbers = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
            print(f"{path.parent.name}/{path.name}, {keep:g} kept: {numbers}", flush=True)


def click(mask: Mask) -> Point:
    """The pixel of the object that is farthest from its border."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), mask.shape)
    return Point(int(column), int(row))


def of_images(
    nano: Sam2Segmenter, images: Sequence[Clip], prompt: Callable[[Mask], Box | Point]
) -> float:
    """Mean over modalities of the mean DSC."""
    scores: dict[str, list[float]] = {}
    for clip in images:
        mask = nano.segment_2d(clip.frames[0], prompt(clip.masks[0])).mask
        kind = clip.origin.split("_")[0]
        scores.setdefault(kind, []).append(dsc(mask, clip.masks[0]))
    return float(np.mean([np.mean(many) for many in scores.values()])) if scores else float("nan")


def of_volumes(nano: Sam2Segmenter, volumes: Volumes) -> dict[str, float]:
    """Mean DSC, by how a volume is crossed and what is known of its object."""
    scores: dict[str, list[float]] = {}
    for volume, labels in volumes.whole():
        truth = labels > 0
        there = np.flatnonzero(truth.any((1, 2)))
        for ends, span in (("given", (int(there[0]), int(there[-1]))), ("not given", None)):
            for name, value in _crossed(nano, volume, truth, span).items():
                scores.setdefault(f"{name}, ends {ends}", []).append(value)
    return {name: float(np.mean(many)) for name, many in scores.items()}


def of_stacks(nano: Sam2Segmenter, stacks: Sequence[Clip]) -> dict[str, float]:
    """Mean DSC of slices that follow each other; every one has its object."""
    scores: dict[str, list[float]] = {}
    for clip in stacks:
        for name, value in _crossed(nano, clip.frames, clip.masks, None).items():
            scores.setdefault(f"{name}, slices", []).append(value)
    return {name: float(np.mean(many)) for name, many in scores.items()}


def _crossed(
    nano: Sam2Segmenter,
    volume: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    span: tuple[int, int] | None,
) -> dict[str, float]:
    prompt = boxes_from_labels(truth.astype(np.uint8), "middle")[1]
    return {
        name: dsc(nano.segment_volume(volume, prompt, slices=span, propagation=way).mask, truth)
        for name, way in _WAYS.items()
    }


def of_films(nano: Sam2Segmenter, films: Sequence[Clip]) -> dict[str, float]:
    """Mean DSC of all frames but the first; the object is in nearly all of them."""
    scores: dict[str, list[float]] = {}
    for clip in films:
        for name, way in _WAYS.items():
            found = nano.track_video(clip.frames, box_from_mask(clip.masks[0]), propagation=way)
            masks = np.stack([frame.mask for frame in found])
            scores.setdefault(f"{name}, films", []).append(dsc(masks[1:], clip.masks[1:]))
    return {name: float(np.mean(many)) for name, many in scores.items()}


if __name__ == "__main__":
    main()
