"""What the benchmark costs beside the models it measures.

    uv run python benchmarks/benchmark.py
    uv run python benchmarks/benchmark.py --cases 100000

Prints medians; nothing is asserted. Goals: at most 5 % more than bare inference with nano; images
of twelve boxes five times as fast as when each box encodes the image again, as the paper's released
script does; and a cost per case that does not grow with the number of cases.
"""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from attrs import evolve
from timing import median

import medsegany
from medsegany.benchmark import (
    CLEAN,
    EllipseSegmenter,
    Manifest,
    Model,
    Source,
    paper_tables,
    prepare,
    read_results,
    run,
)
from medsegany.prompts import box_from_mask
from medsegany.testing import phantoms


def cases(folder: Path, count: int, objects: int) -> Manifest:
    """Images of 512 px with discs."""
    sources = []
    for n in range(count):
        labels = np.zeros((512, 512), np.uint8)
        for k in range(objects):
            centre = (70 + 125 * (k % 4), 80 + 165 * (k // 4))
            labels[phantoms.disc((512, 512), centre, 30 + (n + k) % 20)] = k + 1
        path = folder / f"case-{n}.npz"
        np.savez(path, imgs=phantoms.image_of(labels > 0, seed=n), gts=labels)
        sources.append(Source(f"case-{n}", f"case-{n}", "Phantom", path))
    return prepare(sources, folder / "bench").manifest


def overhead(folder: Path) -> None:
    """The harness around nano, and nano alone."""
    manifest = cases(folder, 20, 3)
    nano = medsegany.load()
    held = []
    for case in manifest:
        with np.load(manifest.path(case)) as file:
            image, truth = file["imgs"], file["gts"]
        held.append((image, [box_from_mask(truth == label) for label in case.labels]))

    def bare() -> None:
        for image, boxes in held:
            embedded = nano.embed(image)
            for box in boxes:
                embedded.segment(box)

    runs = iter(range(99))
    alone = median(bare, 3)
    all_of_it = median(lambda: run(manifest, [nano], folder / f"r{next(runs)}"), 3)
    print(f"nano alone, 20 images of 3 objects   {alone:8.2f} s")
    print(f"the benchmark, metrics and files too {all_of_it:8.2f} s  {all_of_it / alone - 1:+.1%}")


def many_boxes(folder: Path, image_size: int | None = None) -> None:
    """Twelve boxes, the image encoded once or for each of them.

    Args:
        folder: For files.
        image_size: That nano looks at. At the 1024 px of the large models nearly all the time is
            the encoder's, as it is theirs.
    """
    manifest = cases(folder, 6, 12)
    whole = medsegany.load(crop=None, image_size=image_size)
    masks: dict[tuple[str, int], np.ndarray] = {}

    def again_for_each() -> None:
        for case in manifest:
            with np.load(manifest.path(case)) as file:
                image, truth = file["imgs"], file["gts"]
            for label in case.labels:
                found = whole.segment_2d(image, box_from_mask(truth == label))
                masks[case.id, label] = found.mask

    runs = iter(range(99))
    theirs = median(again_for_each, 3)
    ours = median(lambda: run(manifest, [whole], folder / f"r{next(runs)}", masks=True), 3)
    same = True
    for case in manifest:
        with np.load(folder / "r0" / "masks" / "nano" / "clean" / f"{case.id}.npz") as file:
            same &= all((file[str(n)] == masks[case.id, n]).all() for n in case.labels)
    print(f"nano at {image_size or 'its own'} px")
    print(f"12 boxes, encoded for each           {theirs:8.2f} s")
    print(f"the benchmark                        {ours:8.2f} s  {theirs / ours:.1f}x, "
          f"{'the same masks' if same else 'OTHER MASKS'}")  # fmt: skip


def scale(folder: Path, most: int) -> None:
    """The ellipse, on one small image under many names."""
    (case,) = _small(folder)
    print(f"{'cases':>8}{'prepare':>12}{'run':>12}{'resume':>12}{'tables':>12}   ms for a case")
    count = 100
    while count <= most:
        here = folder / str(count)
        here.mkdir()
        ids = [f"case-{n}" for n in range(count)]
        many = [evolve(case, id=name, patient=name) for name in ids]
        laps = [time.perf_counter()]
        Manifest(many, folder / "bench").write(here / "manifest.parquet")
        manifest = evolve(Manifest.read(here / "manifest.parquet"), folder=folder / "bench")
        laps.append(time.perf_counter())
        run(manifest, [EllipseSegmenter()], here / "results", protocols=[CLEAN])
        laps.append(time.perf_counter())
        again = run(manifest, [Model("ellipse")], here / "results")
        assert again.measured == 0
        laps.append(time.perf_counter())
        paper_tables(read_results(here / "results"), "clean")
        laps.append(time.perf_counter())
        print(
            f"{count:8}" + "".join(f"{ms:12.3f}" for ms in 1000 * np.diff(laps) / count), flush=True
        )
        count *= 10


def _small(folder: Path) -> Manifest:
    disc = phantoms.disc((64, 64), (32, 32), 15)
    np.savez(folder / "one.npz", imgs=phantoms.image_of(disc), gts=disc.astype(np.uint8))
    return prepare([Source("one", "one", "Phantom", folder / "one.npz")], folder / "bench").manifest


def main() -> None:
    """Print all of it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=10_000, help="The most of them.")
    given = options.parse_args()
    for part in (overhead, many_boxes, partial(many_boxes, image_size=1024)):
        with tempfile.TemporaryDirectory() as folder:
            part(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        scale(Path(folder), given.cases)


if __name__ == "__main__":
    main()
