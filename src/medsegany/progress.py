"""How far a long task is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from attrs import frozen


@frozen
class Progress:
    """A moment of a long task.

    Attributes:
        stage: What is being done, for instance "slices".
        done: Units finished so far.
        total: Units in all, or None where that is not known.
    """

    stage: str
    done: int
    total: int | None = None


OnProgress: TypeAlias = Callable[[Progress], object]


def no_progress(_: Progress) -> None:
    """Report nothing: the default of every `on_progress`."""


@contextmanager
def on_terminal(what: str) -> Iterator[OnProgress]:
    """A bar on standard error while something takes long; nothing where that is no terminal.

    Args:
        what: Stands before the bar.
    """
    from rich.console import Console  # noqa: PLC0415 -- keeps `import medsegany` fast
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress as Bar,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def show(progress: Progress) -> None:
            bar.update(task, completed=progress.done, total=progress.total)

        yield show
