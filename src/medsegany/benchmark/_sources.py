"""Data sets as they are on the disk: where images lie, and what is known of them."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from attrs import field, frozen

from medsegany._validate import one_of
from medsegany.benchmark._manifest import Kind
from medsegany.errors import FileError, InvalidInput
from medsegany.io._files import existing, reading
from medsegany.training import find_cases

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
