"""Averages of results: objects, then cases, then modalities; and tables of them.

A case with twelve organs counts as much as a case with one (paper: Tables 1, 2 and 4 are means over
cases); the mean over objects stands beside it.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isnan, nan
from typing import Literal, TypeAlias, get_args

import numpy as np
from attrs import field, frozen

from medsegany._validate import choice
from medsegany.benchmark._names import refuse_mixtures
from medsegany.benchmark._results import Measurement, trained
from medsegany.errors import InvalidInput
from medsegany.metrics import Comparison, Summary, compare, summarize

Metric: TypeAlias = Literal["dsc", "nsd"]
"""What cells are of."""


@frozen
class Average:
    """One model, one modality, one metric.

    Attributes:
        model: Its name.
        modality: Of the cases; "mean" for the mean over modalities, each counted once.
        metric: "dsc" or "nsd".
        cases: Means of cases: their mean, and its interval over patients.
        objects: How many there are.
        of_objects: The mean over all objects, however they lie in cases.
    """

    model: str
    modality: str
    metric: Metric
    cases: Summary
    objects: int
    of_objects: float


@frozen
class ScoreTable:
    """A table before it is written.

    Attributes:
        title: What it shows.
        models: Its lines.
        modalities: Its columns, "mean" last where there are several.
        metrics: Within each column.
        cells: By model, modality and metric.
        without: Model -> cases that have no score.
        tests: Each model against the one named `against`, within each modality, by the first
            metric; p values are corrected over all models of the modality (Holm).
        against: The model that the others are compared with; "" for none.
    """

    title: str
    models: tuple[str, ...]
    modalities: tuple[str, ...]
    metrics: tuple[Metric, ...]
    cells: Mapping[tuple[str, str, Metric], Average] = field(repr=False)
    without: Mapping[str, int] = field(repr=False)
    tests: Mapping[str, tuple[Comparison, ...]] = field(factory=dict, repr=False)
    against: str = ""

    def markdown(self) -> str:
        """As Markdown: the mean, and in brackets its 95 % interval; the best in bold."""
        head = ["", *(f"{m} {metric.upper()}" for m in self.modalities for metric in self.metrics)]
        lines = [f"**{self.title}**", "", _line(head), _line(["---"] * len(head))]
        lines += [_line([model, *self._words(model, "**{}**")]) for model in self.models]
        lines.append(_line(["cases (objects)", *self.counts()]))
        notes = "".join(f"- {note}\n" for note in (*self.gaps(), *self.tested()))
        return "\n".join(lines) + "\n" + ("\n" + notes if notes else "")

    def latex(self) -> str:
        """As LaTeX, for the package booktabs."""
        columns = "l" + "r" * (len(self.modalities) * len(self.metrics))
        head = [f"{m} {metric.upper()}" for m in self.modalities for metric in self.metrics]
        rows = [[model, *self._words(model, r"\textbf{{{}}}")] for model in self.models]
        rows.append(["cases (objects)", *self.counts()])
        body = [" & ".join(map(_escaped, row)) + r" \\" for row in [["", *head], *rows]]
        return "\n".join(
            [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", body[0], r"\midrule", *body[1:-1],
             r"\midrule", body[-1], r"\bottomrule", r"\end{tabular}",
             *(f"% {note}" for note in self.gaps())]
        ) + "\n"  # fmt: skip

    def csv(self) -> str:
        """One line for each cell, with everything that is known of it."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["model", "modality", "metric", "mean", "low", "high", "median", "cases",
                         "patients", "objects", "mean_of_objects"])  # fmt: skip
        for cell in self.cells.values():
            s = cell.cases
            writer.writerow([cell.model, cell.modality, cell.metric, s.mean, s.low, s.high,
                             s.median, s.count, s.patients, cell.objects,
                             cell.of_objects])  # fmt: skip
        return out.getvalue()

    def is_best(self, cell: Average) -> bool:
        """Whether no other model has a higher mean there, of those with a score for every case.

        One that is alone is not the best.
        """
        column = [c for key, c in self.cells.items() if key[1:] == (cell.modality, cell.metric)]
        every = max(c.cases.count for c in column)
        here = [c.cases.mean for c in column if c.cases.count == every]
        complete = cell.cases.count == every
        return complete and len(here) > 1 and cell.cases.mean == float(np.nanmax(here))

    def gaps(self) -> list[str]:
        """Sentences about cases that are in no mean, and models that have not seen all."""
        notes = [
            f"{model}: {count} cases have no score and are in no mean."
            for model, count in self.without.items()
            if count
        ]
        for modality in self.modalities:
            if modality == "mean":
                continue
            here = {model: self.cells.get((model, modality, self.metrics[0]))
                    for model in self.models}  # fmt: skip
            counts = {model: cell.cases.count if cell else 0 for model, cell in here.items()}
            every = max(counts.values(), default=0)
            notes += [
                f"{modality}: {model} has {count} of {every} cases."
                for model, count in counts.items()
                if count < every
            ]
        return notes

    def tested(self) -> list[str]:
        """Sentences about the tests."""
        return [
            f"{modality}, {test.one} - {test.other}: {test.difference:+.3f} over "
            f"{test.patients} patients, p = {test.p_value:.2g} (Holm: {test.p_holm:.2g})"
            for modality, tests in self.tests.items()
            for test in tests
            if test.patients > 1 and not isnan(test.p_value)
        ]

    def _words(self, model: str, bold: str) -> list[str]:
        words = []
        for modality in self.modalities:
            for metric in self.metrics:
                cell = self.cells.get((model, modality, metric))
                if cell is None or isnan(cell.cases.mean):
                    words.append("-")
                    continue
                text = f"{cell.cases.mean:.3f}"
                text = bold.format(text) if self.is_best(cell) else text
                if not isnan(cell.cases.low):
                    text += f" [{cell.cases.low:.2f}, {cell.cases.high:.2f}]"
                words.append(text)
        return words

    def counts(self) -> list[str]:
        """Cases, and in brackets objects, of each column: those of the model that has most."""
        words = []
        for modality in self.modalities:
            here = [c for key, c in self.cells.items() if key[1] == modality]
            cases, objects = (
                max(n) for n in zip(*((c.cases.count, c.objects) for c in here), strict=True)
            )
            words += [f"{cases} ({objects})"] * len(self.metrics)
        return words


def tabulated(
    rows: Iterable[Measurement],
    title: str,
    *,
    metrics: Sequence[Metric] = ("dsc",),
    models: Sequence[str] | None = None,
    line: Callable[[Measurement], str] = lambda row: row.model,
    against: str = "",
) -> ScoreTable:
    """Average rows.

    Args:
        rows: Of one protocol, or of several where `line` tells them apart. Those of untrained
            models are left out.
        title: Of the table.
        metrics: What cells are of.
        models: The lines, in order; None for the order of names.
        line: In which line a row counts.
        against: A line that the others are tested against; "" for no tests.

    Raises:
        InvalidInput: No row has a score, `against` is no line, or a line would be of two models,
            protocols or versions of a case.
    """
    for metric in metrics:
        choice(metric, get_args(Metric), "metric")
    every = trained(rows)
    scored = [row for row in every if row.status == "ok"]
    if not scored:
        msg = "No case has a score yet: run the benchmark first."
        raise InvalidInput(msg)
    lines = list(models) if models is not None else sorted({line(row) for row in scored})
    if against and against not in lines:
        msg = f"against={against!r} is no line of the table: {', '.join(lines)}."
        raise InvalidInput(msg)
    modalities = sorted({row.modality for row in scored})
    cells: dict[tuple[str, str, Metric], Average] = {}
    for name in lines:
        mine = [row for row in scored if line(row) == name]
        refuse_mixtures(name, mine)
        for modality in modalities:
            here = [row for row in mine if row.modality == modality]
            for metric in metrics:
                if here:
                    cells[name, modality, metric] = _cell(name, modality, metric, here)
        if len(modalities) > 1 and {row.modality for row in mine} == set(modalities):
            for metric in metrics:
                cells[name, "mean", metric] = _mean_of(name, metric, [
                    cells[name, modality, metric] for modality in modalities
                ], len({row.patient for row in mine}))  # fmt: skip
    shown = (*modalities, "mean") if any(key[1] == "mean" for key in cells) else tuple(modalities)
    lost = {name: sum(line(row) == name for row in every if row.status != "ok") for name in lines}
    tests = {
        modality: _tests([r for r in scored if r.modality == modality], metrics[0], lines, line,
                         against)
        for modality in modalities
        if against
    }  # fmt: skip
    return ScoreTable(title, tuple(lines), shown, tuple(metrics), cells, lost, tests, against)


def by_case(
    rows: Iterable[Measurement], metric: Metric
) -> dict[tuple[str, str], tuple[float, int]]:
    """(case, patient) -> mean over its objects, and their number."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        found.setdefault((row.case, row.patient), []).append(getattr(row, metric))
    return {key: (float(np.mean(values)), len(values)) for key, values in found.items()}


def _cell(model: str, modality: str, metric: Metric, rows: Sequence[Measurement]) -> Average:
    cases = by_case(rows, metric)
    means = [mean for mean, _ in cases.values()]
    summary = summarize(means, patients=[patient for _, patient in cases])
    objects = [float(getattr(row, metric)) for row in rows]
    return Average(model, modality, metric, summary, len(objects), float(np.mean(objects)))


def _mean_of(model: str, metric: Metric, cells: Sequence[Average], patients: int) -> Average:
    """The mean over modalities; nobody drew modalities, so it has no interval."""
    means = [cell.cases.mean for cell in cells]
    count = sum(cell.cases.count for cell in cells)
    first, median, third = np.percentile(means, (25, 50, 75)).tolist()
    mean = float(np.mean(means))
    summary = Summary(count, 0, patients, mean, median, first, third, nan, nan, 0.95)
    objects = sum(cell.objects for cell in cells)
    return Average(model, "mean", metric, summary, objects,
                float(np.mean([cell.of_objects for cell in cells])))  # fmt: skip


def _tests(
    rows: Sequence[Measurement],
    metric: Metric,
    lines: Sequence[str],
    line: Callable[[Measurement], str],
    against: str,
) -> tuple[Comparison, ...]:
    scores = {name: by_case((r for r in rows if line(r) == name), metric) for name in lines}
    keys = sorted({key for found in scores.values() for key in found})
    values = {
        name: [found[key][0] if key in found else nan for key in keys]
        for name, found in scores.items()
    }
    return compare(values, patients=[patient for _, patient in keys], against=against)


def _line(words: Iterable[str]) -> str:
    return f"| {' | '.join(words)} |"


def _escaped(text: str) -> str:
    return text.replace("%", r"\%").replace("_", r"\_")
