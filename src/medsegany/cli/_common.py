"""What all commands share: where words go, bars, options."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as Bar,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from medsegany.cli._words import on_the_command_line
from medsegany.errors import InvalidInput, MedSegAnyError, UnknownModel
from medsegany.preprocess import WINDOWS, AnyWindow, Window
from medsegany.progress import OnProgress, Progress

# Data and tables go to standard output, everything else to standard error.
out = Console()
err = Console(stderr=True)

OK, FAILED, USAGE, PARTIAL = 0, 1, 2, 3
"""Exit codes: all is well; nothing worked; the command was not understood; a part failed."""


class NotUnderstood(InvalidInput):
    """The words of the command are wrong, whatever is in the files."""


Model: TypeAlias = Annotated[
    str, typer.Option("--model", "-m", help="A name from `medsegany models`, or a folder or file.")
]
Checkpoint: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Weights of that model, if not the published.")
]
Device: TypeAlias = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print results as JSON instead of a table.")
]
Overwrite: TypeAlias = Annotated[
    bool, typer.Option("--overwrite", help="Replace results that are there already.")
]
WindowOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|LEVEL,WIDTH",
        help=f"How grey values are shown; CT needs it: {', '.join(WINDOWS)}, or two numbers; "
        "percentile for anything else.",
    ),
]


Objects: TypeAlias = Annotated[
    list[int] | None,
    typer.Option("--object", metavar="ID", help="The prompts after this are for object ID."),
]
Frame: TypeAlias = Annotated[int | None, typer.Option(help="Which volume of a 4D file, from 0.")]
Series: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="NUMBER|UID", help="Which DICOM series of a folder that holds several."),
]
Stack: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Which stack of DICOM images, by its place in the list that an error shows."),
]
ImageSize: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="PIXELS", help="What SAM2 scales images to: 512 is faster than 1024."),
]
Crop: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="TIMES",
        help="SAM2 looks at so many times the box of each object, such as 1.5; "
        "'whole' for whole images, 'auto' for what the model was made for.",
    ),
]
Report: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write what was done, as JSON.")
]
ReportPaths: TypeAlias = Annotated[
    bool, typer.Option("--report-paths", help="With the names of files, too.")
]


def crop_of(text: str) -> float | Literal["auto"] | None:
    """What `medsegany.load` takes.

    Raises:
        NotUnderstood: It is no number and no such word.
    """
    if text in {"auto", "whole"}:
        return "auto" if text == "auto" else None
    try:
        return float(text)
    except ValueError as error:
        msg = f"--crop is a number such as 1.5, 'whole' or 'auto', got {text!r}."
        raise NotUnderstood(msg) from error


def window_of(text: str | None) -> AnyWindow | None:
    """A window by its name or by level and width."""
    if text is None or text in {*WINDOWS, "percentile", "raw"}:
        return text
    if "," not in text:
        msg = (
            f"--window {text}: there is {', '.join(WINDOWS)}, a level and a width such as 40,400, "
            "and percentile for anything but CT."
        )
        raise NotUnderstood(msg)
    level, _, width = text.partition(",")
    try:
        return Window(float(level), float(width))
    except ValueError as error:
        msg = f"--window {text}: a level and a width are needed, such as 40,400. {error}"
        raise NotUnderstood(msg) from error


def file_of(word: str, option: str, known: Iterable[str]) -> Path:
    """A file, where a word is none of those that are known.

    Raises:
        NotUnderstood: There is no such file.
    """
    path = Path(word)
    if not path.is_file():
        msg = f"{option} {word} is none of {', '.join(known)}, and no file that is there."
        raise NotUnderstood(msg)
    return path


def labels_of(text: str, option: str) -> dict[int, str]:
    """Labels, and names for some of them, from words such as "1,2,13" or "1=liver,2=kidney"."""
    found = {}
    for word in text.split(","):
        number, _, name = word.partition("=")
        if not number.strip().isdecimal():
            msg = f"{option} {text}: numbers are needed, such as 1,2,13 or 1=liver,2=kidney."
            raise NotUnderstood(msg)
        found[int(number)] = name
    return found


@contextmanager
def bar(what: str) -> Iterator[OnProgress]:
    """How far it is, on standard error; nothing where that is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[at]}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=err, transient=True, disable=not err.is_terminal) as shown:
        task = shown.add_task(escape(what), total=None, at="")

        def show(progress: Progress) -> None:
            at = f"{progress.done} of {progress.total or '?'} {progress.stage}"
            shown.update(task, completed=progress.done, total=progress.total, at=at)

        yield show


class bars:  # noqa: N801 -- used as a function
    """A bar for each stage, with the time that is left; nothing where that is no terminal."""

    def __init__(self) -> None:
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=err,
            disable=not err.is_terminal,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        stage = progress.stage.partition(" (")[0]
        if stage not in self._tasks:
            # What was done before this start took no time in it.
            self._tasks[stage] = self._bar.add_task(
                progress.stage, total=progress.total, completed=progress.done
            )
        self._bar.update(
            self._tasks[stage],
            description=progress.stage,
            completed=progress.done,
            total=progress.total,
        )


def say_error(error: MedSegAnyError, before: str = "") -> None:
    """One paragraph; the message is no markup: "[dicom]" in it is not a style."""
    err.print(
        Text.assemble((f"{before}Error: ", "bold red"), on_the_command_line(str(error))),
        soft_wrap=True,
    )


def say_unexpected(error: Exception) -> None:
    """What no one thought of: a full disk, no memory, or a mistake of ours."""
    words = " ".join(str(error).split()) or "no more is known"
    ours = (
        ""
        if isinstance(error, (OSError, MemoryError))
        else (" This should not happen. `medsegany --debug ...` shows where it comes from.")
    )
    err.print(
        Text.assemble(("Error: ", "bold red"), f"{type(error).__name__}: {words}.{ours}"),
        soft_wrap=True,
    )


def code_of(error: MedSegAnyError) -> int:
    """The exit code for a command that ended with this."""
    return USAGE if isinstance(error, (NotUnderstood, UnknownModel)) else FAILED


def print_json(content: Mapping[str, Any] | list[Any]) -> None:
    """Data for other programs."""
    json.dump(content, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")
