"""`medsegany evaluate`: label maps against the truth."""

import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table
from rich.text import Text

from medsegany.cli import _common as common
from medsegany.cli._cases import Case, stem
from medsegany.cli._common import out
from medsegany.cli._runs import Row, end, run_cases
from medsegany.errors import FileError
from medsegany.io import ending, read_labels
from medsegany.metrics import dsc
from medsegany.progress import OnProgress
from medsegany.volume import Volume

_LABELS = {".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha", ".mhd", ".npz", ".png"}


def evaluate(
    prediction: Annotated[Path, typer.Argument(help="A label map, or a folder of them.")],
    truth: Annotated[Path, typer.Argument(help="The true one, or a folder with the same names.")],
    as_json: common.AsJson = False,
) -> None:
    """Compare label maps with the truth: the Dice similarity coefficient of each object.

    An object that neither map holds is left out; one that only one of them holds has 0.
    A prediction on another grid is an error.
    """
    cases = _pairs(prediction, truth)
    rows: list[Row] = []
    run_cases(cases, overwrite=True, one=_one, rows=rows)
    failed = sum("error" in row for row in rows)
    if as_json:
        common.print_json(
            [{"prediction": str(case.source), **row} for row, case in zip(rows, cases, strict=True)]
        )
    else:
        _print(rows, cases)
    if failed:
        common.err.print(f"{failed} of {len(rows)} failed, and are in no mean.")
        end(failed, len(rows))


def _pairs(prediction: Path, truth: Path) -> list[Case]:
    """Predictions with their truth; `target` is not used."""
    for path in (prediction, truth):
        if not path.exists():
            msg = f"There is no file or folder {path}."
            raise FileError(msg)
    if prediction.is_dir() != truth.is_dir():
        msg = "Two files are compared, or two folders; this is one of each."
        raise FileError(msg)
    if not prediction.is_dir():
        return [Case(prediction, prediction, truth)]
    predictions, truths = _by_stem(prediction), _by_stem(truth)
    missing = sorted(truths.keys() - predictions.keys())
    if missing:
        msg = (
            f"{len(missing)} of {len(truths)} true label maps have no prediction, such as "
            f"{truths[missing[0]].name}. Leaving them out would flatter."
        )
        raise FileError(msg)
    return [Case(predictions[name], predictions[name], truths[name]) for name in sorted(truths)]


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and ending(path) in _LABELS and path.name[0] != ".":
            if stem(path) in found:
                msg = f"{found[stem(path)].name} and {path.name} have one name in {folder}."
                raise FileError(msg)
            found[stem(path)] = path
    if not found:
        msg = f"The folder {folder} holds no label maps."
        raise FileError(msg)
    return found


def _one(case: Case, _: OnProgress) -> dict[str, Any]:
    assert case.reference is not None
    true = read_labels(case.reference)
    # A volume on the truth's grid, for the prediction to be compared with; no voxels are needed.
    grid = np.broadcast_to(np.uint8(0), true.labels.shape)
    like = grid if true.affine is None else Volume(grid, true.affine)
    found = read_labels(case.source, like=like)
    present = np.union1d(np.unique(found.labels), np.unique(true.labels))
    values = {
        str(label): dsc(found.labels == label, true.labels == label)
        for label in present[present > 0].tolist()
    }
    mean = float(np.mean(list(values.values()))) if values else math.nan
    return {
        "dsc": {label: round(value, 6) for label, value in values.items()},
        "mean_dsc": None if math.isnan(mean) else round(mean, 6),
    }


def _print(rows: list[dict[str, Any]], cases: list[Case]) -> None:
    table = Table("case", "object", "DSC")
    every: list[float] = []
    for row, case in zip(rows, cases, strict=True):
        for label, value in row.get("dsc", {}).items():
            table.add_row(Text(case.name), label, f"{value:.4f}")
            every.append(value)
    if len(every) > 1:
        table.add_section()
        table.add_row(f"mean of {len(every)}", "", f"{np.mean(every):.4f}")
    if every:
        out.print(table)
