"""How reading compares with the libraries underneath, in time and in memory.

    uv run python benchmarks/io.py

Every line is a ratio of two things measured in turn, each in a process of its own, in the same run.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SHAPE = (300, 512, 512)  # slices, rows, columns

# What runs in a process of its own: prints seconds, and megabytes above what the imports took.
_MEASURE = """
import json, sys, time
def peak():
    # not getrusage: its maximum begins with that of the parent
    lines = open("/proc/self/status")
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
{imports}
path = sys.argv[1]
before, start = peak(), time.perf_counter()
{work}
print(json.dumps([time.perf_counter() - start, peak() - before]))
"""

_OURS = "import nibabel, numpy, scipy, medsegany\nfrom medsegany import io, preprocess"
_THEIRS = "import nibabel, numpy"

NIFTI = {
    "nibabel, get_fdata()": (_THEIRS, "nibabel.load(path).get_fdata()"),
    "nibabel, as stored": (_THEIRS, "numpy.array(nibabel.load(path).dataobj)"),
    "medsegany, a CT window": (_OURS, "io.read_volume(path, window='abdomen')"),
    "medsegany, percentiles": (_OURS, "io.read_volume(path, window='percentile')"),
}

_AV = "import av, numpy"
# Whoever looks at a frame holds it while the next one is decoded, so PyAV's loop does, too.
_BY_PYAV = """
container = av.open(path)
container.streams.video[0].thread_type = "AUTO"
for frame in container.decode(video=0):
    image = frame.to_ndarray(format="rgb24")
"""
VIDEO = {
    "PyAV": (_AV, _BY_PYAV),
    "medsegany": (_AV + "\nfrom medsegany import io", "for f in io.read_frames(path): pass"),
    "medsegany, by index": (
        _AV + "\nfrom medsegany import io",
        "v = io.read_frames(path)\nfor t in range(len(v)): v[t]",
    ),
}


def measured(imports: str, work: str, path: Path) -> tuple[float, float]:
    """Seconds and megabytes of one run."""
    code = _MEASURE.format(imports=imports, work=work)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
    )
    seconds, megabytes = json.loads(done.stdout)
    return seconds, megabytes


def table(title: str, rows: dict[str, tuple[str, str]], path: Path, repeats: int) -> None:
    """The median of some runs, taken in turn, and its ratio to the first row's."""
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
    for _ in range(repeats):
        for name, (imports, work) in rows.items():
            runs[name].append(measured(imports, work, path))
    print(f"\n{title}\n")
    print("| | s | to the first | peak MB |\n|---|---:|---:|---:|")
    first = None
    for name, found in runs.items():
        seconds = statistics.median(s for s, _ in found)
        megabytes = statistics.median(m for _, m in found)
        first = first or seconds
        print(f"| {name} | {seconds:.2f} | {seconds / first:.2f} | {megabytes:.0f} |")


def scan() -> np.ndarray:
    """Something like a CT: smooth, noisy, in Hounsfield units."""
    rng = np.random.default_rng(0)
    small = rng.normal(0, 300, [n // 8 for n in SHAPE])
    voxels = np.kron(small, np.ones((8, 8, 8)))
    voxels = np.pad(voxels, [(0, n - m) for n, m in zip(SHAPE, voxels.shape, strict=True)])
    voxels += rng.normal(0, 12, SHAPE)
    return np.clip(voxels - 100, -1024, 3000).astype(np.int16)


def film(path: Path, frames: int) -> None:
    """A textured scene that drifts."""
    import av

    rng = np.random.default_rng(0)
    scene = np.kron(rng.integers(0, 255, (90, 160, 3)), np.ones((12, 12, 1))).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 960, 540, "yuv420p"
        for t in range(frames):
            y, x = 2 * t % 500, 3 * t % 900
            picture = np.ascontiguousarray(scene[y : y + 540, x : x + 960])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def main() -> None:
    """Make the files and print the tables."""
    import nibabel as nib

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        voxels = scan()
        print(f"Voxels of {SHAPE} int16: {voxels.nbytes / 2**20:.0f} MB")
        image = nib.Nifti1Image(voxels.T, np.diag([0.8, 0.8, 1.5, 1]))
        del voxels
        for file in ("scan.nii", "scan.nii.gz"):
            nib.save(image, folder / file)
        del image
        for file in ("scan.nii", "scan.nii.gz"):
            table(f"{file} to display values", NIFTI, folder / file, repeats)
        for frames in (250, 1000):
            film(folder / f"{frames}.mp4", frames)
            title = f"{frames} frames of 960 x 540, H.264"
            table(title, VIDEO, folder / f"{frames}.mp4", repeats)


if __name__ == "__main__":
    main()
