"""How the surface metrics compare with other packages, in time, memory and value.

    uv pip install surface-distance monai
    uv run python benchmarks/metrics.py

Every tool measures the same masks, in a process of its own, in turn, in the same run. Ratios are to
`surface-distance`. Imports are not counted, but in the last table.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import surface_distance
import torch
from monai.metrics import compute_surface_dice
from scipy import ndimage

from medsegany import metrics

SEED = 0

# What runs in a process of its own: prints the seconds of each repetition, the megabytes above what
# the imports and the masks took, and the values.
_MEASURE = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
np.Inf, np.NaN = np.inf, np.nan  # surface-distance 0.1 asks numpy 2 for them
def peak():
    # not getrusage: its maximum begins with that of the parent
    lines = open("/proc/self/status")
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
{imports}
with np.load(sys.argv[1]) as file:
    prediction, truth = file["prediction"], file["truth"]
    spacing = tuple(map(float, file["spacing"]))
    labels = [int(n) for n in file["labels"]]
def work():
{work}
before, seconds = peak(), []
for n in range({repeats}):
    if n and sum(seconds) > 5:
        break
    start = time.perf_counter()
    values = work()
    seconds.append(time.perf_counter() - start)
    if n == 0:
        after = peak()
print(json.dumps([seconds, after - before, [[float(v) for v in row] for row in values]]))
"""

_OURS = "from medsegany import metrics"
_THEIRS = "import surface_distance as sd"
_MONAI = "import torch; from monai.metrics import compute_surface_dice"

OURS_ALL = """
    t = metrics.evaluate(prediction, truth, spacing_mm=spacing, tolerance_mm=2, threads={threads},
                         metrics=("nsd", "dsc", "hd95", "asd"))
    return [tuple(row.scores.values()) for row in t.rows]
"""
OURS_NSD = """
    t = metrics.evaluate(prediction, truth, spacing_mm=spacing, tolerance_mm=2, threads={threads},
                         metrics=("nsd", "dsc"))
    return [tuple(row.scores.values()) for row in t.rows]
"""
_SD = """
    rows = []
    for label in labels:
        a, b = truth == label, prediction == label
        d = sd.compute_surface_distances(a, b, spacing)
        row = [sd.compute_surface_dice_at_tolerance(d, 2), sd.compute_dice_coefficient(a, b)]
        {more}
        rows.append(row)
    return rows
"""
THEIRS_ALL = _SD.format(
    more="gt, pred = sd.compute_average_surface_distance(d); "
    "row += [sd.compute_robust_hausdorff(d, 95), pred, gt]"
)
THEIRS_NSD = _SD.format(more="pass")
MONAI_NSD = """
    rows = []
    for label in labels:
        masks = (prediction == label, truth == label)
        a, b = (torch.from_numpy(np.stack([~mask, mask])[None]) for mask in masks)
        rows.append([compute_surface_dice(a, b, [2.0], spacing=spacing, use_subvoxels=True)])
    return rows
"""

TOOLS = {
    "NSD, DSC, HD95, ASD": {
        "surface-distance": (_THEIRS, THEIRS_ALL),
        "medsegany": (_OURS, OURS_ALL.format(threads=None)),
        "medsegany, 1 thread": (_OURS, OURS_ALL.format(threads=1)),
        "medsegany, not compiled": (
            _OURS + "\nfrom medsegany.metrics import _surfaces\n_surfaces._compiled = None",
            OURS_ALL.format(threads=None),
        ),
    },
    "NSD, DSC": {
        "surface-distance": (_THEIRS, THEIRS_NSD),
        "medsegany": (_OURS, OURS_NSD.format(threads=None)),
        "medsegany, 1 thread": (_OURS, OURS_NSD.format(threads=1)),
        "MONAI, sub-voxels (NSD only)": (_MONAI, MONAI_NSD),
    },
}


# --- what is measured ----------------------------------------------------------------------------


def ellipsoid(shape: tuple[int, ...], centre: list[float], radii: list[float]) -> np.ndarray:
    """A mask."""
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    parts = [((x - c) / r) ** 2 for x, c, r in zip(axes, centre, radii, strict=True)]
    return sum(parts[1:], parts[0]) < 1


def frayed(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a model might have found: the outline a voxel or two off, here and there."""
    noise = ndimage.gaussian_filter(rng.standard_normal(mask.shape), 4)
    inside = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    return inside + noise / noise.std() * 1.2 > 0


def workloads() -> dict[str, tuple[np.ndarray, np.ndarray, tuple[float, ...]]]:
    """Name -> prediction, truth, spacing."""
    rng = np.random.default_rng(SEED)
    flat = ellipsoid((512, 512), [250, 260], [120, 90])
    organ = ellipsoid((128, 256, 256), [64, 128, 128], [48, 95, 90])
    moved = np.zeros_like(organ)
    moved[:, :, 60:] = organ[:, :, :-60]
    many = np.zeros((200, 400, 400), np.uint8)
    for label in range(1, 31):
        centre = [rng.uniform(30, n - 30) for n in many.shape]
        many[ellipsoid(many.shape, centre, rng.uniform(14, 50, 3).tolist())] = label
    shifted = np.roll(many, (1, 2, -1), (0, 1, 2))
    return {
        "one mask, 512 x 512": (frayed(flat, rng), flat, (0.8, 0.8)),
        "one organ, 128 x 256 x 256": (frayed(organ, rng), organ, (2.0, 1.0, 1.0)),
        "the organ, shifted by 60 px": (moved, organ, (2.0, 1.0, 1.0)),
        "30 labels, 200 x 400 x 400": (shifted, many, (2.5, 0.8, 0.8)),
    }


# --- measuring -----------------------------------------------------------------------------------


def measured(path: Path, imports: str, work: str) -> tuple[list[float], float, list]:
    """Seconds of each repetition, megabytes, values."""
    code = _MEASURE.format(imports=imports, work=work, repeats=15)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
    )
    seconds, megabytes, values = json.loads(done.stdout)
    return seconds, megabytes, values


def compare(name: str, path: Path, rounds: int) -> None:
    """A table for each set of metrics."""
    for what, tools in TOOLS.items():
        seconds: dict[str, list[float]] = {tool: [] for tool in tools}
        megabytes: dict[str, float] = {}
        values: dict[str, list] = {}
        for _ in range(rounds):
            for tool, (imports, work) in tools.items():
                found, megabytes[tool], values[tool] = measured(path, imports, work)
                seconds[tool] += found[1:] or found  # the first one fills caches
        print(f"\n**{name}: {what}**\n")
        print("| | median | range | faster | peak MB | largest relative difference |")
        print("|---|---:|---:|---:|---:|---:|")
        first = next(iter(tools))
        reference = statistics.median(seconds[first])
        for tool in tools:
            here = seconds[tool]
            median = statistics.median(here)
            a, b = (
                np.array([row[: len(values[tool][0])] for row in values[t]]) for t in (tool, first)
            )
            off = np.nanmax(np.abs(a - b) / np.maximum(np.abs(b), 1e-300), initial=0)
            print(
                f"| {tool} | {median * 1e3:,.2f} ms | {min(here) * 1e3:,.2f} to "
                f"{max(here) * 1e3:,.2f} | {reference / median:.1f} x | {megabytes[tool]:.0f} | "
                f"{off:.0e} |"
            )


def first_call(path: Path, rounds: int) -> None:
    """Everything from the start of Python to the first number."""
    print("\n**the first call in a fresh process, one mask of 512 x 512, imports included**\n")
    print("| | median | range |\n|---|---:|---:|")
    for tool, (imports, work) in TOOLS["NSD, DSC"].items():
        seconds = []
        for _ in range(rounds):
            code = _MEASURE.format(imports=imports, work=work, repeats=1)
            code = f"import time; began = time.perf_counter()\n{code}"
            code += "\nprint(time.perf_counter() - began)"
            done = subprocess.run(
                [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
            )
            seconds.append(float(done.stdout.splitlines()[-1]))
        print(
            f"| {tool} | {statistics.median(seconds):.2f} s | {min(seconds):.2f} to "
            f"{max(seconds):.2f} |"
        )


# Shapes that tell definitions apart: prediction, truth, spacing, tolerance.
def disc(shape: tuple[int, int], centre: list[float], radius: float) -> np.ndarray:
    """A mask."""
    return ellipsoid(shape, centre, [radius, radius])


def shapes() -> dict[str, tuple[np.ndarray, np.ndarray, tuple[float, ...], float]]:
    """Name -> prediction, truth, spacing, tolerance."""
    circle = disc((64, 64), [31, 31], 20)
    far, near = np.zeros((2, 9, 12), bool)
    far[4, 4], near[4, 6] = True, True
    bars = np.zeros((2, 9, 12), bool)
    bars[0, 4, 2], bars[1, 4, 5] = True, True
    vessel = np.zeros((12, 12, 40), bool)
    vessel[5:7, 5:7] = True
    big = ellipsoid((24, 64, 64), [12, 32, 32], [4, 20, 20])
    small = ellipsoid((24, 64, 64), [12, 33, 32], [3.6, 18, 18])
    return {
        "disc of 16 mm, moved by (1, 2) pixels": (
            np.roll(circle, (1, 2), (0, 1)),
            circle,
            (0.8, 0.8),
            1,
        ),
        "ball of 20 mm, one of 18 mm": (small, big, (5.0, 1.0, 1.0), 2),
        "vessel of 2 x 2 voxels, moved by one": (
            np.roll(vessel, 1, 1),
            vessel,
            (1.0, 1.0, 1.0),
            0.5,
        ),
        "two pixels, 2 apart": (near, far, (1.0, 1.0), 1),
        "two pixels, 3 x 0.1 mm apart": (bars[1], bars[0], (0.1, 0.1), 0.3),
    }


def definitions() -> None:
    """The NSD of the same masks by several packages."""
    print("\n**the same masks, NSD by other definitions**\n")
    print("| | medsegany | surface-distance | MONAI, sub-voxels | MONAI, default |")
    print("|---|---:|---:|---:|---:|")
    for name, (prediction, truth, spacing, tolerance) in shapes().items():
        found = surface_distance.compute_surface_distances(truth, prediction, spacing)
        both = [torch.from_numpy(np.stack([~m, m])[None]) for m in (prediction, truth)]
        values = [
            metrics.nsd(prediction, truth, spacing_mm=spacing, tolerance_mm=tolerance),
            surface_distance.compute_surface_dice_at_tolerance(found, tolerance),
            *(
                float(
                    compute_surface_dice(*both, [tolerance], spacing=spacing, use_subvoxels=exact)
                )
                for exact in (True, False)
            ),
        ]
        print(
            f"| {name}, tolerance {tolerance} mm | " + " | ".join(f"{v:.4f}" for v in values), "|"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each tool has its turn")
    rounds = parser.parse_args().rounds
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (prediction, truth, spacing)) in enumerate(workloads().items()):
            path = Path(folder) / f"{number}.npz"
            np.savez(path, prediction=prediction.astype(np.uint8), truth=truth.astype(np.uint8),
                     labels=np.unique(truth[truth > 0]), spacing=spacing)  # fmt: skip
            compare(name, path, rounds)
        first_call(Path(folder) / "0.npz", rounds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        definitions()


if __name__ == "__main__":
    main()
