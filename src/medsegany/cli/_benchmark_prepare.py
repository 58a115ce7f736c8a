"""`medsegany benchmark prepare` and `recipes`: data sets that become cases and a manifest."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer
from attrs import evolve
from rich.table import Table

from medsegany._validate import choice
from medsegany.cli import _common as common
from medsegany.cli._common import PARTIAL, NotUnderstood, err, out
from medsegany.io._files import existing, is_folder


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
        if any((modality, labels, kind, names, patients, dataset, licence)):
            msg = (
                "A CSV has columns for modality, kind, labels, patients, dataset and licence; the "
                "options are for folders."
            )
            raise NotUnderstood(msg)
        cases = bench.read_sources(data)
    else:
        _check_folder(data, modality)
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
        raise typer.Exit(PARTIAL if len(prepared.manifest) else 1)


def _check_folder(data: Path, modality: str) -> None:
    if not is_folder(data):
        existing(data)  # says that there is nothing
        msg = f"{data} is neither a folder of cases nor a CSV that lists them."
        raise NotUnderstood(msg)
    if not modality:
        msg = "--modality is needed for a folder of cases, such as --modality CT."
        raise NotUnderstood(msg)


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
