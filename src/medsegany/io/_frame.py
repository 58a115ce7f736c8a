"""Which one of a file's several volumes."""

from pathlib import Path

from medsegany._validate import as_whole
from medsegany.errors import InvalidInput


def the_only(path: Path, frame: int | None) -> None:
    """Refuse `frame=` for a file of one volume.

    Raises:
        InvalidInput: It was given.
    """
    if frame is not None:
        msg = f"frame={frame}, but {path} holds one volume."
        raise InvalidInput(msg)


def one_of_several(path: Path, frame: int | None, count: int, what: str = "volumes") -> int:
    """The index of the volume asked for.

    Raises:
        InvalidInput: None was, or there is none of that index.
    """
    if frame is None:
        msg = f"{path} holds {count} {what}: say which with frame=0."
        raise InvalidInput(msg)
    index = as_whole(frame)
    if index is None or not 0 <= index < count:
        msg = f"frame={frame!r}, but {path} holds {count} {what}, counted from 0."
        raise InvalidInput(msg)
    return index
