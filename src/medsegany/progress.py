"""How far a long task is."""

from collections.abc import Callable
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
