"""Cases as arrays on the disk, read once and then looked into wherever a slice is needed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import astuple, field, frozen
from numpy.typing import NDArray

from medsegany.errors import InvalidInput
from medsegany.io import PICTURES, ending, read_image, read_labels, read_npz, read_volume
from medsegany.io._files import atomically, make_folder, write_text
from medsegany.io._labels import whole_labels
from medsegany.preprocess import AnyWindow, Window, check_stack
from medsegany.progress import OnProgress, Progress, no_progress
from medsegany.training._cases import TrainingCase
from medsegany.volume import Volume

_ABOUT = "cases.json"


@frozen(eq=False)
class StoredCase:
    """A case in arrays on the disk, which are opened when they are looked into.

    Attributes:
        name: Of the case.
        folder: Where its arrays lie.
        source: What they were made of, in words.
        spacing_mm: (z, y, x).
        depth: Number of slices.
        areas: Label -> pixels on each slice, `(D,)`.
    """

    name: str
    folder: Path
    source: str = field(repr=False)
    spacing_mm: tuple[float, float, float]
    depth: int
    areas: Mapping[int, NDArray[np.int64]] = field(repr=False)

    # Not kept open: thousands of pictures would be more files than a process may have.
    @property
    def images(self) -> NDArray[np.uint8]:
        """uint8 `(D, H, W)` or `(D, H, W, 3)`."""
        images: NDArray[np.uint8] = np.load(self.folder / "images.npy", mmap_mode="r")
        return images

    @property
    def labels(self) -> NDArray[Any]:
        """`(D, H, W)`."""
        labels: NDArray[Any] = np.load(self.folder / "labels.npy", mmap_mode="r")
        return labels

    def prompted(self, k: int, labels: Sequence[int], smallest_px: int) -> tuple[int, ...]:
        """Which of some labels are large enough on slice `k` to be prompted there."""
        here = (n for n in labels if n in self.areas)
        return tuple(n for n in here if self.areas[n][k] >= smallest_px)


@frozen
class Counts:
    """What there is to learn from, and what was left out.

    Attributes:
        cases: Number of cases.
        slices: Number of their slices or images.
        empty_slices: Those without any object that is asked for.
        objects: Objects on slices: a label on a slice is one.
        too_small: Objects on slices with fewer pixels than the smallest that is taken; never
            prompted.
        absent: Label -> number of cases that lack it.
    """

    cases: int
    slices: int
    empty_slices: int
    objects: int
    too_small: int
    absent: Mapping[int, int]


def store(
    cases: Sequence[TrainingCase],
    folder: Path,
    *,
    window: AnyWindow | None,
    frame: int | None = None,
    on_progress: OnProgress = no_progress,
) -> list[StoredCase]:
    """Read cases into arrays in a folder, or find them there from an earlier start.

    Args:
        cases: All of them.
        folder: Made when it is not there. What lies there is used again while the files have the
            same size and time, and the window is the same.
        window: For all; see `io.read_volume`.
        frame: Which volume of 4D files.
        on_progress: Told of cases.

    Raises:
        FileError: A file cannot be read.
        InvalidInput: CT without a window.
    """
    make_folder(folder)
    found = []
    for done, case in enumerate(cases):
        on_progress(Progress("cases read", done, len(cases)))
        found.append(_stored(case, folder / case.name, window, frame))
    on_progress(Progress("cases read", len(cases), len(cases)))
    return found


def _stored(
    case: TrainingCase, folder: Path, window: AnyWindow | None, frame: int | None
) -> StoredCase:
    source, about = json.dumps(_fingerprint(case, window, frame)), folder / _ABOUT
    if not about.is_file() or about.read_text("utf-8") != source:
        make_folder(folder)
        about.unlink(missing_ok=True)  # it describes what is there, and comes last
        images, labels, spacing = _read(case, window, frame)
        atomically(folder / "images.npy", lambda path: np.save(path, images))
        atomically(folder / "labels.npy", lambda path: np.save(path, labels))
        atomically(folder / "spacing.npy", lambda path: np.save(path, np.array(spacing)))
        write_text(about, source)
    z, y, x = np.load(folder / "spacing.npy").tolist()
    labels = np.load(folder / "labels.npy", mmap_mode="r")
    return StoredCase(case.name, folder, source, (z, y, x), len(labels), _areas(labels))


def window_words(window: AnyWindow | None) -> str | list[float] | None:
    """A window as JSON holds it."""
    return list(astuple(window)) if isinstance(window, Window) else window


def window_of(words: str | list[float] | None) -> Any:  # noqa: ANN401 -- what `window_words` was given
    """What was said by `window_words`."""
    return Window(*words) if isinstance(words, list) else words


def _fingerprint(case: TrainingCase, window: AnyWindow | None, frame: int | None) -> dict[str, Any]:
    files = [case.image] if case.labels is None else [case.image, case.labels]
    return {
        "files": [[str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns] for f in files],
        "window": window_words(window),
        "frame": frame,
    }


def _read(
    case: TrainingCase, window: AnyWindow | None, frame: int | None
) -> tuple[NDArray[np.uint8], NDArray[Any], tuple[float, float, float]]:
    if ending(case.image) in PICTURES:
        image = read_image(case.image, window=window, frame=frame)
        assert case.labels is not None
        labels = read_labels(case.labels, like=image).labels
        return image[None], labels.reshape(1, *image.shape[:2]), (1.0, 1.0, 1.0)
    volume = read_volume(case.image, window=window, frame=frame)
    return check_stack(volume), _labels_of(case, volume), volume.spacing_mm


def _labels_of(case: TrainingCase, volume: Volume) -> NDArray[Any]:
    if case.labels is not None:
        return read_labels(case.labels, like=volume).labels
    labels = read_npz(case.image).labels
    if labels is None:
        msg = f"{case.image} holds no 'gts': there is nothing to learn from it."
        raise InvalidInput(msg)
    return whole_labels(labels, case.image)


def _areas(labels: NDArray[Any]) -> dict[int, NDArray[np.int64]]:
    found: dict[int, NDArray[np.int64]] = {}
    for k, part in enumerate(labels):
        for label, pixels in zip(*np.unique(part, return_counts=True), strict=True):
            if label:
                found.setdefault(int(label), np.zeros(len(labels), np.int64))[k] = pixels
    return dict(sorted(found.items()))


def count(
    cases: Sequence[StoredCase], wanted: Sequence[int] | None, smallest_px: int
) -> tuple[Counts, list[int]]:
    """What there is to learn from; and the labels, in order.

    Args:
        cases: All of them.
        wanted: The labels that are asked for; None for all.
        smallest_px: Pixels that an object needs on a slice.

    Raises:
        InvalidInput: A label that is asked for is in no case, or nothing is left.
    """
    there = sorted({label for case in cases for label in case.areas})
    names = there if wanted is None else sorted(wanted)
    if missing := set(names) - set(there):
        msg = f"No case has the label {min(missing)}. There is {', '.join(map(str, there))}."
        raise InvalidInput(msg)
    slices = empty = objects = small = 0
    for case in cases:
        depth = case.depth
        slices += depth
        areas = np.stack([np.zeros(depth, int), *(case.areas[n] for n in names if n in case.areas)])
        taken = areas >= smallest_px
        empty += int((areas == 0).all(0).sum())
        objects += int(taken.sum())
        small += int(((areas > 0) & ~taken).sum())
    if not objects:
        msg = f"No object of at least {smallest_px} pixels is on any of {slices} slices."
        raise InvalidInput(msg)
    absent = {n: sum(n not in case.areas for case in cases) for n in names}
    return Counts(len(cases), slices, empty, objects, small, absent), names
