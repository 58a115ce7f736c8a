r"""How carrying objects by memory compares with the official predictor, in time and in memory.

    uv run python benchmarks/propagation.py
    uv run python benchmarks/propagation.py --model sam2.1/sam2.1_hiera_t --image-size 512 \
        --slices 12 --objects 4
    uv run python benchmarks/propagation.py --stream 10000

Official and ours run in turn, in one process, with the same random weights, and visit the same
slices: for each object one `SAM2VideoPredictor` session forward, and one in reverse after a reset.
Equal masks are checked on the way.
"""

import argparse
import contextlib
import io
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from sam2 import sam2_video_predictor

from medsegany import Box, ByMemory
from medsegany.backends.sam2 import Sam2Segmenter, build
from medsegany.backends.sam2._internals import as_input
from medsegany.testing import models

SEED = 0
SIZE = (200, 240)


def frames_of(count: int) -> np.ndarray:
    """Smooth noise that drifts."""
    rng = np.random.default_rng(SEED)
    wide = rng.integers(0, 256, (SIZE[0] // 8, SIZE[1] // 8 + count), np.uint8)
    big = np.kron(wide, np.ones((8, 8), np.uint8))
    return np.stack([big[:, 8 * t : 8 * t + SIZE[1]] for t in range(count)])


def prompts_of(objects: int, slices: int) -> dict[int, tuple[int, list[int]]]:
    """Object -> its slice and its box; no two objects start together unless they have to."""
    rng = np.random.default_rng(SEED + 1)
    found = {}
    for n in range(objects):
        x, y = int(rng.integers(0, SIZE[1] - 60)), int(rng.integers(0, SIZE[0] - 60))
        found[n + 1] = ((n * slices) // (2 * objects) + slices // 4, [x, y, x + 50, y + 45])
    return found


class Encodes:
    """Counts how often a model encodes a frame."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.count = 0
        self._forward = model.forward_image
        model.forward_image = self

    def __call__(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """As the model's own `forward_image`."""
        self.count += len(images)
        return self._forward(images)


def official(
    model: sam2_video_predictor.SAM2VideoPredictor,
    frames: np.ndarray,
    prompts: dict[int, tuple[int, list[int]]],
) -> dict[int, np.ndarray]:
    """One session per object."""

    def load_video_frames(image_size: int, **_: object) -> tuple[torch.Tensor, int, int]:
        inputs = torch.stack([as_input(np.stack([f] * 3, -1), image_size) for f in frames])
        return inputs, *frames[0].shape

    sam2_video_predictor.load_video_frames = load_video_frames
    masks = {}
    for name, (k, box) in prompts.items():
        found = np.zeros(frames.shape, bool)
        state = model.init_state("frames")
        for reverse in (False, True):
            model.reset_state(state)
            model.add_new_points_or_box(state, k, name, box=np.array(box, np.float32))
            with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
                for t, _, logits in model.propagate_in_video(state, reverse=reverse):
                    found[t] = (logits[0, 0] > 0).numpy()
        masks[name] = found
    return masks


def ours(
    segmenter: Sam2Segmenter, frames: np.ndarray, prompts: dict[int, tuple[int, list[int]]]
) -> dict[int, np.ndarray]:
    """All objects at once."""
    asked = {name: Box(*box).at(k) for name, (k, box) in prompts.items()}
    out = segmenter.segment_volume(
        frames, asked, slices=(0, len(frames) - 1), propagation=ByMemory(fill_holes_px=0)
    )
    return {name: out.masks[name] for name in prompts}


def compare(model: sam2_video_predictor.SAM2VideoPredictor, objects: int, slices: int,
            rounds: int) -> None:  # fmt: skip
    """A row of the table."""
    model.fill_hole_area = 0
    frames, prompts = frames_of(slices), prompts_of(objects, slices)
    segmenter = Sam2Segmenter(model, "benchmark")
    seconds: dict[str, list[float]] = {"official": [], "ours": []}
    encodes: dict[str, int] = {}
    masks: dict[str, dict[int, np.ndarray]] = {}
    counter = Encodes(model)
    ways: dict[str, Callable[[], dict[int, np.ndarray]]] = {
        "official": lambda: official(model, frames, prompts),
        "ours": lambda: ours(segmenter, frames, prompts),
    }
    with torch.inference_mode():
        for _ in range(rounds):
            for way, work in ways.items():
                counter.count = 0
                start = time.perf_counter()
                masks[way] = work()
                seconds[way].append(time.perf_counter() - start)
                encodes[way] = counter.count
    differ = sum(int((masks["official"][n] != masks["ours"][n]).sum()) for n in prompts)
    a, b = (statistics.median(seconds[way]) for way in ways)
    spread = ", ".join(f"{way} {min(s):.1f} to {max(s):.1f}" for way, s in seconds.items())
    print(
        f"| {objects} x {slices} | {a:.1f} s | {b:.1f} s | {a / b:.2f} x | {encodes['official']} | "
        f"{encodes['ours']} | {differ} | {spread} |",
        flush=True,
    )


def resident() -> float:
    """Megabytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def stream(model: sam2_video_predictor.SAM2VideoPredictor, count: int) -> None:
    """A video without an end."""
    still = frames_of(64)

    def endless() -> Iterator[np.ndarray]:
        for t in range(count):
            yield still[t % 64]

    segmenter = Sam2Segmenter(model, "benchmark")
    box = Box(40, 40, 90, 85)
    first = float("nan")
    start = time.perf_counter()
    for found in segmenter.track_video(endless(), {1: box}):
        t = found.index
        if t == 500:
            first = resident()
        if t and (t % 1000 == 0 or t == count - 1):
            grown, rate = resident() - first, t / (time.perf_counter() - start)
            print(f"frame {t}: {rate:.1f} frames/s, resident {grown:+.1f} MB since frame 500",
                  flush=True)  # fmt: skip


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny", help="tiny, or an official configuration")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 12])
    parser.add_argument("--slices", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--stream", type=int, help="so many frames of a stream instead")
    given = parser.parse_args()
    torch.manual_seed(SEED)
    if given.model == "tiny":
        model = models.tiny_sam2(SEED, image_size=given.image_size)
    else:
        model = build(given.model, given.image_size)
    # Random weights seldom see an object, and SAM2 blanks the mask then.
    torch.nn.init.constant_(model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias, 5.0)
    print(f"{given.model} at {given.image_size} px, {platform.machine()}, {os.cpu_count()} cores, "
          f"{torch.get_num_threads()} threads, torch {torch.__version__}\n")  # fmt: skip
    if given.stream:
        stream(model, given.stream)
        return
    print("| objects x slices | official | ours | faster | encodes | ours | pixels that differ | "
          "range, s |\n|---|---:|---:|---:|---:|---:|---:|---|")  # fmt: skip
    for objects in given.objects:
        compare(model, objects, given.slices, given.rounds)


if __name__ == "__main__":
    main()
