"""Many cases, one after the other: resume, failures, tables, reports."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import typer
from attrs import frozen
from rich.table import Table
from rich.text import Text

import medsegany
from medsegany.cli import _common as common
from medsegany.cli._cases import Case
from medsegany.cli._common import err, out
from medsegany.cli._prompts import Asked
from medsegany.cli._report import (
    agree,
    check_report,
    hash_of,
    model_of,
    prompts_of,
    write_report,
)
from medsegany.errors import FileError, MedSegAnyError
from medsegany.io._files import make_folder
from medsegany.progress import OnProgress
from medsegany.protocols import Segmenter

Row = dict[str, Any]
"""What came of a case."""


@frozen
class Run:
    """What `segment` and `track` have in common.

    Attributes:
        command: Its name.
        cases: What is to be done.
        asked: The prompts.
        model: As the user named it.
        checkpoint: The user's file of weights, if any.
        device: As the user named it.
        image_size: What the model scales images to, if the user says.
        crop: How much around each object the model looks at.
        overwrite: Whether results that are there are made again.
        report: Where to write what was done, if anywhere.
        report_paths: Whether the report names files.
    """

    command: str
    cases: Sequence[Case]
    asked: Sequence[Asked]
    model: str
    checkpoint: Path | None
    device: str
    image_size: int | None
    crop: float | Literal["auto"] | None
    overwrite: bool
    report: Path | None
    report_paths: bool

    def do(
        self,
        one: Callable[[Case, Segmenter, OnProgress], Row],
        options: dict[str, Any],
        table: Callable[[Sequence[Row], Sequence[Case]], Table],
        *,
        as_json: bool,
    ) -> None:
        """Load the model, do the cases, write the report, print, and end with the right code.

        Args:
            one: Does one case.
            options: What else the report says of the command.
            table: Shows the cases that went well.
            as_json: Print JSON instead.
        """
        from medsegany.benchmark._model import (  # noqa: PLC0415 -- keeps `medsegany --help` fast
            device_of,
        )

        check_report(self.report, self.cases)
        start = time.perf_counter()
        segmenter = self._loaded()
        said = {
            "model": {
                **model_of(self.model, self.checkpoint),
                "device": device_of(segmenter),
                "image_size": self.image_size,
                "crop": self.crop,
            },
            **options,
            "prompts": prompts_of(self.asked, paths=self.report_paths),
        }
        settings = said | {"prompts": prompts_of(self.asked, paths=False)}
        agree(self.command, settings, self.cases, overwrite=self.overwrite)
        rows: list[Row] = []
        try:
            run_cases(
                self.cases, self.overwrite, lambda case, tell: one(case, segmenter, tell), rows
            )
        finally:  # also when it is stopped: what was done until then
            if self.report is not None:
                said["cases"] = self._told(rows)
                said["seconds"] = round(time.perf_counter() - start, 3)
                write_report(self.report, self.command, said, paths=self.report_paths)
        finish(rows, self.cases, as_json=as_json, table=table)

    def _loaded(self) -> Segmenter:
        """The model; one that cannot be loaded is said once, and not for every case."""
        if not self.overwrite and all(case.target.exists() for case in self.cases):
            return medsegany.load("classical")  # nothing will be done: any model, quickly
        return medsegany.load(
            self.model,
            checkpoint=self.checkpoint,
            device=self.device,
            image_size=self.image_size,
            crop=self.crop,
        )

    def _told(self, rows: Sequence[Row]) -> list[Row]:
        """What a report says of the cases: files by their hash, errors by their kind.

        The words of an error name files, and names of files often name patients.
        """
        found = []
        for row, case in zip(rows, self.cases, strict=False):  # it may have been stopped
            said = {key: value for key, value in row.items() if key != "error" or self.report_paths}
            said["input_sha256"] = hash_of(case.source)
            said["reference_sha256"] = hash_of(case.reference)
            if self.report_paths:
                said["input"], said["output"] = str(case.source), str(case.target)
            found.append(said)
        return found


def run_cases(
    cases: Sequence[Case],
    overwrite: bool,
    one: Callable[[Case, OnProgress], Row],
    rows: list[Row],
) -> None:
    """Every case that is not done yet; one that fails does not stop the others.

    Args:
        cases: What is to be done.
        overwrite: Whether what is there is done again.
        one: Does one case.
        rows: Takes what came of each, in order; with an "error" where it failed.

    Raises:
        MedSegAnyError: There is a single case, and it failed.
    """
    for number, case in enumerate(cases, start=1):
        row: Row = {"case": number}
        rows.append(row)
        if case.target.exists() and not overwrite:
            if not case.in_folder:
                msg = f"{case.target} is there already: --overwrite replaces it."
                raise FileError(msg)
            row["skipped"] = True
            continue
        start = time.perf_counter()
        try:
            if case.missing:
                raise FileError(case.missing)
            if case.in_folder:
                make_folder(case.target.parent)
            with common.bar(f"{case.name} ({number} of {len(cases)})") as tell:
                row |= one(case, tell)
        except MedSegAnyError as error:
            row |= {"error": str(error), "error_kind": type(error).__name__}
            if len(cases) == 1:
                raise
            common.say_error(error, f"{case.name}: ")
        row["seconds"] = round(time.perf_counter() - start, 3)


def finish(
    rows: Sequence[Row],
    cases: Sequence[Case],
    *,
    as_json: bool,
    table: Callable[[Sequence[Row], Sequence[Case]], Table],
) -> None:
    """Print what came of it, and end with the code that says so."""
    failed = [(row, case) for row, case in zip(rows, cases, strict=True) if "error" in row]
    skipped = sum("skipped" in row for row in rows)
    if as_json:
        common.print_json(
            [
                {"input": str(case.source), "output": str(case.target), **row}
                for row, case in zip(rows, cases, strict=True)
            ]
        )
    elif len(rows) > len(failed) + skipped:
        out.print(table(rows, cases))
    if skipped:
        err.print(f"{skipped} of {len(rows)} were there already (--overwrite does them again).")
    if failed:
        shown = Table("input", "error", title=f"{len(failed)} of {len(rows)} failed")
        for row, case in failed:
            shown.add_row(Text(case.name), Text(row["error"]))
        err.print(shown)
        end(len(failed), len(rows))


def end(failed: int, count: int) -> None:
    """With 1 when all failed, with 3 when a part did."""
    if failed:
        raise typer.Exit(common.FAILED if failed == count else common.PARTIAL)
