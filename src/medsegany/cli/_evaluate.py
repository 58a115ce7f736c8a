"""`medsegany evaluate`: label maps against the truth."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from attrs import evolve, frozen
from rich.table import Table
from rich.text import Text

from medsegany import metrics
from medsegany.cli import _common as common
from medsegany.cli._cases import Case, label_maps
from medsegany.cli._common import NotUnderstood, err, out
from medsegany.cli._runs import Row, end, run_cases
from medsegany.errors import FileError, InvalidInput
from medsegany.io import read_labels, stem
from medsegany.io._files import atomically, by_stem
from medsegany.metrics import Evaluation, Tolerance
from medsegany.volume import Volume


@frozen
class Options:
    """What holds for every case."""

    measures: Sequence[str]
    tolerance: Tolerance | None
    labels: Mapping[int, str] | None
    preset: Literal["medsam"] | None


def evaluate(
    prediction: Annotated[Path, typer.Argument(help="A label map, or a folder of them.")],
    truth: Annotated[Path, typer.Argument(help="The true one, or a folder with the same names.")],
    tolerance: Annotated[
        str | None,
        typer.Option(
            metavar="MM|L=MM,...|flare22",
            help="For the NSD: a distance, several (1,2,5), one for each label (1=5,2=3), or "
            "those of the FLARE22 challenge. Without it there is no NSD.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="L,...", help="Only these: 1,2,13 or 1=liver,2=kidney."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="dsc, iou, nsd, hd95, hd, assd, masd, asd, surface_overlap, boundary_iou; "
            "several times. Without it dsc, and nsd where there is a tolerance.",
        ),
    ] = None,
    preset: Annotated[
        Literal["medsam"] | None,
        typer.Option(help="As MedSAM's released scripts, to compare with published numbers."),
    ] = None,
    as_csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write all values, a row for each object."),
    ] = None,
    as_json: common.AsJson = False,
    overwrite: common.Overwrite = False,
) -> None:
    """Compare label maps with the truth, object by object.

    Spacing comes from the files; in pictures a pixel counts 1. An object that only one of the maps
    holds has a DSC of 0. A prediction on another grid is an error, and so is one that is missing.

        medsegany evaluate found.nii.gz truth.nii.gz --tolerance 2

        medsegany evaluate found/ truth/ --tolerance flare22 --csv scores.csv
    """
    options = Options(
        metric or (["dsc"] if tolerance is None and preset is None else ["dsc", "nsd"]),
        _tolerance(tolerance),
        None if labels is None else common.labels_of(labels, "--labels"),
        preset,
    )
    if as_csv is not None and as_csv.exists() and not overwrite:
        msg = f"{as_csv} is there already: --overwrite replaces it."
        raise FileError(msg)
    _refuse_words(options)
    cases = _pairs(prediction, truth)
    found: dict[int, Evaluation] = {}
    rows: list[Row] = []

    def one(case: Case, _: object) -> Row:
        scores = _scores(case, options)
        found[cases.index(case)] = scores
        return {"objects": [_finite(row) for row in scores.to_dicts()]}

    run_cases(cases, overwrite=True, one=one, rows=rows)
    if as_csv is not None:
        atomically(as_csv, lambda path: _write(path, cases, found))
    if as_json:
        common.print_json(
            [{"prediction": str(case.source), **row} for row, case in zip(rows, cases, strict=True)]
        )
    else:
        _print(cases, found)
    failed = sum("error" in row for row in rows)
    if failed:
        err.print(f"{failed} of {len(rows)} failed, and are in no mean.")
        end(failed, len(rows))


# --- words ---------------------------------------------------------------------------------------


def _tolerance(text: str | None) -> Tolerance | None:
    if text is None:
        return None
    if text == "flare22":
        return metrics.FLARE22_TOLERANCES_MM
    try:
        if "=" in text:
            pairs = (word.split("=") for word in text.split(","))
            return {int(label): float(mm) for label, mm in pairs}
        several = [float(word) for word in text.split(",")]
    except ValueError as error:
        msg = f"--tolerance {text}: millimetres are needed, such as 2, or 1,2,5, or 1=5,2=3."
        raise NotUnderstood(msg) from error
    return several if len(several) > 1 else several[0]


def _refuse_words(options: Options) -> None:
    """Once, before the work, and not for every case."""
    nothing = np.zeros((1, 1), np.uint8)
    labels = None if isinstance(options.tolerance, Mapping) else options.labels
    try:
        _evaluated(nothing, nothing, (1, 1), options, labels)
    except InvalidInput as error:
        raise NotUnderstood(str(error)) from error


# --- files ---------------------------------------------------------------------------------------


def _pairs(prediction: Path, truth: Path) -> list[Case]:
    """Predictions with their truth; `target` is not used."""
    for path in (prediction, truth):
        if not path.exists():
            msg = f"There is no file or folder {path}."
            raise FileError(msg)
    if prediction.is_dir() != truth.is_dir():
        msg = "Two files are compared, or two folders; this is one of each."
        raise NotUnderstood(msg)
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
    if more := sorted(predictions.keys() - truths.keys()):
        few = ", ".join(predictions[name].name for name in more[:3])
        err.print(Text(f"{len(more)} predictions have no truth and are left out: {few}"))
    return [Case(predictions[name], predictions[name], truths[name]) for name in sorted(truths)]


def _by_stem(folder: Path) -> dict[str, Path]:
    found = by_stem(label_maps(folder))
    if not found:
        msg = f"The folder {folder} holds no label maps."
        raise FileError(msg)
    return found


def _scores(case: Case, options: Options) -> Evaluation:
    assert case.reference is not None
    true = read_labels(case.reference)
    # A volume on the truth's grid, for the prediction to be compared with; no voxels are needed.
    grid = np.broadcast_to(np.uint8(0), true.labels.shape)
    like = grid if true.affine is None else Volume(grid, true.affine)
    found = read_labels(case.source, like=like)
    spacing = like.spacing_mm if isinstance(like, Volume) else (1.0,) * grid.ndim
    scores = _evaluated(found.labels, true.labels, spacing, options, options.labels)
    if options.labels:
        return scores
    names = {**found.names, **true.names}  # which change neither what is counted nor a score
    return evolve(
        scores, rows=tuple(evolve(row, name=names.get(row.label, "")) for row in scores.rows)
    )


def _evaluated(
    prediction: Any,  # noqa: ANN401 -- label maps of any type
    truth: Any,  # noqa: ANN401
    spacing: Sequence[float],
    options: Options,
    labels: Mapping[int, str] | None,
) -> Evaluation:
    return metrics.evaluate(
        prediction,
        truth,
        spacing_mm=spacing,
        tolerance_mm=options.tolerance,
        labels=labels,
        metrics=options.measures,
        preset=options.preset,
    )


# --- results -------------------------------------------------------------------------------------


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no nan and no inf."""
    return {
        key: value
        if not isinstance(value, float) or math.isfinite(value)
        else ("inf" if value > 0 else None)
        for key, value in row.items()
    }


def _write(path: Path, cases: Sequence[Case], found: Mapping[int, Evaluation]) -> None:
    rows = [
        {"case": stem(cases[n].source), **row}
        for n, scores in found.items()
        for row in scores.to_dicts()
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["case"])
        writer.writeheader()
        writer.writerows(rows)


def _print(cases: Sequence[Case], found: Mapping[int, Evaluation]) -> None:
    if not any(len(scores) for scores in found.values()):
        return
    first = next(iter(found.values()))
    named = any(row.name for scores in found.values() for row in scores.rows)
    table = Table("case", "object", *(["name"] if named else []), *first.metrics)
    for n, scores in found.items():
        for row in scores.rows:
            name = [Text(row.name)] if named else []
            values = [f"{row[metric]:.4f}" for metric in scores.metrics]
            table.add_row(Text(cases[n].name), str(row.label), *name, *values)
    table.add_section()
    means = [scores.mean() for scores in found.values()]
    if len(found) == 1:
        words = [f"{means[0][metric]:.4f}" for metric in first.metrics]
    else:
        words = [
            str(metrics.summarize([mean[metric] for mean in means])) for metric in first.metrics
        ]
    table.add_row("mean" if len(found) == 1 else "mean of cases", "",
                  *([""] if named else []), *words)  # fmt: skip
    if first.preset:
        err.print("preset medsam: for comparison with published numbers only.", highlight=False)
    out.print(table)
    if len(found) > 1:
        err.print(
            "Objects are averaged within a case, then cases; in brackets the 95 % bootstrap "
            "interval over cases.",
            highlight=False,
        )
