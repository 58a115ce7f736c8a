"""From data sets on the disk to prepared cases, and the manifest of them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen

from medsegany.benchmark._manifest import NAME, Case, Manifest
from medsegany.benchmark._preparation import Preparation
from medsegany.benchmark._read_source import has_spacing, read_source
from medsegany.benchmark._sources import Source
from medsegany.checkpoints import sha256
from medsegany.errors import InvalidInput, MedSegAnyError
from medsegany.io._files import make_folder
from medsegany.progress import OnProgress, Progress, no_progress

CASES = "cases"


@frozen
class Prepared:
    """What `prepare` made.

    Attributes:
        manifest: Of the cases that could be prepared, and of those that were there before.
        left_out: Name of a case -> why it is not among them.
    """

    manifest: Manifest
    left_out: Mapping[str, str]


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
    kind, image, labels = read_source(source, preparation.window)
    if image.voxels.dtype == np.uint8 and kind != "3d":
        preparation = evolve(preparation, window=None)  # pictures are display values as read
    if kind != "3d":  # the rest of it is for slices of volumes
        preparation = evolve(preparation, smallest_voxels=0, smallest_pixels=0, slices="all")
    if labels.shape != image.voxels.shape[:3]:
        msg = f"{source.id}: labels of shape {labels.shape} for {image.voxels.shape[:3]}."
        raise InvalidInput(msg)
    shown, labels, steps = preparation(image, labels)
    spacing: tuple[float, ...] | None = image.spacing_mm if has_spacing(source) else None
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
