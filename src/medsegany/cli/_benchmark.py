"""`medsegany benchmark`: cases prepared, models measured on them, tables and a report."""

from collections import Counter
from math import isnan
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from attrs import asdict, evolve
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from medsegany._validate import choice
from medsegany.cli import _common as common
from medsegany.cli._common import PARTIAL, NotUnderstood, err, out
from medsegany.cli._finetune import table5
from medsegany.errors import FileError, InvalidInput

if TYPE_CHECKING:
    from medsegany.benchmark import Engine, Protocol

app = typer.Typer(help="Measure models as the paper does.", no_args_is_help=True)
app.command()(table5)

_Results = Annotated[Path, typer.Argument(help="The folder of results.", metavar="RESULTS")]


@app.callback()
def benchmark() -> None:
    """Measure models as the paper does."""


@app.command()
def prepare(
    data: Annotated[Path, typer.Argument(help="A folder of cases, or a CSV with a line for each.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Gets cases and a manifest.")
    ],
    modality: Annotated[str, typer.Option(help="Of the cases of a folder, such as CT.")] = "",
    labels: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The label maps, where they are not beside the images."),
    ] = None,
    kind: Annotated[
        Literal["2d", "3d", "video"] | None, typer.Option(help="Where the files do not say it.")
    ] = None,
    names: Annotated[
        str | None, typer.Option(metavar="L=NAME,...", help="Names of labels: 1=liver,2=kidney.")
    ] = None,
    patients: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Columns case and patient; else each case is a patient."),
    ] = None,
    dataset: Annotated[str, typer.Option(help="Where the cases are from.")] = "",
    licence: Annotated[str, typer.Option(help="Of the data.")] = "",
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="One of `benchmark recipes`, which says all the rest."),
    ] = None,
    window: common.WindowOption = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="Prepare volumes as the paper's released script does.")
    ] = False,
    remove: Annotated[
        str | None, typer.Option(metavar="L,...", help="Labels that are not measured.")
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Turn a data set into cases and a manifest; a second data set is added to the first.

        medsegany benchmark prepare FLARE22/ -o bench/ --modality CT --window abdomen --paper

        medsegany benchmark prepare cases.csv -o bench/

        medsegany benchmark prepare CAMUS_public/ -o bench/ --recipe camus

    The CSV has the columns case, modality, image, and as needed patient, kind, truth, dataset,
    licence. The exit code is 3 when cases had to be left out.
    """
    from medsegany import benchmark as bench  # noqa: PLC0415 -- keeps `medsegany --help` fast

    how = bench.PAPER_PREPARATION if paper else bench.Preparation()
    how = evolve(
        how,
        window=common.window_of(window),
        remove_labels=() if remove is None else tuple(common.labels_of(remove, "--remove")),
    )
    if recipe is not None:
        if any((modality, labels, kind, names, patients, dataset, licence, window, paper, remove)):
            msg = "A recipe says how a data set is prepared; only -o and --json go with --recipe."
            raise NotUnderstood(msg)
        choice(recipe, list(bench.RECIPES), "--recipe")
        cases = bench.RECIPES[recipe].sources(data)
        how = bench.RECIPES[recipe].preparation
    elif data.suffix.lower() == ".csv":
        if modality or labels or names or patients:
            msg = "A CSV says modality, labels and patients itself; these options are for folders."
            raise NotUnderstood(msg)
        cases = bench.read_sources(data)
    else:
        if not modality:
            msg = "--modality is needed for a folder of cases, such as --modality CT."
            raise NotUnderstood(msg)
        cases = bench.sources(
            data,
            modality,
            labels=labels,
            kind=kind,
            names=None if names is None else common.labels_of(names, "--names"),
            patients=patients,
            dataset=dataset,
            licence=licence,
        )
    with common.bars() as show:
        prepared = bench.prepare(cases, output, how, on_progress=show)
    for name, reason in prepared.left_out.items():
        err.print(f"{name} is left out: {reason}", highlight=False, markup=False)
    kinds = Counter((case.modality, case.kind) for case in prepared.manifest)
    if as_json:
        common.print_json({"cases": len(prepared.manifest), "left_out": dict(prepared.left_out)})
    else:
        table = Table("modality", "kind", "cases")
        for (name, what), count in sorted(kinds.items()):
            table.add_row(name, what, str(count))
        out.print(table)
    if prepared.left_out:
        raise typer.Exit(PARTIAL)


@app.command()
def recipes(as_json: common.AsJson = False) -> None:
    """Show the paper's public data sets: where to get them, and what `prepare --recipe` expects."""
    from medsegany.benchmark import RECIPES  # noqa: PLC0415 -- keeps `medsegany --help` fast

    if as_json:
        shown = ("name", "title", "tables", "where", "licence", "layout")
        common.print_json([{k: getattr(one, k) for k in shown} for one in RECIPES.values()])
        return
    for one in RECIPES.values():
        numbers = ", ".join(map(str, one.tables))
        out.print(f"[bold]{one.name}[/bold]  {one.title} (table {numbers})", highlight=False)
        for words in (one.where, f"licence: {one.licence}", f"holds {one.layout}"):
            out.print(f"    {words}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def run(
    manifest: Annotated[
        Path, typer.Argument(help="The folder that `prepare` wrote.", metavar="MANIFEST")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder of results.")
    ],
    model: Annotated[
        list[str],
        typer.Option("--model", "-m", help="A name, a folder or a file; or ellipse. Repeat it."),
    ],
    protocol: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help="clean, paper, or a JSON file. Repeat it."),
    ] = None,
    init: Annotated[
        Literal["default", "medsam", "gt"] | None,
        typer.Option(help="Where the first mask of a volume comes from (Table 3)."),
    ] = None,
    engine: Annotated[
        Literal["serial", "ray", "inline"],
        typer.Option(help="One worker process; Ray, on many machines; or this process."),
    ] = "serial",
    workers: Annotated[int, typer.Option(help="Of Ray; each holds one model.")] = 1,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="How long one case may take.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only the I-th of N parts, from 1.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="MODALITY", help="Only these. Repeat it.")
    ] = None,
    masks: Annotated[bool, typer.Option("--masks", help="Keep the masks, too.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Try cases without a score once more.")
    ] = False,
    untrained: Annotated[
        bool,
        typer.Option("--untrained", help="Random weights: to see that it runs, and what it takes."),
    ] = False,
    image_size: common.ImageSize = None,
    crop: common.Crop = "auto",
    device: common.Device = "auto",
    as_json: common.AsJson = False,
) -> None:
    """Measure models; the same command again does what is missing.

        medsegany benchmark run bench/ -o results/ -m nano -m classical -m ellipse

        medsegany benchmark run bench/ -o results/ -m sam2.1-t --protocol paper --shard 3/8

        medsegany benchmark run bench/ -o trial/ -m sam1-h --untrained

    A case that fails, hangs or takes its process with it is noted with the reason; then the exit
    code is 3.
    """
    from medsegany import benchmark as bench  # noqa: PLC0415 -- keeps `medsegany --help` fast

    cases = bench.Manifest.read(manifest)
    if only:
        cases = cases.where(lambda case: case.modality in only)
        if not len(cases):
            msg = f"--only {', '.join(only)}: the manifest has no such case."
            raise NotUnderstood(msg)
    if shard is not None:
        cases = cases.shard(*_shard(shard))
    protocols = [_protocol(word) for word in protocol or ["clean"]]
    if init is not None:
        protocols = [
            p if p.init == init else evolve(p, init=init, name=f"{p.name}-{init}")
            for p in protocols
        ]
    models = [
        bench.Model(
            word,
            device=device,
            image_size=image_size,
            crop=common.crop_of(crop),
            untrained=untrained,
        )
        for word in model
    ]
    with common.bars() as show:
        ran = bench.run(
            cases,
            models,
            output,
            protocols=protocols,
            engine=_engine(engine, workers, timeout),
            masks=masks,
            again=("failed", "hung", "killed") if again else (),
            on_progress=show,
        )
    if as_json:
        common.print_json(
            {"measured": ran.measured, "skipped": ran.skipped, "without": dict(ran.without)}
        )
    else:
        out.print(f"{ran.measured} measured, {ran.skipped} were there before.", highlight=False)
        for status, count in ran.without.items():
            out.print(f"{count} {status}: see `medsegany benchmark status {output}`.")
    if ran.without:
        raise typer.Exit(PARTIAL)


@app.command()
def status(
    results: _Results,
    manifest: Annotated[
        Path | None, typer.Option(help="The folder of cases, to count those that are missing.")
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Say what has been measured, what is missing, and what went wrong."""
    from medsegany import benchmark as bench  # noqa: PLC0415 -- keeps `medsegany --help` fast

    rows = _rows(results)
    cases = None if manifest is None else bench.Manifest.read(manifest)
    wrong = [row for row in rows if row.status != "ok"]
    table = Table("model", "protocol", "cases", "objects", "without", "missing", "s a case",
                  "GiB", "mean DSC")  # fmt: skip
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
    table.columns[0].no_wrap = True  # a name that is cut is no name
    out.print(table)
    for row in wrong:
        out.print(
            f"{row.model}, {row.case}: {row.status}. {row.reason}", highlight=False, markup=False
        )


@app.command()
def report(
    results: _Results,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Gets tables, figures, a page.")
    ],
    manifest: Annotated[
        Path | None,
        typer.Option(help="The folder of cases, for pictures; `run --masks` keeps what they need."),
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


@app.command()
def compare(
    results: _Results,
    one: Annotated[str, typer.Argument(help="A model of the results.")],
    other: Annotated[str, typer.Argument(help="The one it is compared with.")],
    protocol: Annotated[str, typer.Option(help="Of both.")] = "clean",
    metric: Annotated[Literal["dsc", "nsd"], typer.Option(help="What is compared.")] = "dsc",
    as_json: common.AsJson = False,
) -> None:
    """Is one model better than another, on the same cases? Paired, by patients."""
    from medsegany import benchmark as bench  # noqa: PLC0415 -- keeps `medsegany --help` fast

    rows = [row for row in _rows(results) if row.protocol == protocol and not row.untrained]
    known = sorted({row.model for row in rows})
    for name in (one, other):
        if name not in known:
            there = ", ".join(known) or "nothing"
            msg = f"{name!r} has no results under {protocol!r}; there is {there}."
            raise NotUnderstood(msg)
    table = bench.tabulated(
        [row for row in rows if row.model in {one, other}],
        f"{one} and {other}",
        metrics=[metric],
        models=[one, other],
        against=other,
    )
    said = [
        {"modality": modality, **asdict(test)}
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
    out.print(Markdown(table.markdown()))


def _rows(folder: Path) -> list[Any]:
    from medsegany import benchmark as bench  # noqa: PLC0415 -- keeps `medsegany --help` fast

    rows = bench.read_results(folder)
    if not rows:
        raise _empty(folder)
    return rows


def _empty(folder: Path) -> FileError:
    return FileError(f"{folder} holds no results: `medsegany benchmark run` writes them.")


def _shard(text: str) -> tuple[int, int]:
    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        msg = f"--shard {text}: a number and how many there are is needed, such as 3/8 for the 3rd."
        raise NotUnderstood(msg)
    return int(number) - 1, int(of)


def _protocol(word: str) -> "Protocol":
    from medsegany.benchmark._protocol import PROTOCOLS, Protocol  # noqa: PLC0415 -- likewise

    if word in PROTOCOLS:
        return PROTOCOLS[word]
    path = common.file_of(word, "--protocol", PROTOCOLS)
    try:
        return Protocol.from_json(path.read_text("utf-8"))
    except (ValueError, TypeError) as error:
        msg = f"{path} is no protocol: {error}."
        raise InvalidInput(msg) from error


def _engine(name: str, workers: int, timeout: float | None) -> "Engine":
    from medsegany import benchmark as bench  # noqa: PLC0415 -- keeps `medsegany --help` fast

    if workers != 1 and name != "ray":
        msg = f"--workers {workers} is for --engine ray; {name} has one."
        raise NotUnderstood(msg)
    if name == "inline":
        if timeout is not None:
            msg = "--timeout needs a process that can be stopped: --engine serial or ray."
            raise NotUnderstood(msg)
        return bench.Inline()
    return bench.Serial(timeout) if name == "serial" else bench.Ray(workers, timeout)
