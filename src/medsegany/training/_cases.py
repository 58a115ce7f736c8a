"""Which images a model is trained on, whose they are, and which are kept apart."""

import csv
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, evolve, field, frozen

from medsegany.errors import FileError, InvalidInput
from medsegany.io import PICTURES, VOLUMES, ending
from medsegany.io._files import by_stem, existing, reading, write_text

_PAIRS = (("imagesTr", "labelsTr"), ("images", "labels"), ("images", "masks"), ("imgs", "gts"))
_IMAGES = VOLUMES | PICTURES


@frozen
class TrainingCase:
    """An image or volume with its label map.

    Attributes:
        name: The name of the file, without its ending and without nnU-Net's `_0000`.
        patient: Who it is of: cases of one patient are never on both sides of a split.
        image: The file.
        labels: Its label map; None where the image's own npz holds it.
    """

    name: str
    patient: str
    image: Path
    labels: Path | None = None


def find_cases(
    folder: str | Path,
    labels: str | Path | None = None,
    *,
    patients: Mapping[str, str] | str | Path | None = None,
) -> list[TrainingCase]:
    """The cases of a folder, as it is: nothing is converted.

    Args:
        folder: One with `imagesTr` and `labelsTr` (nnU-Net; of several channels the first is
            taken), with `images` and `labels` (or `masks`), or with the npz of the MedSAM
            challenges; or one with images, when `labels` is given.
        labels: A folder with label maps of the same names.
        patients: Whose each case is: case -> patient, or a CSV with the columns `case` and
            `patient`. Without it every case counts as a patient of its own, which flatters where
            it is not so.

    Raises:
        FileError: There is no such folder or nothing in it, an image has no label map, or two
            have one name.
        InvalidInput: `patients` leaves a case out, or names one that is not there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        msg = f"There is no folder {folder}." if not folder.exists() else f"{folder} is a file."
        raise FileError(msg)
    found = _pairs(folder, None if labels is None else Path(labels))
    if patients is None:
        return found
    known = _patients(Path(patients)) if isinstance(patients, (str, Path)) else dict(patients)
    names = {case.name for case in found}
    without, strangers = sorted(names - known.keys()), sorted(known.keys() - names)
    if without:
        msg = f"patients says nothing of {len(without)} of {len(names)} cases, such as {without[0]}"
        msg += f"; it names {strangers[0]}, which is no case." if strangers else "."
        raise InvalidInput(msg)
    return [evolve(case, patient=known[case.name]) for case in found]


def _pairs(folder: Path, labels: Path | None) -> list[TrainingCase]:
    images = folder
    if labels is None:
        for first, second in _PAIRS:
            if (folder / first).is_dir() and (folder / second).is_dir():
                images, labels = folder / first, folder / second
                break
    elif not labels.is_dir():
        msg = f"There is no folder {labels}."
        raise FileError(msg)
    if labels is None:
        return _challenge(folder)
    whole = {path.name[: -len(ending(path))] for path in labels.iterdir() if ending(path)}
    maps = _by_stem(labels, VOLUMES | {".png"}, whole)
    cases = []
    for name, image in _by_stem(images, _IMAGES, whole).items():
        if name not in maps:
            msg = f"{image} has no label map of its name in {labels}."
            raise FileError(msg)
        cases.append(TrainingCase(name, name, image, maps[name]))
    return cases


def _challenge(folder: Path) -> list[TrainingCase]:
    found = [path for path in sorted(folder.iterdir()) if ending(path) == ".npz"]
    if not found:
        pairs = ", ".join(f"{first} and {second}" for first, second in _PAIRS)
        msg = (
            f"{folder} holds no pair of folders ({pairs}) and no npz. Where label maps lie "
            "elsewhere, name their folder: labels=."
        )
        raise FileError(msg)
    return [TrainingCase(name, name, path) for name, path in by_stem(found).items()]


def _by_stem(folder: Path, kinds: Iterable[str], labelled: Collection[str]) -> dict[str, Path]:
    """Files by their stem, without nnU-Net's further channels, which have no labels."""
    found = []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name[0] == "." or ending(path) not in kinds:
            continue
        name = path.name[: -len(ending(path))]
        first = path.with_name(f"{name[:-4]}0000{ending(path)}")
        channel = name[-5:-4] == "_" and name[-4:].isdecimal() and name not in labelled
        if channel and first != path and first.exists():
            continue
        found.append(path)
    if not found:
        msg = f"The folder {folder} holds none of {', '.join(sorted(kinds))}."
        raise FileError(msg)
    return by_stem(found)


def _patients(path: Path) -> dict[str, str]:
    with reading(existing(path), "CSV"), path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"case", "patient"} <= rows[0].keys():
        msg = f"{path} needs a first line with the columns case and patient."
        raise FileError(msg)
    found: dict[str, str] = {}
    for row in rows:
        case, patient = row["case"], row["patient"]
        if not (case and patient):
            msg = (
                f"{path} has a line without a {'patient' if case else 'case'}: {case or patient!r}."
            )
            raise FileError(msg)
        if found.setdefault(case, patient) != patient:
            msg = f"{path} says of {case!r} that it is of {found[case]!r}, and of {patient!r}."
            raise FileError(msg)
    return found


# --- splits --------------------------------------------------------------------------------------


def _as_names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(names)


@frozen
class Split:
    """Names of cases: to learn from, to choose by, and to be measured on once.

    Attributes:
        train: To learn from.
        validation: To choose the weights by.
        test: Kept for the table.
        patients: Case -> patient, as it was when they were divided; may be empty.
    """

    train: tuple[str, ...] = field(converter=_as_names)
    validation: tuple[str, ...] = field(converter=_as_names)
    test: tuple[str, ...] = field(converter=_as_names)
    patients: Mapping[str, str] = field(factory=dict, eq=False, repr=False)

    def write(self, path: Path) -> None:
        """As JSON."""
        write_text(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: str | Path, cases: Sequence[TrainingCase]) -> "Split":
        """A split that was written down, here or by hand.

        Raises:
            FileError: It is none.
            InvalidInput: It names a case that is not there, or one patient on two sides.
        """
        path = existing(path)
        with reading(path, "a split"):
            content: dict[str, Any] = dict(json.loads(path.read_text("utf-8")))
        sides = ("train", "validation", "test")
        if unknown := content.keys() - {*sides, "patients"}:
            msg = f"{path} has {min(unknown)!r}; a split has {', '.join(sides)}."
            raise FileError(msg)
        given = {side: content.get(side, []) for side in sides}
        patients = content.get("patients", {})
        lists = all(isinstance(names, list) for names in given.values())
        if not (lists and isinstance(patients, dict)):
            msg = f"{path}: {', '.join(sides)} are lists of cases, and patients is case to patient."
            raise FileError(msg)
        split = cls(**given, patients=patients)
        try:
            split.check(cases)
        except InvalidInput as error:
            msg = f"{path}: {error}"
            raise InvalidInput(msg) from error
        return split

    def check(self, cases: Sequence[TrainingCase]) -> None:
        """Refuse unknown cases, and patients who are on two sides.

        Raises:
            InvalidInput: With the case or the patient.
        """
        patients = {case.name: case.patient for case in cases}
        for name, patient in self.patients.items():
            # A case that nobody was asked about is its own patient.
            if patients.get(name, name) not in {name, patient}:
                msg = f"The case {name!r} was of {patient!r}, and now of {patients[name]!r}."
                raise InvalidInput(msg)
            if name in patients:
                patients[name] = patient
        seen: dict[str, str] = {}
        for side in ("train", "validation", "test"):
            for name in getattr(self, side):
                if name not in patients:
                    msg = f"The split names the case {name!r}, which is not there."
                    raise InvalidInput(msg)
                other = seen.setdefault(patients[name], side)
                if other != side:
                    msg = f"The patient {patients[name]!r} is in both {other} and {side}."
                    raise InvalidInput(msg)
        if not self.train:
            msg = "Nothing is left to train on."
            raise InvalidInput(msg)


def split_cases(
    cases: Sequence[TrainingCase], *, validation: float = 0.1, test: float = 0.2, seed: int = 0
) -> Split:
    """Divide cases by patient, by chance from a seed.

    Args:
        cases: All of them.
        validation: Part of the patients by whom the best weights are chosen; at least one patient,
            unless it is 0.
        test: Part of the patients who are kept for the table; the paper's FLARE22 study has 0.2.
        seed: The same seed and patients give the same split, in whatever order they come.

    Raises:
        InvalidInput: There are too few patients.
    """
    patients = sorted({case.patient for case in cases})
    order = np.random.default_rng(seed).permutation(len(patients))
    counts = [max(1, round(part * len(patients))) if part else 0 for part in (test, validation)]
    if sum(counts) >= len(patients):
        msg = (
            f"{len(patients)} patients cannot be divided: {counts[0]} for the test, {counts[1]} "
            "for validation, and somebody to learn from. Cases of one patient stay together."
        )
        raise InvalidInput(msg)
    sides = ["test"] * counts[0] + ["validation"] * counts[1]
    sides += ["train"] * (len(patients) - len(sides))
    side_of = {patients[n]: side for n, side in zip(order.tolist(), sides, strict=True)}
    groups: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for case in sorted(cases, key=lambda case: case.name):
        groups[side_of[case.patient]].append(case.name)
    return Split(**groups, patients={case.name: case.patient for case in cases})
