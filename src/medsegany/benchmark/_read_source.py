"""One case of a data set: what kind it is, its intensities and its labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from medsegany.benchmark._manifest import Kind
from medsegany.benchmark._sources import Source
from medsegany.errors import FileError, InvalidInput
from medsegany.io import (
    PICTURES,
    VIDEOS,
    VOLUMES,
    ending,
    read_frames,
    read_image,
    read_labels,
    read_npz,
    read_volume,
)
from medsegany.io._files import by_number, existing, reading
from medsegany.io._labels import whole_labels
from medsegany.preprocess import AnyWindow
from medsegany.volume import Volume


def read_source(source: Source, window: AnyWindow | None) -> tuple[Kind, Volume, NDArray[Any]]:
    """What kind it is; its intensities; its labels, `(D, H, W)`.

    Args:
        source: The case.
        window: How pictures and films become display values; volumes stay as they are stored.
    """
    path = source.image
    kind = source.kind or _kind_of(path, source.truth)
    if kind == "video":
        frames = _frames(path, window)
        return kind, _stack(frames), _truth_of_frames(source, frames.shape[:3])
    if ending(path) in PICTURES:
        picture = read_image(path, window=window)
        if source.truth is None:
            msg = f"{source.id} has no reference: name its label map."
            raise InvalidInput(msg)
        labels = _first_label(read_labels(source.truth, like=picture).labels, source)
        return "2d", _stack(picture[None]), labels.reshape(1, *picture.shape[:2])
    volume = read_volume(path, window="raw")
    if source.truth is not None and ending(path) == ending(source.truth) == ".npz":
        found = _gts(source.truth)  # without a spacing of its own, perhaps
        found = found[None] if found is not None and found.ndim == 2 else found
    elif source.truth is not None:
        return kind, volume, read_labels(source.truth, like=volume).labels
    else:
        found = _own_labels(path) if ending(path) == ".npz" else None
    if found is None:
        msg = f"{source.id} has no reference: name its label map."
        raise InvalidInput(msg)
    return kind, volume, found


def has_spacing(source: Source) -> bool:
    """Whether the distance of pixels is told by the image: pictures know none."""
    if ending(source.image) == ".npz":
        with _npz(source.image) as file:
            return bool({"spacing", "spacing_zyx", "affine"} & set(file.files))
    return ending(source.image) not in PICTURES


def _frames(path: Path, window: AnyWindow | None) -> NDArray[np.uint8]:
    if ending(path) in VOLUMES - {".npz"}:  # as CAMUS has its films
        return cast("NDArray[np.uint8]", read_volume(path, window=window).voxels)
    return np.stack(list(read_frames(path, window=window)))


def _kind_of(path: Path, truth: Path | None) -> Kind:
    if ending(path) in VIDEOS:
        return "video"
    if path.is_dir() and any(ending(p) in PICTURES for p in path.iterdir()):
        return "video"
    if ending(path) in PICTURES:
        return "2d"
    if ending(path) == ".npz":
        labels = _gts(path)
        if labels is None and truth is not None and ending(truth) == ".npz":
            labels = _gts(truth)
        return "2d" if labels is not None and labels.ndim == 2 else "3d"
    return "3d"


def _stack(frames: NDArray[np.uint8]) -> Volume:
    return Volume.from_spacing(frames, (1.0, 1.0, 1.0))


def _truth_of_frames(source: Source, shape: tuple[int, ...]) -> NDArray[Any]:
    truth = source.truth
    labels: NDArray[Any] | None
    if truth is None:
        if ending(source.image) != ".npz":
            msg = f"{source.id} has no reference: name an npz, or a folder of pictures."
            raise InvalidInput(msg)
        truth = source.image
    if truth.is_dir():
        files = sorted(
            (p for p in truth.iterdir() if ending(p) == ".png" and p.name[0] != "."), key=by_number
        )
        if len(files) != shape[0]:
            msg = f"{source.id} has {shape[0]} frames and {len(files)} label maps in {truth}."
            raise InvalidInput(msg)
        frame = np.broadcast_to(np.uint8(0), shape[1:])
        labels = np.stack([read_labels(p, like=frame).labels for p in files])
    elif ending(truth) == ".npz":
        labels = _own_labels(truth) if truth == source.image else _gts(truth)
    else:
        labels = read_labels(truth).labels
    if labels is None:
        msg = f"{truth} holds no 'gts'."
        raise FileError(msg)
    return _first_label(labels, source)


def _first_label(labels: NDArray[Any], source: Source) -> NDArray[Any]:
    """Masks of pictures and films are often 0 and 255: one object, the first."""
    if 255 in source.labels or not set(np.unique(labels)) <= {0, 255}:
        return labels
    return np.where(labels == 255, 1, labels)


def _own_labels(path: Path) -> NDArray[Any] | None:
    """Of an npz with an image, whose shape they have."""
    labels = read_npz(path).labels
    return None if labels is None else whole_labels(labels, path)


def _gts(path: Path) -> NDArray[Any] | None:
    with _npz(path) as file:
        return whole_labels(file["gts"], path) if "gts" in file.files else None


@contextmanager
def _npz(path: Path) -> Iterator[Any]:
    with reading(path, "an npz"), np.load(existing(path), allow_pickle=False) as file:
        yield file
