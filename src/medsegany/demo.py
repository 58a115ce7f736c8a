"""The main job, on real images that come with medsegany's dependencies.

A photograph of the back of an eye (scikit-image), one time point of a 4D MR scan of a head
(nibabel) and an ultrasound film of a heart (pydicom).
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from attrs import frozen
from PIL import Image as Pillow

from medsegany.io import read_frames, read_volume, write_labels
from medsegany.io._files import atomically, make_folder
from medsegany.overlays import contact_sheet, overlay
from medsegany.progress import OnProgress, no_progress
from medsegany.prompts import Box
from medsegany.protocols import Segmenter
from medsegany.types import Image

T = TypeVar("T")

# Drawn by hand around what a person sees, a little loosely, as people do; where five pixels are a
# quarter of the object, tightly.
OPTIC_DISC = Box(118, 536, 330, 762)
LATERAL_VENTRICLES = Box(53, 31, 72, 58)
THEIR_SLICE, THEIR_SLICES = 17, (13, 20)
LEFT_VENTRICLE = Box(156, 68, 203, 130)
ONE_BEAT = 24  # frames


@frozen
class Row:
    """A line of the demo's table.

    Attributes:
        image: What was looked at.
        prompt: What was asked.
        found: What came out, with its unit.
        seconds: How long the model took.
        files: What was written.
    """

    image: str
    prompt: str
    found: str
    seconds: float
    files: tuple[Path, ...]


def run(segmenter: Segmenter, folder: Path, on_progress: OnProgress = no_progress) -> Iterator[Row]:
    """Segment an image, a volume and a video, and write masks and pictures into `folder`.

    Raises:
        FileError: The folder cannot be written.
    """
    make_folder(folder)
    for part in (_photograph, _scan, _film):
        yield part(segmenter, folder, on_progress)


def _photograph(segmenter: Segmenter, folder: Path, _: OnProgress) -> Row:
    from skimage.data import retina  # noqa: PLC0415 -- only the demo needs it

    image = retina()
    found, seconds = _timed(lambda: segmenter.segment_2d(image, OPTIC_DISC))
    mask_file, picture = folder / "optic-disc-mask.png", folder / "optic-disc.png"
    _save(mask_file, found.mask.astype(np.uint8) * 255)
    _save(picture, overlay(image, found.labels(), boxes=[OPTIC_DISC], thickness_px=4))
    area = f"{found.mask.sum():,} pixels"
    return Row("fundus photograph: optic disc", "1 box", area, seconds, (picture, mask_file))


def _scan(segmenter: Segmenter, folder: Path, on_progress: OnProgress) -> Row:
    import nibabel as nib  # noqa: PLC0415 -- only the demo needs it

    source = Path(nib.__file__).parent / "tests" / "data" / "example4d.nii.gz"
    volume = read_volume(source, frame=0)
    prompt = LATERAL_VENTRICLES.at(THEIR_SLICE)
    out, seconds = _timed(
        lambda: segmenter.segment_volume(
            volume, prompt, slices=THEIR_SLICES, on_progress=on_progress
        )
    )
    mask_file, image_file = folder / "ventricles-mask.nii.gz", folder / "head.nii.gz"
    picture = folder / "ventricles.png"
    write_labels(mask_file, out.labels(), like=volume)
    write_labels(image_file, volume.voxels, like=volume)  # its grey values, to lay the mask over
    # Rows of this scan run from the back of the head to the front: turned for the reader.
    tiles = [
        overlay(image, labels, boxes=[LATERAL_VENTRICLES] if k == THEIR_SLICE else [])[::-1]
        for k, (image, labels) in enumerate(zip(volume.voxels, out.labels(), strict=True))
    ]
    _save(picture, np.kron(contact_sheet(tiles, 6), np.ones((2, 2, 1), np.uint8)))
    millilitres = out.mask.sum() * float(np.prod(volume.spacing_mm)) / 1000
    first, last = out.visited[1]
    return Row(
        "MR scan: lateral ventricles of the brain",
        f"1 box on slice {THEIR_SLICE}",
        f"{millilitres:.0f} ml on slices {first} to {last}",
        seconds,
        (picture, mask_file, image_file),
    )


def _film(segmenter: Segmenter, folder: Path, on_progress: OnProgress) -> Row:
    from pydicom.examples import get_path  # noqa: PLC0415 -- only the demo needs it

    film = read_frames(get_path("ybr_color"))
    frames = [film[t] for t in range(ONE_BEAT)]
    masks = folder / "left-ventricle"
    masks.mkdir(exist_ok=True)
    tiles: list[Image] = []
    areas: list[int] = []
    start = time.perf_counter()
    for found in segmenter.track_video(frames, LEFT_VENTRICLE, on_progress=on_progress):
        _save(masks / f"{found.index:04d}.png", found.mask.astype(np.uint8) * 255)
        areas.append(int(found.mask.sum()))
        if found.index % 3 == 0:
            boxes = [LEFT_VENTRICLE] if found.index == 0 else []
            tiles.append(overlay(frames[found.index], found.labels(), boxes=boxes))
    seconds = time.perf_counter() - start
    picture = folder / "left-ventricle.png"
    _save(picture, contact_sheet(tiles, 5))
    return Row(
        "ultrasound film: left ventricle",
        "1 box on frame 0",
        f"{min(areas):,} to {max(areas):,} pixels in {len(areas)} frames",
        seconds,
        (picture, masks),
    )


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def _save(path: Path, picture: Image) -> None:
    atomically(path, Pillow.fromarray(picture).save)
