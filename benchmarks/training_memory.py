"""Peak memory of one training step, by model and mode, each in a process of its own.

On a GPU what torch allocated at most; on a CPU what the process held at most beyond what it held
before (torch, the weights and the optimiser's two copies of them are in both counted from zero).
Weights are random: memory does not depend on them. One step of the optimiser is made, on clips of
one frame ("image") or of four.

    uv run python benchmarks/training_memory.py --models sam2.1-t --sizes 512 1024
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MODES = {
    "image": {},
    "image, at once 4": {"at_once": 4},
    "image, at once 1": {"at_once": 1},
    "image, at once 4, recompute": {"at_once": 4, "recompute": True},
    "image, at once 1, recompute": {"at_once": 1, "recompute": True},
    "decoder only, at once 1": {"at_once": 1, "train": ["mask_decoder"]},
    "decoder only, embedded once": {"at_once": 4, "train": ["mask_decoder"], "embed_once": True},
    "clips of 4, at once 1": {"at_once": 1, "frames": 4},
    "clips of 4, at once 1, recompute": {"at_once": 1, "frames": 4, "recompute": True},
}


def main() -> None:
    """Start a process for each cell and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--models", nargs="+", default=["sam2.1-t"])
    options.add_argument("--sizes", nargs="+", type=int, default=[512, 1024])
    options.add_argument("--modes", nargs="+", choices=list(MODES), default=list(MODES))
    options.add_argument("--batch", type=int, default=16)
    options.add_argument("--one", help="Used inside: a cell as JSON.")
    given = options.parse_args()
    if given.one:
        print(json.dumps(measure(**json.loads(given.one))))
        return
    print(f"| model | px | mode, batch of {given.batch} | peak, GB | seconds |")
    print("|---|---|---|---|---|")
    for model in given.models:
        for size in given.sizes:
            for mode in given.modes:
                cell = {"model": model, "size": size, "batch": given.batch, **MODES[mode]}
                command = [sys.executable, __file__, "--one", json.dumps(cell)]
                found = subprocess.run(command, capture_output=True, text=True, check=False)
                if found.returncode:
                    words = "more than there is |"
                else:
                    row = json.loads(found.stdout.splitlines()[-1])
                    words = f"{row['peak'] / 1e9:.1f} | {row['seconds']:.0f}"
                print(f"| {model} | {size} | {mode} | {words} |", flush=True)


class Noise:
    """As many clips as a batch has; what is on them does not matter."""

    def __init__(self, batch: int, size: int) -> None:
        self._batch, self._size = batch, size

    def __len__(self) -> int:
        return self._batch

    def clip(self, number: int, frames: int) -> "Clip":  # noqa: F821
        """A square on noise."""
        from medsegany.training import Clip

        images = np.random.default_rng(number).integers(0, 256, (frames, 256, 256), np.uint8)
        masks = np.zeros(images.shape, np.bool_)
        masks[:, 60:120, 80:160] = True
        return Clip(images, masks)


class Stored:
    """Features of the right shapes, as `embed_once` reads them from the disk."""

    def __init__(self, width: int, size: int) -> None:
        shapes = ((width // 8, size // 4), (width // 4, size // 8), (width, size // 16))
        self._shapes = [(channels, side, side) for channels, side in shapes]

    def of(self, clips: list) -> list:
        """Zeros; nothing looks at their values."""
        import torch

        frames = sum(len(clip) for clip in clips)
        return [torch.zeros(frames, *shape) for shape in self._shapes]


def measure(
    model: str,
    size: int,
    batch: int,
    *,
    at_once: int | None = None,
    recompute: bool = False,
    train: list[str] | None = None,
    embed_once: bool = False,
    frames: int = 1,
) -> dict[str, float]:
    """One step; returns its peak and its time."""
    import torch

    from medsegany.backends.sam2 import build
    from medsegany.cards import BY_NAME, NANO
    from medsegany.training import Machine, Recipe, train as run

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    upstream = build(NANO if model == "nano" else BY_NAME[model].architecture, size)
    recipe = Recipe(
        epochs=1,
        batch=batch,
        augmentation=None,
        frames=frames,
        clips=float(frames > 1),
        train=tuple(train or ("image_encoder", "mask_decoder", *(["memory"] * (frames > 1)))),
        prompts={"box": 1.0},
    )
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run(
            upstream,
            Noise(batch, size),
            recipe,
            Path(folder),
            machine=Machine(at_once=at_once, recompute=recompute),
            embeddings=Stored(upstream.hidden_dim, size) if embed_once else None,
        )
    seconds = time.monotonic() - begun
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    return {"peak": float(peak), "seconds": seconds}


if __name__ == "__main__":
    main()
