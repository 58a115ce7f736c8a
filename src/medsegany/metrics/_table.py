"""Metrics by label, as a small table."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from medsegany._optional import optional_import
from medsegany.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]


@frozen
class Row:
    """One label.

    Attributes:
        label: Its number.
        name: Its name, if one was given.
        prediction_voxels: How many the prediction has; 0: the object was missed.
        truth_voxels: How many the truth has; 0: the object was made up.
        scores: Metric -> value.
    """

    label: int
    name: str
    prediction_voxels: int
    truth_voxels: int
    scores: Mapping[str, float] = field(factory=dict)

    def __getitem__(self, metric: str) -> float:
        """The value of a metric."""
        return self.scores[metric]


@frozen(eq=False)
class Evaluation:
    """The metrics of all labels; `evaluation["dsc"]` is one of them, label by label.

    Attributes:
        rows: By label, ascending.
        metrics: The names of the columns.
        preset: "medsam" where numbers are those of the released scripts, for comparison only.
    """

    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    preset: str = ""

    def __len__(self) -> int:
        """How many labels there are."""
        return len(self.rows)

    def __getitem__(self, metric: str) -> NDArray[np.float64]:
        """One metric of all labels.

        Raises:
            InvalidInput: It was not measured.
        """
        if metric not in self.metrics:
            msg = f"{metric!r} was not measured; there is {', '.join(self.metrics)}."
            raise InvalidInput(msg)
        return np.array([row.scores[metric] for row in self.rows], np.float64)

    def row(self, label: int) -> Row:
        """One label.

        Raises:
            InvalidInput: Neither the prediction nor the truth has it.
        """
        for row in self.rows:
            if row.label == label:
                return row
        msg = f"There is no label {label}; there is {[row.label for row in self.rows]}."
        raise InvalidInput(msg)

    def mean(self) -> dict[str, float]:
        """Metric -> its mean over the labels that have a value; nan where none has."""
        found = {}
        for metric in self.metrics:
            known = self[metric][~np.isnan(self[metric])]
            found[metric] = float(known.mean()) if known.size else math.nan
        return found

    def to_dicts(self) -> list[dict[str, Any]]:
        """A flat dictionary for each label, for JSON or a table of one's own."""
        return [
            {
                "label": row.label,
                "name": row.name,
                "prediction_voxels": row.prediction_voxels,
                "truth_voxels": row.truth_voxels,
                **row.scores,
            }
            for row in self.rows
        ]

    def to_pandas(self) -> "pd.DataFrame":
        """A data frame, a row for each label.

        Raises:
            MissingDependency: pandas is not installed.
        """
        pandas = optional_import("pandas", extra="pandas", purpose="make a data frame")
        columns = ["label", "name", "prediction_voxels", "truth_voxels", *self.metrics]
        frame: pd.DataFrame = pandas.DataFrame(self.to_dicts(), columns=columns)
        return frame

    def __str__(self) -> str:
        """A table in plain text."""
        head = ["label", "name", *self.metrics]
        lines = [
            [str(row.label), row.name, *(f"{row.scores[m]:.4f}" for m in self.metrics)]
            for row in self.rows
        ]
        lines.append(["mean", "", *(f"{value:.4f}" for value in self.mean().values())])
        if not any(row.name for row in self.rows):
            head, lines = [head[0], *head[2:]], [[line[0], *line[2:]] for line in lines]
        widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
        shown = [
            "  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True))
            for line in (head, *lines)
        ]
        if self.preset:
            shown.insert(0, f"preset {self.preset!r}: for comparison with published numbers only")
        return "\n".join(shown)
