"""All commands, and how the line ends: with 0, 1, 2, 3, 130 or 143."""

import io
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.table import Table
from rich.text import Text

import medsegany
from medsegany.cli import _benchmark, _common as common, _models
from medsegany.cli._common import out as _out
from medsegany.cli._convert import convert
from medsegany.cli._doctor import doctor
from medsegany.cli._evaluate import evaluate
from medsegany.cli._finetune import finetune
from medsegany.cli._prompts import InOrder
from medsegany.cli._segment import segment
from medsegany.cli._track import track
from medsegany.errors import MedSegAnyError
from medsegany.registry import DEFAULT

app = typer.Typer(
    help="Segment anything in medical images, volumes and videos. For research: not a medical "
    "device, and not for clinical use.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command(cls=InOrder)(segment)
app.command(cls=InOrder)(track)
app.command()(evaluate)
app.command()(finetune)
app.add_typer(_benchmark.app, name="benchmark")
app.add_typer(_models.app, name="models")
app.command()(convert)
app.command()(doctor)


def main() -> None:
    """Run the command line; an error of medsegany is one paragraph, and exit code 1 or 2."""
    signal.signal(signal.SIGTERM, _terminated)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without Unicode stops no result
            stream.reconfigure(errors="replace")
    words = sys.argv[1:]
    try:
        app([word for word in words if word != "--debug"])
    except Exception as error:
        if "--debug" in words:
            raise
        if isinstance(error, MedSegAnyError):
            common.say_error(error)
            raise SystemExit(common.code_of(error)) from error
        common.say_unexpected(error)
        raise SystemExit(common.FAILED) from error


def _terminated(signum: int, _: FrameType | None) -> NoReturn:
    """As Ctrl-C does it: what is half-written is removed on the way out."""
    raise SystemExit(128 + signum)


def _print_version(wanted: bool) -> None:
    if wanted:
        _out.print(medsegany.__version__, highlight=False)
        raise typer.Exit


@app.callback()
def common_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
) -> None:
    """Options before the command."""


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where results are written.")
    ] = Path("medsegany-demo"),
    model: common.Model = DEFAULT,
    checkpoint: common.Checkpoint = None,
) -> None:
    """Segment a photograph, a scan and a film that come with the installation."""
    from medsegany import demo as parts  # noqa: PLC0415 -- keeps `medsegany --help` fast

    segmenter = medsegany.load(model, checkpoint=checkpoint)
    table = Table("image", "prompt", "found", "seconds", title=f"model: {segmenter.name}")
    pictures: list[Path] = []
    with common.bar("segmenting") as show:
        for row in parts.run(segmenter, output, show):
            table.add_row(row.image, row.prompt, row.found, f"{row.seconds:.1f}")
            pictures += row.files
    _out.print(table)
    _out.print("Written, with pictures to look at:")
    for path in pictures:
        _out.print(Text(f"  {path}"), soft_wrap=True)
    if segmenter.name == DEFAULT:
        _out.print(
            f"This was {DEFAULT}, the small model that comes along. "
            "`medsegany models` lists those that see more.",
            highlight=False,
        )
