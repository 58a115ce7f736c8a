"""Train nano from nothing, in stages that each begin with the last one's weights.

    uv run python scripts/nano/train.py ../shared/data/train runs/nano --stage 1
    uv run python scripts/nano/train.py ../shared/data/train runs/nano --stage 2
    uv run python scripts/nano/train.py ../shared/data/train runs/nano --stage 2 --minutes 60

A stage that is stopped goes on with the same line. Between stages only averaged weights survive.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from attrs import evolve
from ending import ending
from mixed import Mixed
from moving import Volumes
from neighbours import Neighbours
from pools import Pools, pictures
from projected import radiograph
from rich.progress import Progress as Bar
from sam2.modeling.sam2_utils import DropPath
from skin import skin
from stages import STAGES
from synthetic import Synthetic
from weights import read

from medsegany.backends.sam2 import Crop, Sam2Segmenter, SAM2VideoPredictor, build
from medsegany.cards import NANO
from medsegany.metrics import dsc
from medsegany.prompts import box_from_mask
from medsegany.testing.models import tiny_sam2
from medsegany.training import Clip, Machine, train

_LOOKS = Crop(1.4)


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
    options.add_argument(
        "--weights",
        type=Path,
        help="To begin with, instead of the last stage's; a state.pt holds averaged ones.",
    )
    options.add_argument("--steps", type=int, help="Instead of the stage's own, in hundreds.")
    options.add_argument("--minutes", type=float)
    options.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    options.add_argument("--device", default="auto", choices=("auto", "cpu"))
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
        model.load_state_dict(read(begin))
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
    # What no image is held out of counts as a modality, too, by drawn ones.
    for share, draw in ((stage.radiographs, radiograph), (stage.skin, skin)):
        images += [draw(np.random.default_rng([2, n]), 224) for n in range(24 if share else 0)]
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
            machine=Machine(device=given.device, precision=given.precision),
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
