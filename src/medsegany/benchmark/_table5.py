"""Table 5: organ by organ, before and after fine-tuning (Ma et al., 2024, section 3.4)."""

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen

from medsegany import metrics
from medsegany.benchmark._measure import nsd_of
from medsegany.errors import FileError, InvalidInput
from medsegany.io._files import atomically, write_text
from medsegany.metrics import Summary, summarize
from medsegany.progress import OnProgress, Progress, no_progress
from medsegany.prompts import boxes_from_labels
from medsegany.propagation import ByBox, ByMemory
from medsegany.protocols import Propagation, Segmenter
from medsegany.registry import load
from medsegany.training import Split, TrainingCase
from medsegany.training._names import RUN, SPLIT
from medsegany.training._store import StoredCase, store, window_of

# How slices are crossed, by what the table calls it. `ByBox` is what the paper's two rows are.
WAYS: Mapping[str, Propagation] = {"ByBox": ByBox(), "ByMemory": ByMemory(prompted="mask")}


@frozen
class Cell:
    """One organ, one metric, one way through the slices.

    Attributes:
        label: Of the organ; 0 for the mean of a case's organs.
        name: Of the organ; may be empty.
        way: "ByBox" or "ByMemory".
        metric: "dsc" or "nsd".
        before: By the base.
        after: By the fine-tuned model.
        gain: After minus before, case by case; its interval does not hold 0 where it is certain.
    """

    label: int
    name: str
    way: str
    metric: str
    before: Summary
    after: Summary
    gain: Summary


@frozen
class Table5:
    """The table, and what it was made of.

    Attributes:
        base: The model before.
        tuned: The model after.
        cells: Organs by way and metric; the mean over a case's organs last.
        rows: One for each case, organ, way and model: its scores.
        tolerance_mm: Of the NSD.
    """

    base: str
    tuned: str
    cells: tuple[Cell, ...]
    rows: tuple[Mapping[str, object], ...] = field(repr=False)
    tolerance_mm: float | Mapping[int, float]

    def markdown(self) -> str:
        """As Markdown; numbers are means, in brackets the 95 % bootstrap interval over patients."""
        parts = []
        for way in dict.fromkeys(cell.way for cell in self.cells):
            here = [cell for cell in self.cells if cell.way == way]
            cases = max(cell.gain.count for cell in here)
            patients = max(cell.gain.patients for cell in here)
            models = f"{self.base} before, {self.tuned} after"
            lines = [
                f"**{way}**: {cases} cases of {patients} patients; {models}.",
                "",
                "| organ | DSC before | after | gain | NSD before | after | gain |",
                "|---|---|---|---|---|---|---|",
            ]
            for label in dict.fromkeys(cell.label for cell in here):
                dsc, nsd = (
                    next(c for c in here if c.label == label and c.metric == metric)
                    for metric in ("dsc", "nsd")
                )
                name = dsc.name or (str(label) if label else "mean")
                words = [_plain(dsc.before), _plain(dsc.after), _signed(dsc.gain)]
                words += [_plain(nsd.before), _plain(nsd.after), _signed(nsd.gain)]
                lines.append(f"| {name} | {' | '.join(words)} |")
            parts.append("\n".join(lines))
        return "\n\n".join(parts) + "\n"

    def write(self, folder: str | Path) -> tuple[Path, Path]:
        """`table5.md`, and `table5.csv` with the scores of every case, into a folder."""
        folder = Path(folder)
        text, scores = folder / "table5.md", folder / "table5.csv"
        write_text(text, self.markdown())
        atomically(scores, lambda path: _write_rows(path, self.rows))
        return text, scores


def table5(
    run: str | Path,
    cases: Sequence[TrainingCase],
    *,
    base: Segmenter | str | Path | None = None,
    side: str = "test",
    tolerance_mm: float | Mapping[int, float] = 2.0,
    ways: Mapping[str, Propagation] = WAYS,
    device: str = "auto",
    on_progress: OnProgress = no_progress,
) -> Table5:
    """Measure a fine-tuned model and its base on the cases that neither learnt from.

    Each object gets its tight box on its middle slice, and the slices that it is on in the
    reference, as in the paper's study; the box of the slice that is prompted, where the released
    script takes that of another slice.

    Args:
        run: The folder that `training.finetune` filled.
        cases: Those of the fine-tuning; see `training.find_cases`.
        base: The model before; None for the one that the run began with.
        side: "test", or "validation".
        tolerance_mm: Of the NSD; 2 mm for every organ in the released script.
        ways: How slices are crossed.
        device: See `medsegany.load`.
        on_progress: Told of volumes.

    Raises:
        FileError: The folder holds no finished run.
        InvalidInput: There are no such cases, or what is called as the base was has other weights.
    """
    run = Path(run)
    if not (run / "model").is_dir() or not (run / SPLIT).is_file():
        msg = f"{run} holds no finished fine-tuning: there is no folder {run / 'model'}."
        raise FileError(msg)
    about = json.loads((run / RUN).read_text("utf-8"))
    models = {
        "before": _before(about, base, device),
        "after": load(run / "model", device=device),
    }
    split = Split.read(run / SPLIT, cases)
    names = getattr(split, side)
    if not names:
        msg = f"The split has no {side} cases."
        raise InvalidInput(msg)
    wanted = [case for case in cases if case.name in set(names)]
    patients = {case.name: case.patient for case in wanted} | dict(split.patients)
    window, frame, where = window_of(about["window"]), about["frame"], run / "cases"
    stored = store(wanted, where, window=window, frame=frame, on_progress=on_progress)
    labels = {int(n): str(name) for n, name in about["labels"].items()}
    total, done = len(stored) * len(ways) * len(models), 0
    rows: list[Mapping[str, object]] = []
    for case in stored:
        for way, propagation in ways.items():
            for when, segmenter in models.items():
                on_progress(Progress("volumes", done, total))
                found = _scores(segmenter, case, labels, propagation, tolerance_mm)
                rows += [
                    {
                        "case": case.name,
                        "patient": patients[case.name],
                        "way": way,
                        "model": when,
                        "label": label,
                        "name": labels[label],
                        **scores,
                    }
                    for label, scores in found.items()
                ]
                done += 1
    on_progress(Progress("volumes", total, total))
    cells = _cells(rows, labels)
    return Table5(models["before"].name, models["after"].name, cells, tuple(rows), tolerance_mm)


def _before(
    about: Mapping[str, Any], base: Segmenter | str | Path | None, device: str
) -> Segmenter:
    """The model that a run began with, as it looked at images then; or the one that is given."""
    from medsegany.backends.sam2 import Sam2Segmenter  # noqa: PLC0415 -- these two import torch
    from medsegany.training._weights import hash_of  # noqa: PLC0415

    if isinstance(base, Segmenter):
        return base
    size = about["image_size"]
    if base is not None:
        return load(base, device=device, image_size=size)
    found = load(about["base"], device=device, image_size=size, crop=about["crop"])
    if not isinstance(found, Sam2Segmenter) or hash_of(found.upstream) != about["weights"]:
        msg = (
            f"The run began with other weights than those of {about['base']!r}: a file of your "
            "own? Give the model it began with, base=load(...)."
        )
        raise InvalidInput(msg)
    return found


def _scores(
    segmenter: Segmenter,
    case: StoredCase,
    labels: Mapping[int, str],
    propagation: Propagation,
    tolerance_mm: float | Mapping[int, float],
) -> dict[int, dict[str, float]]:
    truth = np.where(np.isin(case.labels, list(labels)), case.labels, 0)
    boxes = boxes_from_labels(truth)
    if not boxes:
        return {}
    spans = {}
    for label in boxes:
        there = np.flatnonzero(case.areas[label])
        spans[label] = (int(there[0]), int(there[-1]))
    found = segmenter.segment_volume(
        np.asarray(case.images), boxes, slices=spans, propagation=propagation
    )
    scores: dict[int, dict[str, float]] = {}
    for label in boxes:
        mask, true = found.masks[label], truth == label
        distance = tolerance_mm[label] if isinstance(tolerance_mm, Mapping) else tolerance_mm
        nsd = nsd_of(mask, true, case.spacing_mm, distance)
        scores[label] = {"dsc": metrics.dsc(mask, true), "nsd": nsd}
    return scores


def _cells(rows: Sequence[Mapping[str, object]], labels: Mapping[int, str]) -> tuple[Cell, ...]:
    cells = []
    for way in dict.fromkeys(str(row["way"]) for row in rows):
        for metric in ("dsc", "nsd"):
            here = [row for row in rows if row["way"] == way]
            for label in [*labels, 0]:
                pairs = _pairs(here, metric, lambda row, n=label: n in (0, row["label"]))  # type: ignore[misc]
                if not pairs:
                    continue
                people, before, after = zip(*pairs, strict=True)
                first, second = np.array(before), np.array(after)
                cells.append(
                    Cell(
                        label,
                        labels.get(label, ""),
                        way,
                        metric,
                        summarize(first, patients=people),
                        summarize(second, patients=people),
                        summarize(second - first, patients=people),
                    )
                )
    return tuple(cells)


def _pairs(
    rows: Sequence[Mapping[str, object]],
    metric: str,
    wanted: Callable[[Mapping[str, object]], bool],
) -> list[tuple[str, float, float]]:
    """Patient, before and after of every case; several organs of a case are averaged first."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        if wanted(row):
            key = (str(row["case"]), str(row["patient"]))
            sides = found.setdefault(key, {"before": [], "after": []})
            sides[str(row["model"])].append(float(row[metric]))  # type: ignore[arg-type]
    return [
        (patient, float(np.mean(sides["before"])), float(np.mean(sides["after"])))
        for (_, patient), sides in found.items()
    ]


def _plain(summary: Summary) -> str:
    return f"{summary.mean:.3f}"


def _signed(summary: Summary) -> str:
    if math.isnan(summary.low):
        return f"{summary.mean:+.3f}"
    return f"{summary.mean:+.3f} [{summary.low:+.3f}, {summary.high:+.3f}]"


def _write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["case"])
        writer.writeheader()
        writer.writerows(rows)
