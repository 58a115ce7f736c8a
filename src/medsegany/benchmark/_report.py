"""Everything about a folder of results on one page, and the tables and figures as files."""

from collections.abc import Collection, Sequence
from pathlib import Path
from warnings import warn

from attrs import frozen

from medsegany.benchmark._figures import dots_and_boxes, prices, save
from medsegany.benchmark._manifest import KINDS, Manifest
from medsegany.benchmark._names import corrected
from medsegany.benchmark._page import page_of
from medsegany.benchmark._paper_tables import paper_tables
from medsegany.benchmark._pictures import best_and_worst
from medsegany.benchmark._results import Measurement, read_results, trained
from medsegany.benchmark._tables import ScoreTable
from medsegany.errors import InvalidInput
from medsegany.io._files import atomically, make_folder

_FORMATS = {".md": "markdown", ".tex": "latex", ".csv": "csv"}


@frozen
class Report:
    """What `report` wrote.

    Attributes:
        page: The HTML page, which needs no other file.
        tables: Markdown, LaTeX and CSV.
        figures: PNG.
    """

    page: Path
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]


def report(
    results: str | Path,
    folder: str | Path,
    *,
    manifest: Manifest | None = None,
    protocol: str | None = None,
    against: str = "",
    title: str = "Benchmark",
) -> Report:
    """Write tables, figures and a page about a folder of results.

    Args:
        results: What `run` filled.
        folder: Where to write; made when it is not there.
        manifest: Of the cases: patients, modalities and names of objects are taken from it, which
            may have been corrected since; and pictures, where there are masks (`run(masks=True)`).
        protocol: The one that is reported; None for the only one, or "clean" among several.
        against: A model that the others are tested against; "" for none.
        title: Of the page.

    Raises:
        InvalidInput: There are no results under this protocol, or none of `against`, or the
            manifest is of other cases.
        FileError: Results cannot be read, or the folder not be written.
        MissingDependency: matplotlib is not installed.
    """
    results, folder = Path(results), Path(folder)
    rows = read_results(results)
    if manifest is not None:
        _same_cases(rows, manifest)
        rows = corrected(rows, manifest)
    protocol = _protocol(rows, protocol)
    here = [row for row in rows if row.protocol == protocol]
    mine = trained(here)
    models = sorted({row.model for row in mine})
    if against and against not in models:
        there = ", ".join(models) or "nothing"
        msg = f"against={against!r} has no results under {protocol!r}; there is {there}."
        raise InvalidInput(msg)
    tables = paper_tables(rows, protocol, against=against)
    if not tables and mine == here:
        msg = f"No case has a score under {protocol!r} yet; see `medsegany benchmark status`."
        raise InvalidInput(msg)
    make_folder(folder)
    written = [path for name, table in tables.items() for path in _write(table, folder, name)]
    figures = _figures(mine, folder)
    _forget(folder, {*written, *figures.values()})
    shown = [] if manifest is None else [
        one for model in models
        for one in best_and_worst(mine, model, manifest, results / "masks" / model / protocol)
    ]  # fmt: skip
    page = folder / "report.html"
    text = page_of(title, here, tables, figures, shown, manifest)
    _write_text(page, text)
    return Report(page, tuple(written), tuple(figures.values()))


def _same_cases(rows: Sequence[Measurement], manifest: Manifest) -> None:
    """Notice a manifest of something else."""
    measured = {row.case_key for row in rows}
    unknown = measured - {case.key for case in manifest}
    if unknown:
        what = "none" if unknown == measured else f"only {len(measured) - len(unknown)}"
        msg = f"The manifest knows {what} of the {len(measured)} cases of these results."
        if unknown == measured:
            raise InvalidInput(msg + " Give the one that they were measured from.")
        warn(msg + " The others have no pictures.", stacklevel=3)


def _forget(folder: Path, written: Collection[Path]) -> None:
    """Tables and figures of an earlier report, which this one does not have."""
    names = [f"table{n}{ending}" for n in (1, 2, 3, 4) for ending in _FORMATS]
    names += [f"{what}_{kind}.png" for what in ("dsc", "nsd", "price") for kind in KINDS]
    for name in names:
        if folder / name not in written:
            (folder / name).unlink(missing_ok=True)


def _protocol(rows: Sequence[Measurement], asked: str | None) -> str:
    known = sorted({row.protocol for row in rows})
    if asked is None:
        asked = known[0] if len(known) == 1 else "clean"
    if asked not in known:
        there = ", ".join(known) or "nothing"
        msg = f"There are no results under {asked!r}; there is {there}."
        raise InvalidInput(msg)
    return asked


def _write(table: ScoreTable, folder: Path, name: str) -> list[Path]:
    paths = []
    for ending, how in _FORMATS.items():
        text: str = getattr(table, how)()
        path = folder / f"{name}{ending}"
        _write_text(path, text)
        paths.append(path)
    return paths


def _write_text(path: Path, text: str) -> None:
    def write(part: Path) -> None:
        part.write_text(text, "utf-8")

    atomically(path, write)


def _figures(rows: Sequence[Measurement], folder: Path) -> dict[str, Path]:
    """Words -> file."""
    figures = {}
    coloured = sorted({row.model for row in rows if row.status == "ok"})
    for kind, words in KINDS.items():
        here = [row for row in rows if row.kind == kind and row.status == "ok"]
        if not here:
            continue
        path = folder / f"dsc_{kind}.png"
        figures[f"{words}: DSC of every case"] = save(dots_and_boxes(here, "dsc", coloured), path)
        if kind != "2d":
            path = folder / f"nsd_{kind}.png"
            figures[f"{words}: NSD of every case"] = save(
                dots_and_boxes(here, "nsd", coloured), path
            )
        path = folder / f"price_{kind}.png"
        figures[f"{words}: what it costs"] = save(prices(here, coloured), path)
    return figures
