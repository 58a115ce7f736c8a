"""The command line."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress as Bar, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

import medsegany
from medsegany.errors import MedSegAnyError
from medsegany.progress import Progress
from medsegany.registry import DEFAULT

app = typer.Typer(
    help="Segment anything in medical images, volumes and videos. For research: not a medical "
    "device, and not for clinical use.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

_out = Console()
_err = Console(stderr=True)


def main() -> None:
    """Run the command line; an error that medsegany raises is one paragraph and exit code 1."""
    try:
        app()
    except MedSegAnyError as error:
        # The message is no markup: "[dicom]" in it is not a style.
        _err.print(Text.assemble(("Error: ", "bold red"), str(error)), soft_wrap=True)
        raise SystemExit(1) from error


def _print_version(wanted: bool) -> None:
    if wanted:
        _out.print(medsegany.__version__, highlight=False)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Options before the command."""


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where results are written.")
    ] = Path("medsegany-demo"),
    model: Annotated[str, typer.Option(help="A name from `medsegany models`.")] = DEFAULT,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights of that model.")
    ] = None,
) -> None:
    """Segment a photograph, a scan and a film that come with the installation."""
    from medsegany import demo as parts  # noqa: PLC0415 -- keeps `medsegany --help` fast

    segmenter = medsegany.load(model, checkpoint=checkpoint)
    table = Table("image", "prompt", "found", "seconds", title=f"model: {segmenter.name}")
    pictures: list[Path] = []
    columns = (TextColumn("{task.description}"), TextColumn("{task.fields[at]}"))
    with Bar(*columns, TimeElapsedColumn(), console=_err, transient=True) as bar:
        task = bar.add_task("segmenting", total=None, at="")

        def show(progress: Progress) -> None:
            at = f"{progress.done} of {progress.total or '?'} {progress.stage}"
            bar.update(task, at=at)

        for row in parts.run(segmenter, output, show):
            table.add_row(row.image, row.prompt, row.found, f"{row.seconds:.1f}")
            pictures += row.files
    _out.print(table)
    _out.print("Written, with pictures to look at:")
    for path in pictures:
        _out.print(Text(f"  {path}"), soft_wrap=True)
    if segmenter.name == "classical":
        _out.print(
            "This was the baseline without weights: active contours, nothing learnt. "
            "`medsegany models` lists the models that do better.",
            highlight=False,
        )


@app.command()
def models() -> None:
    """List the models, and which weights are on this machine."""
    table = Table("name", "family", "parameters", "pixels", "licence", "MB", "here")
    for card in medsegany.models():
        table.add_row(
            card.name,
            card.family,
            f"{card.parameters / 1e6:.1f} M" if card.parameters else "-",
            str(card.image_size or "any"),
            card.licence,
            f"{card.bytes / 1e6:.0f}" if card.bytes else "-",
            "yes" if card.here else "no",
        )
    _out.print(table)
    folder = medsegany.checkpoints.home() / "checkpoints"
    _out.print(f"Weights are looked for in {folder}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
