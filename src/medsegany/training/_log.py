"""What is written down while a model learns: a CSV, TensorBoard's events, and a picture."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medsegany._optional import optional_import
from medsegany.io._files import atomically

LOG, CURVES = "log.csv", "curves.png"
COLUMNS = (
    "step", "epoch", "seconds", "rate", "loss", "mask", "iou_error", "presence", "prompted_iou",
    "tracked_iou", "gradient", "dsc", "prompted_dsc", "tracked_dsc",
)  # fmt: skip


class Log:
    """The rows of a run. Those after the step that it goes on from are dropped: they come again.

    Args:
        folder: Of the run.
        step: The last one that counts.
        tensorboard: Whether events are written, too.
    """

    def __init__(self, folder: Path, step: int, *, tensorboard: bool) -> None:
        self._path = folder / LOG
        kept = [row for row in read_log(folder) if row["step"] <= step] if step else []
        atomically(self._path, lambda path: _write(path, kept))
        self._file = self._path.open("a", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._file, COLUMNS, extrasaction="ignore")
        self._events: Any = None
        if tensorboard:
            module = optional_import(
                "torch.utils.tensorboard", extra="train", purpose="write events for TensorBoard"
            )
            self._events = module.SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def add(self, row: Mapping[str, float]) -> None:
        """One step's row; what is missing stays empty."""
        self._writer.writerow(
            {k: v if k in {"step", "epoch"} else f"{v:.6g}" for k, v in row.items()}
        )
        if self._events is not None:
            for name, value in row.items():
                if name not in {"step", "epoch", "seconds"}:
                    self._events.add_scalar(name, value, int(row["step"]))

    def measured(self, step: int, found: Mapping[str, float]) -> None:
        """What a validation after this step gave: a row of its own."""
        self.add({"step": step, **found})
        self._file.flush()  # for whoever looks on

    def flush(self) -> None:
        """To the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._events is not None:
            self._events.flush()

    def close(self) -> None:
        """No more rows."""
        self._file.close()
        if self._events is not None:
            self._events.close()


def read_log(folder: Path) -> list[dict[str, float]]:
    """The rows that were written; half a line, after a power cut, is none."""
    path = folder / LOG
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        try:
            found.append({k: float(v) for k, v in row.items() if k and v})
        except (TypeError, ValueError):
            continue
    return [row for row in found if "step" in row]


def _write(path: Path, rows: list[dict[str, float]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            words = {k: int(v) if k in {"step", "epoch"} else f"{v:.6g}" for k, v in row.items()}
            writer.writerow(words)


def draw_curves(folder: Path, title: str = "") -> Path:
    """Loss and DSC over the steps, as a PNG in the folder of the run.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    optional_import("matplotlib", extra="train", purpose="draw curves")
    from matplotlib.figure import Figure  # noqa: PLC0415 -- an extra

    rows = read_log(folder)
    learnt = [row for row in rows if "loss" in row]
    steps = [row["step"] for row in learnt]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    losses = [row["loss"] for row in learnt]
    left.plot(steps, losses, color="#9db7d5", linewidth=0.8, label="each step")
    left.plot(steps, _smoothed(losses), color="#1f4e79", label="running mean")
    left.set(xlabel="step", ylabel="training loss", title=title)
    left.legend(frameon=False)
    names = {"prompted_dsc": "with a box", "tracked_dsc": "carried by memory"}
    for (name, words), colour in zip(names.items(), ("#b3541e", "#3c7a3c"), strict=True):
        seen = [(row["step"], row[name]) for row in rows if name in row]
        if seen:
            right.plot(*zip(*seen, strict=True), "o-", markersize=3, color=colour, label=words)
    right.set(xlabel="step", ylabel="DSC on validation cases")
    right.set(xlim=left.get_xlim(), ylim=(0, 1))
    if right.lines:
        right.legend(frameon=False, loc="lower right")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    path = folder / CURVES
    atomically(path, lambda neighbour: figure.savefig(neighbour, dpi=150))
    return path


def _smoothed(values: list[float]) -> list[float]:
    """A mean over about the last twenty-fifth of all values."""
    weight = 1 - 1 / max(1, len(values) / 25)
    mean, total, found = 0.0, 0.0, []
    for value in values:
        mean, total = weight * mean + (1 - weight) * value, weight * total + (1 - weight)
        found.append(mean / total if total else value)
    return found
