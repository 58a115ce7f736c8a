"""`medsegany benchmark status`, `report` and `compare`: what a folder of results says."""

from math import isnan
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import typer
from attrs import asdict
from rich.box import SIMPLE_HEAD
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from medsegany.cli import _common as common
from medsegany.cli._common import NotUnderstood, out
from medsegany.errors import FileError

_Results = Annotated[Path, typer.Argument(help="The folder of results.", metavar="RESULTS")]


def status(
    results: _Results,
    manifest: Annotated[
        Path | None, typer.Option(help="The folder of cases, to count those that are missing.")
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Say what has been measured, what is missing, and what went wrong."""
    from medsegany import benchmark as bench  # noqa: PLC0415 -- keeps `medsegany --help` fast

    rows = _rows(results, manifest)
    cases = None if manifest is None else bench.Manifest.read(manifest)
    wrong = [row for row in rows if row.status != "ok"]
    table = Table("model", "protocol", "cases", "objects", "without", "missing", "s", "GiB", "DSC",
                  box=SIMPLE_HEAD, padding=(0, 1, 0, 0),
                  caption="s: median of cases. DSC: mean of all objects, of any kind.")  # fmt: skip
    said: list[dict[str, Any]] = []
    for model, protocol in sorted({(row.model, row.protocol) for row in rows}):
        mine = [row for row in rows if (row.model, row.protocol) == (model, protocol)]
        good = [row.dsc for row in mine if row.status == "ok"]
        there = {row.case_key for row in mine}
        lost = sum(row.status != "ok" for row in mine)
        missing = None if cases is None else sum(case.key not in there for case in cases)
        mean = sum(good) / len(good) if good and not mine[0].untrained else None
        each = median({row.case: row.seconds for row in mine if row.status == "ok"}.values() or [0])
        peak = max(row.peak_bytes for row in mine)
        counts = {"model": model, "protocol": protocol, "cases": len(there) - lost,
                  "objects": len(good), "without": lost, "missing": missing}  # fmt: skip
        said.append({**counts, "seconds": each, "peak_bytes": peak, "mean_dsc": mean})
        words = ["" if value is None else str(value) for value in counts.values()]
        words += [f"{each:.3g}", f"{peak / 2**30:.1f}", "" if mean is None else f"{mean:.3f}"]
        table.add_row(*words)
    if as_json:
        failures = [
            {"model": row.model, "case": row.case, "status": row.status, "reason": row.reason}
            for row in wrong
        ]
        common.print_json({"runs": said, "without": failures})
        return
    for column in table.columns[:2]:
        column.overflow = "fold"  # a name that is cut is no name
    for column in table.columns[2:]:
        column.min_width = max(len(str(cell)) for cell in (column.header, *column.cells))
    out.print(table)
    for row in wrong:
        out.print(
            f"{row.model}, {row.case}: {row.status}. {row.reason}", highlight=False, markup=False
        )


def report(
    results: _Results,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Gets tables, figures, a page.")
    ],
    manifest: Annotated[
        Path | None,
        typer.Option(help="The folder of cases: patients are as it says, and pictures are shown."),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Which one; without it the only one, or clean.")
    ] = None,
    against: Annotated[str, typer.Option(help="Test the other models against this one.")] = "",
    title: Annotated[str, typer.Option(help="Of the page.")] = "Benchmark",
) -> None:
    """Write the paper's tables and figures, and one HTML page with all of it.

    medsegany benchmark report results/ -o report/ --manifest bench/ --against ellipse
    """
    from medsegany import benchmark as bench  # noqa: PLC0415 -- keeps `medsegany --help` fast
    from medsegany.benchmark._results import shards  # noqa: PLC0415 -- likewise

    if not any(shards(results)):  # all of them are read by `bench.report`
        raise _empty(results)
    found = bench.report(
        results,
        output,
        manifest=None if manifest is None else bench.Manifest.read(manifest),
        protocol=protocol,
        against=against,
        title=title,
    )
    for path in (found.page, *found.tables, *found.figures):
        out.print(Text(str(path)), soft_wrap=True)


def compare(
    results: _Results,
    one: Annotated[str, typer.Argument(help="A model of the results.")],
    other: Annotated[str, typer.Argument(help="The one it is compared with.")],
    protocol: Annotated[str, typer.Option(help="Of both.")] = "clean",
    metric: Annotated[Literal["dsc", "nsd"], typer.Option(help="What is compared.")] = "dsc",
    kind: Annotated[
        Literal["2d", "3d", "video"] | None,
        typer.Option(help="Only these cases; without it, images, volumes and videos in turn."),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="The folder of cases, where patients were corrected since."),
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Is one model better than another, on the same cases? Paired, by patients.

    Images, volumes and videos have a table each, as in the report.
    """
    from medsegany import benchmark as bench  # noqa: PLC0415 -- keeps `medsegany --help` fast
    from medsegany.benchmark._manifest import KINDS  # noqa: PLC0415 -- likewise

    rows = [row for row in _rows(results, manifest) if not row.untrained]
    protocols = sorted({row.protocol for row in rows})
    if protocol not in protocols:
        msg = f"--protocol {protocol}: there are results under {', '.join(protocols)}."
        raise NotUnderstood(msg)
    rows = [row for row in rows if row.protocol == protocol]
    known = sorted({row.model for row in rows})
    for name in (one, other):
        if name not in known:
            msg = f"{name!r} has no results under {protocol!r}; there is {', '.join(known)}."
            raise NotUnderstood(msg)
    kinds = {k: w for k, w in KINDS.items() if kind in (None, k)}
    tables = {}
    for which, words in kinds.items():
        here = [row for row in rows if row.kind == which and row.model in {one, other}]
        if {one, other} == {row.model for row in here if row.status == "ok"}:
            tables[which] = bench.tabulated(
                here,
                f"{words}: {one} and {other}",
                metrics=[metric],
                models=[one, other],
                against=other,
            )
    if not tables:
        msg = (
            f"{one} and {other} have no {' or '.join(kinds.values()).lower()} with scores of both."
        )
        raise NotUnderstood(msg)
    said = [
        {"kind": which, "modality": modality, **asdict(test)}
        for which, table in tables.items()
        for modality, tests in table.tests.items()
        for test in tests
    ]
    if as_json:
        common.print_json(
            [
                {k: None if isinstance(v, float) and isnan(v) else v for k, v in row.items()}
                for row in said
            ]
        )
        return
    for table in tables.values():
        out.print(Markdown(table.markdown()))


def _rows(folder: Path, manifest: Path | None) -> list[Any]:
    from medsegany import benchmark as bench  # noqa: PLC0415 -- keeps `medsegany --help` fast

    rows = bench.read_results(folder)
    if not rows:
        raise _empty(folder)
    return rows if manifest is None else bench.corrected(rows, bench.Manifest.read(manifest))


def _empty(folder: Path) -> FileError:
    return FileError(f"{folder} holds no results: `medsegany benchmark run` writes them.")
