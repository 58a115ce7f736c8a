"""Which one of a file's several volumes or pictures."""

from pathlib import Path

from medsegany._validate import as_whole
from medsegany.errors import InvalidInput


def which(path: Path, frame: int | None, count: int, what: str = "volumes") -> int:
    """The index of the one asked for; of a file of one, that one.

    Raises:
        InvalidInput: There are several and none was asked for, or there is none of that index.
    """
    if frame is None:
        if count == 1:
            return 0
        msg = f"{path} holds {count} {what}: say which with frame=0."
        raise InvalidInput(msg)
    index = as_whole(frame)
    if index is None or not 0 <= index < count:
        have = f"{count} {what}" if count > 1 else "one"
        msg = f"frame={frame!r}, but {path} holds {have}, counted from 0."
        raise InvalidInput(msg)
    return index
