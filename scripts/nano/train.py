"""Train nano from nothing, in stages that each begin with the last one's weights.

    uv run python scripts/nano/train.py ../shared/data/train runs/nano --stage 1
    uv run python scripts/nano/train.py ../shared/data/train runs/nano --stage 2
    uv run python scripts/nano/train.py ../shared/data/train runs/nano --stage 2 --minutes 60

A stage that is stopped goes on with the same line. Between stages only averaged weights survive.
"""

import argparse
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from attrs import evolve, field, frozen
from ending import ending
from moving import Volumes
from neighbours import Neighbours
from pools import Pools, pictures
from rich.progress import Progress as Bar
from safetensors.torch import load_file
from sam2.modeling.sam2_utils import DropPath
from synthetic import COMPACT, THIN, Synthetic

from medsegany.backends.sam2 import Crop, Sam2Segmenter, SAM2VideoPredictor, build
from medsegany.backends.sam2._tiles import inside
from medsegany.cards import NANO
from medsegany.metrics import dsc
from medsegany.prompts import Box, ObjectPrompts, box_from_mask
from medsegany.testing.models import tiny_sam2
from medsegany.training import Augmentation, BoxJitter, Clip, Machine, Recipe, cut_out, train

EVERYTHING = ("image_encoder", "prompt_encoder", "mask_decoder", "memory")


@frozen
class Stage:
    """One stage.

    Attributes:
        image_size: Side of the square that the model looks at.
        steps: Of the optimiser.
        recipe: How it is trained.
        augmentation: How images are changed.
        changed: Part of the images that are.
        cut_out: Part of the images of which the surroundings of the object are shown, and not all.
        skipped: Part of the encoder's blocks that are skipped, by chance, while it learns.
        shapes: Of what is drawn.
        filled: Part of the drawn scenes where what an object encloses is of another tissue.
        vessels: How often trees of vessels are seen, as a part of what is usual.
        regions: Part of the real images whose object is a region that looks alike.
        remapped: Part of the images whose brightnesses get others.
        near: Part of the images of which a window into the object is shown.
        neighbours: Part of the clips that are slices of real volumes, as pools have them.
        ending: Part of the real clips whose object is made to end.
    """

    image_size: int
    steps: int
    recipe: Recipe
    augmentation: Augmentation = field(factory=Augmentation)
    changed: float = 0.5
    cut_out: float = 0.9
    skipped: float = 0.0
    shapes: Sequence[str] = COMPACT
    filled: float = 0.0
    vessels: float = 0.25
    regions: float = 0.0
    remapped: float = 0.0
    near: float = 0.0
    neighbours: float = 0.0
    ending: float = 0.0


_COMMON = Recipe(
    weight_decay=0.05,
    train=EVERYTHING,
    prompts={"box": 0.9, "point": 0.05, "clicks": 0.05},
    jitter=BoxJitter(outward_px=0, fraction=0.02),
    augmentation=None,  # done here, before anything is cut out
    warmup=0.03,
    patience=None,
    average=0.999,
    reprompt=0.05,
)
STAGES = {
    # Harder than was good: the images it learnt from were segmented no better than others. Kept as
    # it was, since the other stages begin with its weights.
    1: Stage(
        128,
        4000,
        evolve(
            _COMMON,
            batch=8,
            learning_rate=1e-3,
            frames=1,
            clips=0.0,
            prompts={"box": 0.8, "point": 0.1, "clicks": 0.1},
        ),
        Augmentation(degrees=25, scale=1.3, intensity=0.4, noise=10, blur=1.5),
        changed=0.9,
        cut_out=0.8,
        skipped=0.1,
    ),
    2: Stage(128, 4500, evolve(_COMMON, batch=8, learning_rate=1e-3, frames=1, clips=0.0)),
    3: Stage(192, 2500, evolve(_COMMON, batch=8, learning_rate=5e-4, frames=3, clips=0.3)),
    4: Stage(192, 4500, evolve(_COMMON, batch=8, learning_rate=6e-4, frames=4, clips=0.35)),
    # What the fourth could not do: what is thin, hollow or in pieces, and images of other kinds
    # than those of the pools.
    5: Stage(
        192,
        4400,
        evolve(
            _COMMON,
            batch=8,
            learning_rate=8e-4,
            frames=4,
            clips=0.08,
            prompts={"box": 0.94, "point": 0.02, "clicks": 0.04},
        ),
        shapes=THIN,
        filled=0.5,
        vessels=1.0,
        regions=0.08,
        remapped=0.2,
    ),
    # What is thin, seen from near, and where objects end: the fifth could do neither. It begins
    # with what the fifth and the fourth gave together (`--weights`).
    6: Stage(
        192,
        5000,
        evolve(
            _COMMON,
            batch=8,
            learning_rate=6e-4,
            frames=4,
            clips=0.25,
            prompts={"box": 0.9, "point": 0.05, "clicks": 0.05},
            average=0.998,
        ),
        shapes=THIN,
        filled=0.5,
        vessels=0.25,
        regions=0.08,
        remapped=0.2,
        near=0.25,
        neighbours=0.4,
        ending=0.1,
    ),
}
_SCENES = 3000  # drawn once each; what is cut out of them differs every time
_LOOKS = Crop(1.4)
_LINES = ("Fundus", "OCT", "Ultrasound")  # what is thin there: vessels, the outline of a head


class Mixed:
    """A third drawn, the others real.

    Args:
        pools: The real images.
        volumes: Real volumes, for clips of several frames.
        neighbours: Slices that follow each other, for clips, too.
        drawn: Of images, by the number of frames.
        stage: How they are changed and cut out.
        seed: Of what is chosen, cut out and changed.
    """

    def __init__(
        self,
        pools: Pools,
        volumes: Volumes,
        neighbours: Neighbours,
        drawn: Synthetic,
        stage: Stage,
        *,
        seed: int,
    ) -> None:
        self._pools, self._volumes, self._neighbours = pools, volumes, neighbours
        self._stage, self._seed = stage, seed
        self._drawn = cache(drawn.clip)
        self._large = {"lines": pools.thin(_LINES), "thin": pools.thin()}

    def __len__(self) -> int:
        return self._stage.recipe.batch * 100  # are called an epoch

    def clip(self, number: int, frames: int) -> Clip:
        """See `medsegany.training.Clips`."""
        rng = np.random.default_rng([self._seed, number])
        stage = self._stage
        if frames == 1 and stage.near and rng.random() < stage.near:
            return self._near(number, rng)
        kinds = ("drawn", "pools", "volumes")
        kind = rng.choice(kinds, p=(0.3, 0.7, 0) if frames == 1 else (0.3, 0.4, 0.3))
        if frames > 1 and stage.neighbours and rng.random() < stage.neighbours:
            clip = self._neighbours.clip(number, frames)
        elif kind == "pools":
            clip = self._pools.clip(number, frames)
        elif kind == "volumes":
            clip = self._volumes.clip(number, frames)
        else:
            clip = self._drawn(int(rng.integers(_SCENES)) // frames, frames)
        if frames > 1 and stage.ending and kind != "drawn" and rng.random() < stage.ending:
            clip = ending(clip, rng)
        if stage.remapped and rng.random() < stage.remapped:
            clip = remapped(clip, rng)
        clip = stage.augmentation(clip, rng) if rng.random() < stage.changed else clip
        if rng.random() < stage.cut_out:
            # Frames of a clip need more room than an image does.
            times = rng.uniform(1.2, 1.7) if frames == 1 else rng.uniform(1.4, 2.0)
            return cut_out(
                clip, Crop(times, narrowest=rng.uniform(0.4, 1.0)), stage.image_size, rng
            )
        return cut_out(clip, None, stage.image_size, rng)

    def _near(self, number: int, rng: np.random.Generator) -> Clip:
        """A window into something large or thin, often a tree of vessels."""
        kind = rng.choice(("lines", "thin", "drawn", "pools"), p=(0.45, 0.15, 0.25, 0.15))
        if kind == "drawn":
            clip = self._drawn(int(rng.integers(_SCENES)), 1)
        else:
            clip = self._large.get(kind, self._pools).clip(number, 1)
        stage = self._stage
        if rng.random() < 0.3:
            clip = remapped(clip, rng)
        clip = stage.augmentation(clip, rng) if rng.random() < stage.changed else clip
        return tile(clip, stage.image_size, rng)


def tile(clip: Clip, side: int, rng: np.random.Generator) -> Clip:
    """A part of the object's box as a square of this side, half of them on the object.

    It is prompted as `medsegany.backends.sam2.Tiles` are: by what of the box lies in it, whether or
    not anything of the object does.
    """
    mask = clip.masks[0]
    if not mask.any():
        return clip
    box = box_from_mask(mask)
    wide = max(box.x1 - box.x0, box.y1 - box.y0) + 1
    near = max(16, round(wide * float(np.exp(rng.uniform(np.log(0.15), np.log(0.5))))))
    if rng.random() < 0.5:
        y, x = rng.permutation(np.argwhere(mask))[0] + rng.integers(-near // 3, near // 3, 2)
    else:
        x, y = rng.uniform((box.x0, box.y0), (box.x1, box.y1))
    x, y = np.clip((x, y), (box.x0, box.y0), (box.x1, box.y1))
    part = Crop(near, narrowest=1.0).around(Box(x, y, x, y), (mask.shape[0], mask.shape[1]))
    return evolve(
        clip,
        frames=np.stack([part.square(frame, side) for frame in clip.frames]),
        masks=np.stack([part.square_mask(mask, side) for mask in clip.masks]),
        box=part.in_square(ObjectPrompts(box=inside(box, part)), side).box,
        source=None,
    )


def remapped(clip: Clip, rng: np.random.Generator) -> Clip:
    """What another machine might show: each brightness becomes another, in order, or nearly."""
    knots = np.concatenate(([0.0], np.sort(rng.uniform(0.05, 0.95, 4)), [1.0]))
    values = np.sort(rng.uniform(0, 1, len(knots)))
    if rng.random() < 0.4:  # two tissues change places
        values = values + rng.normal(0, 0.25, len(knots))
    if rng.random() < 0.5:
        values = values[::-1]
    table = 255 * np.clip(np.interp(np.linspace(0, 1, 256), knots, values), 0, 1)
    return evolve(clip, frames=table.astype(np.uint8)[clip.frames], source=None)


def validation(  # noqa: ANN201 -- a `Validate`
    images: Sequence[Clip], clips: Sequence[Clip], *, by_both: bool
):
    """Mean over modalities of the DSC of held-out images, with their tight boxes.

    Clips are followed from the box of their first frame. That number is for the log, or, with
    `by_both`, half of what decides; then frames count, too, where the object is absent.
    """

    def measure(upstream: SAM2VideoPredictor) -> dict[str, float]:
        segmenter = Sam2Segmenter(upstream, "nano", box_hint=True, crop=_LOOKS)
        scores: dict[str, list[float]] = {}
        for clip in images:
            found = segmenter.segment_2d(clip.frames[0], box_from_mask(clip.masks[0]))
            kind = clip.origin.split("_")[0]
            scores.setdefault(kind, []).append(dsc(found.mask, clip.masks[0]))
        means = {kind: float(np.mean(values)) for kind, values in scores.items()}
        followed = [
            dsc(found.mask, mask) if mask.any() else float(not found.mask.any())
            for clip in clips
            for found, mask in zip(
                segmenter.track_video(clip.frames, box_from_mask(clip.masks[0])),
                clip.masks,
                strict=True,
            )
            if found.index and (by_both or mask.any())
        ]
        print({kind: round(mean, 3) for kind, mean in means.items()}, flush=True)
        prompted, tracked = float(np.mean(list(means.values()))), float(np.mean(followed))
        chosen = (prompted + tracked) / 2 if by_both else prompted
        return {"dsc": chosen, "prompted_dsc": prompted, "tracked_dsc": tracked}

    return measure


def main() -> None:
    """Train one stage."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path, help="The folder of the pools.")
    options.add_argument("runs", type=Path, help="Where stages are kept.")
    options.add_argument("--stage", type=int, choices=list(STAGES), required=True)
    options.add_argument("--weights", type=Path, help="To begin with, instead of the last stage's.")
    options.add_argument("--steps", type=int, help="Instead of the stage's own, in hundreds.")
    options.add_argument("--minutes", type=float)
    options.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    stage = STAGES[given.stage]
    steps = given.steps or stage.steps
    begin = given.weights or given.runs / f"stage-{given.stage - 1}" / "best.safetensors"
    if given.stage == 1 and given.weights is None:
        model = tiny_sam2(0, image_size=stage.image_size)
    else:
        model = build(NANO, stage.image_size)
        model.load_state_dict(load_file(begin))
    if stage.skipped:
        for block in model.image_encoder.trunk.blocks:
            block.drop_path = DropPath(stage.skipped)
    volumes = given.data / "mr3d_msd_hippocampus.npz"
    learnt_from = pictures(given.data, held_out=False)
    clips = Mixed(
        Pools(
            learnt_from,
            seed=10 * given.stage,
            vessels=stage.vessels,
            regions=stage.regions,
        ),
        Volumes(volumes, 10 * given.stage, held_out=False),
        Neighbours(learnt_from, 10 * given.stage),
        Synthetic(given.stage, size=192, shapes=stage.shapes, filled=stage.filled),
        stage,
        seed=given.stage,
    )
    held_out = Pools(pictures(given.data, held_out=True), seed=2)
    images = [held_out.clip(n, 1) for n in range(240)]
    moving = [held_out.clip(n, 5) for n in range(240, 260)]
    slices = Volumes(volumes, 2, held_out=True)
    moving += [slices.clip(n, 5) for n in range(20)]
    if stage.ending:
        rng = np.random.default_rng(2)
        moving = [ending(clip, rng) if n % 2 else clip for n, clip in enumerate(moving)]
    with Bar() as bar:
        task = bar.add_task(f"stage {given.stage}", total=steps)
        outcome = train(
            model,
            clips,
            evolve(stage.recipe, epochs=steps // 100),
            given.runs / f"stage-{given.stage}",
            machine=Machine(precision=given.precision),
            seed=given.stage,
            box_hint=True,
            validate=validation(images, moving, by_both=stage.ending > 0),
            validate_every=1000,
            minutes=given.minutes,
            on_progress=lambda p: bar.update(task, completed=p.done, description=p.stage),
        )
    print(outcome)


if __name__ == "__main__":
    main()
