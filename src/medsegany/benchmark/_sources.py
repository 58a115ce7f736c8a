"""Data sets as they are on the disk, and the manifest that they become."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from medsegany._validate import one_of
from medsegany.benchmark._manifest import NAME, Case, Kind, Manifest
from medsegany.benchmark._preparation import Preparation
from medsegany.checkpoints import sha256
from medsegany.errors import FileError, InvalidInput, MedSegAnyError
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
from medsegany.io._files import by_number, existing, make_folder, reading
from medsegany.preprocess import AnyWindow
from medsegany.progress import OnProgress, Progress, no_progress
from medsegany.training import find_cases
from medsegany.volume import Volume

CASES = "cases"
_COLUMNS = ("case", "patient", "modality", "kind", "image", "truth", "dataset", "licence",
            "synthetic")  # fmt: skip


def _a_file_can_be_called_so(_: object, __: object, value: str) -> None:
    """On any system: a case becomes a file, and so do its masks."""
    odd = [c for c in value if c in '/\\:*?"<>|' or ord(c) < 32 or 0xD800 <= ord(c) < 0xE000]
    if not value or odd or value[0] == "." or value != value.strip():
        what = f"has {odd[0]!r} in it" if odd else "is empty, or begins with a dot, or has spaces"
        msg = f"A case becomes a file, and the name {value!r} {what}. Give it another one."
        raise InvalidInput(msg)


@frozen
class Source:
    """A case before it is prepared.

    Attributes:
        id: Its name, which a file can have.
        patient: Whose it is.
        modality: Such as "CT".
        image: A picture, a volume (of frames, where `kind` says "video"), a DICOM folder, an npz,
            a video, or a folder of frames.
        truth: Its label map, or a folder with one picture for each frame; None where the image's
            own npz holds it.
        kind: "2d", "3d" or "video"; None where the files say it: pictures and npz of two axes are
            "2d", videos and folders of pictures "video", anything else "3d".
        labels: Names of labels; those without one are measured, too.
        dataset: Where it is from.
        licence: Of the data.
        synthetic: See `Case`.
    """

    id: str = field(validator=_a_file_can_be_called_so)
    patient: str
    modality: str
    image: Path = field(converter=Path)
    truth: Path | None = None
    kind: Kind | None = field(default=None, validator=one_of(*get_args(Kind), None))
    labels: Mapping[int, str] = field(factory=dict)
    dataset: str = ""
    licence: str = ""
    synthetic: str = ""


@frozen
class Prepared:
    """What `prepare` made.

    Attributes:
        manifest: Of the cases that could be prepared, and of those that were there before.
        left_out: Name of a case -> why it is not among them.
    """

    manifest: Manifest
    left_out: Mapping[str, str]


def sources(
    folder: str | Path,
    modality: str,
    *,
    labels: str | Path | None = None,
    kind: Kind | None = None,
    names: Mapping[int, str] | None = None,
    patients: Mapping[str, str] | str | Path | None = None,
    dataset: str = "",
    licence: str = "",
) -> list[Source]:
    """The cases of a folder: see `training.find_cases` for how it may look.

    Args:
        folder: With images and label maps, or with npz of the challenges.
        modality: Of all of them.
        labels: A folder of label maps, where they lie elsewhere.
        kind: See `Source`.
        names: Label -> name.
        patients: Whose each case is; without it each counts as a patient of its own.
        dataset: Where they are from.
        licence: Of the data.

    Raises:
        FileError: There is no such folder, or nothing in it.
        InvalidInput: `patients` leaves a case out.
    """
    return [
        Source(case.name, case.patient, modality, case.image, case.labels, kind, names or {},
               dataset, licence)
        for case in find_cases(folder, labels, patients=patients)
    ]  # fmt: skip


def read_sources(path: str | Path) -> list[Source]:
    """Cases from a table: a CSV with a line for each.

    Its columns are `case`, `modality` and `image`, and as needed `patient`, `kind`, `truth`,
    `dataset`, `licence`, `synthetic`; further ones named by a number hold names of labels. Paths
    are relative to the table.

    Raises:
        FileError: There is none, or a column is missing.
    """
    path = existing(path)
    with reading(path, "a table of cases (CSV)"), path.open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"case", "modality", "image"} <= rows[0].keys():
        has = ", ".join(rows[0]) if rows else "no line"
        msg = f"{path} needs the columns case, modality and image; it has {has}."
        raise FileError(msg)
    if unknown := [c for c in rows[0] if c and c not in _COLUMNS and not c.isdecimal()]:
        msg = f"{path} has a column {unknown[0]!r}; known are {', '.join(_COLUMNS)}, and numbers."
        raise FileError(msg)
    found = []
    for number, row in enumerate(rows, 2):
        get = {key: value for key, value in row.items() if value}
        if not get:
            continue  # spreadsheets leave such lines
        if None in get:
            msg = f"{path}, line {number}: it has more fields than there are columns."
            raise FileError(msg)
        if missing := [key for key in ("case", "modality", "image") if key not in get]:
            msg = f"{path}, line {number}: {missing[0]} is empty."
            raise FileError(msg)
        found.append(
            Source(
                get["case"],
                get.get("patient", get["case"]),
                get["modality"],
                path.parent / get["image"],
                path.parent / get["truth"] if "truth" in get else None,
                get.get("kind"),  # type: ignore[arg-type]  # checked by the record
                {int(key): value for key, value in get.items() if key.isdecimal()},
                get.get("dataset", ""),
                get.get("licence", ""),
                get.get("synthetic", ""),
            )
        )
    return found


def prepare(
    cases: Iterable[Source],
    folder: str | Path,
    preparation: Preparation | None = None,
    *,
    on_progress: OnProgress = no_progress,
) -> Prepared:
    """Prepare cases, and write or extend the manifest of a folder.

    Args:
        cases: Those of one or of several data sets; call it once for each `preparation`.
        folder: Made when it is not there; gets `cases/<name>.npz` and `manifest.parquet`.
        preparation: What is done to them; None for `Preparation()`.
        on_progress: Told of cases.

    Returns:
        The whole manifest, and what was left out. A case that cannot be read, or of which nothing
        is left, does not stop the others.

    Raises:
        InvalidInput: A case of the same name and other content is in the folder already.
        FileError: The folder cannot be written.
    """
    preparation = preparation or Preparation()
    folder, cases = Path(folder), list(cases)
    make_folder(folder / CASES)
    there = Manifest.read(folder) if (folder / NAME).exists() else Manifest((), folder)
    known = {case.id: case for case in there}
    alike = {case.id.casefold(): case.id for case in there}
    left_out: dict[str, str] = {}
    try:
        for done, source in enumerate(cases):
            on_progress(Progress("cases prepared", done, len(cases)))
            try:
                if alike.setdefault(source.id.casefold(), source.id) != source.id:
                    msg = f"{alike[source.id.casefold()]!r} differs from it in nothing but case."
                    raise InvalidInput(msg)
                case = _prepared(source, folder, preparation, known.get(source.id))
            except MedSegAnyError as error:
                if isinstance(error, _Another):
                    raise
                left_out[source.id] = str(error)
                continue
            known[case.id] = case
    finally:  # whatever stops it, what was prepared is known
        manifest = Manifest(tuple(known.values()), folder)
        manifest.write(folder)
    on_progress(Progress("cases prepared", len(cases), len(cases)))
    return Prepared(manifest, left_out)


class _Another(InvalidInput):
    """A case of this name and other content is there."""


def _prepared(source: Source, folder: Path, preparation: Preparation, before: Case | None) -> Case:
    kind, image, labels = _read(source, preparation)
    if image.voxels.dtype == np.uint8 and kind != "3d":
        preparation = evolve(preparation, window=None)  # pictures are display values as read
    if kind != "3d":  # the rest of it is for slices of volumes
        preparation = evolve(preparation, smallest_voxels=0, smallest_pixels=0, slices="all")
    if labels.shape != image.voxels.shape[:3]:
        msg = f"{source.id}: labels of shape {labels.shape} for {image.voxels.shape[:3]}."
        raise InvalidInput(msg)
    shown, labels, steps = preparation(image, labels)
    spacing: tuple[float, ...] | None = image.spacing_mm if _has_spacing(source) else None
    if kind == "video":
        spacing = None
    flat = kind == "2d"
    if flat:
        if len(shown) != 1:
            msg = f"{source.id} is no 2D image: it has {len(shown)} slices."
            raise InvalidInput(msg)
        spacing = None if spacing is None else spacing[1:]
    arrays: dict[str, Any] = {
        "imgs": shown[0] if flat else shown,
        "gts": labels[0] if flat else labels,
    }
    if spacing is not None:
        arrays["spacing_zyx"] = np.array(spacing)
    file = f"{CASES}/{source.id}.npz"
    part = folder / CASES / f".{source.id}.npz"
    case = Case(
        source.id, source.patient, source.modality, kind, file, "",
        {int(n): source.labels.get(int(n), "") for n in np.unique(labels) if n},
        arrays["gts"].shape, spacing, source.dataset, source.licence, steps, source.synthetic,
    )  # fmt: skip
    try:
        np.savez_compressed(part, **arrays)
        case = evolve(case, sha256=sha256(part))
        if before is not None and before != case:
            msg = (
                f"{folder} has a case {source.id!r} already, of other content or otherwise "
                "prepared. A manifest does not change: take another folder."
            )
            raise _Another(msg)
        part.replace(folder / file)
    finally:
        part.unlink(missing_ok=True)
    return case


def _has_spacing(source: Source) -> bool:
    if ending(source.image) == ".npz":
        with _npz(source.image) as file:
            return bool({"spacing", "spacing_zyx", "affine"} & set(file.files))
    return ending(source.image) not in PICTURES


def _read(source: Source, preparation: Preparation) -> tuple[Kind, Volume, NDArray[Any]]:
    """What kind it is; its intensities; its labels, `(D, H, W)`."""
    path = source.image
    kind = source.kind or _kind_of(path, source.truth)
    if kind == "video":
        frames = _frames(path, preparation.window)
        return kind, _stack(frames), _truth_of_frames(source, frames.shape[:3])
    if ending(path) in PICTURES:
        picture = read_image(path, window=preparation.window)
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
        found = read_npz(path).labels if ending(path) == ".npz" else None
    if found is None:
        msg = f"{source.id} has no reference: name its label map."
        raise InvalidInput(msg)
    return kind, volume, found


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
        labels = np.stack([read_labels(p).labels.reshape(shape[1:]) for p in files])
    elif ending(truth) == ".npz":
        labels = read_npz(truth).labels if truth == source.image else _gts(truth)
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


def _gts(path: Path) -> NDArray[Any] | None:
    with _npz(path) as file:
        return file["gts"] if "gts" in file.files else None


@contextmanager
def _npz(path: Path) -> Iterator[Any]:
    with reading(path, "an npz"), np.load(existing(path), allow_pickle=False) as file:
        yield file
