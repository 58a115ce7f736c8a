"""Train nano from nothing, in stages that each begin with the last one's weights.

    uv run python scripts/nano/train.py ../shared/data/train runs/nano --stage 1
    uv run python scripts/nano/train.py ../shared/data/train runs/nano --stage 2
    uv run python scripts/nano/train.py ../shared/data/train runs/nano --stage 2 --minutes 100

A stage that is stopped goes on with the same line. Between stages only averaged weights survive.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from attrs import evolve, frozen
from pools import Pools, pictures, window
from rich.progress import Progress as Bar
from safetensors.torch import load_file
from synthetic import Synthetic

from medsegany.backends.sam2 import Sam2Segmenter, SAM2VideoPredictor, build
from medsegany.cards import NANO
from medsegany.metrics import dsc
from medsegany.prompts import box_from_mask
from medsegany.testing.models import tiny_sam2
from medsegany.training import Augmentation, BoxJitter, Clip, Recipe, train

EVERYTHING = ("image_encoder", "prompt_encoder", "mask_decoder", "memory")


@frozen
class Stage:
    """One stage: how large images are, and how it is trained."""

    image_size: int
    steps: int
    recipe: Recipe


_COMMON = Recipe(
    batch=16,
    weight_decay=0.05,
    train=EVERYTHING,
    prompts={"box": 0.76, "point": 0.12, "clicks": 0.12},
    jitter=BoxJitter(outward_px=0, fraction=0.04),
    augmentation=None,  # done here, for real images more than for drawn ones
    warmup=0.03,
    patience=None,
    average=0.999,
    reprompt=0.05,
)
STAGES = {
    1: Stage(128, 4200, evolve(_COMMON, learning_rate=1e-3, frames=1, clips=0.0)),
    2: Stage(128, 1500, evolve(_COMMON, learning_rate=5e-4, frames=3, clips=0.5)),
    3: Stage(192, 2500, evolve(_COMMON, learning_rate=5e-4, frames=1, clips=0.0)),
    4: Stage(256, 1500, evolve(_COMMON, learning_rate=3e-4, frames=3, clips=0.3)),
}


class Mixed:
    """Half drawn, half real; clips of several frames are drawn.

    Args:
        pools: The real images.
        drawn: The others.
        seed: Of what is chosen, cut out and changed.
        epoch: How many clips are called an epoch.
    """

    def __init__(self, pools: Pools, drawn: Synthetic, seed: int, epoch: int) -> None:
        self._pools, self._drawn, self._seed, self._epoch = pools, drawn, seed, epoch
        self._change = Augmentation()

    def __len__(self) -> int:
        return self._epoch

    def clip(self, number: int, frames: int) -> Clip:
        """See `medsegany.training.Clips`."""
        rng = np.random.default_rng([self._seed, number])
        if frames > 1:
            clip = self._drawn.clip(number, frames)
            return self._change(clip, rng) if rng.random() < 0.3 else clip
        if rng.random() < 0.5:
            clip = self._drawn.clip(number, 1)
            if rng.random() < 0.6:
                image, mask = window(clip.frames[0], clip.masks[0], rng)
                clip = Clip(image[None], mask[None], clip.origin)
            return self._change(clip, rng) if rng.random() < 0.3 else clip
        clip = self._pools.clip(number, 1)
        return self._change(clip, rng) if rng.random() < 0.8 else clip


def validation(clips: Sequence[Clip]):  # noqa: ANN201 -- a `Validate`
    """Mean over modalities of the DSC of held-out images, each with its tight box."""

    def measure(upstream: SAM2VideoPredictor) -> dict[str, float]:
        segmenter = Sam2Segmenter(upstream, "nano", box_hint=True)
        scores: dict[str, list[float]] = {}
        for clip in clips:
            found = segmenter.segment_2d(clip.frames[0], box_from_mask(clip.masks[0]))
            kind = clip.origin.split("_")[0]
            scores.setdefault(kind, []).append(dsc(found.mask, clip.masks[0]))
        means = {kind: float(np.mean(values)) for kind, values in scores.items()}
        print({kind: round(mean, 3) for kind, mean in means.items()}, flush=True)
        return {"dsc": float(np.mean(list(means.values())))}

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
    real = Pools(pictures(given.data, held_out=False), seed=10 * given.stage)
    held_out = Pools(pictures(given.data, held_out=True), seed=2)
    seen = [held_out.clip(n, 1) for n in range(240)]
    size = min(192, stage.image_size + 16)
    clips = Mixed(real, Synthetic(given.stage, size), given.stage, stage.recipe.batch * 100)
    with Bar() as bar:
        task = bar.add_task(f"stage {given.stage}", total=steps)
        outcome = train(
            model,
            clips,
            evolve(stage.recipe, epochs=steps // 100),
            given.runs / f"stage-{given.stage}",
            seed=given.stage,
            box_hint=True,
            validate=validation(seen),
            validate_every=200,
            minutes=given.minutes,
            on_progress=lambda p: bar.update(task, completed=p.done, description=p.stage),
        )
    print(outcome)


if __name__ == "__main__":
    main()
