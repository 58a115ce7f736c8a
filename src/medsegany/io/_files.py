"""Files that are there or not, whole or damaged, and named rightly or wrongly."""

import gzip
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from medsegany.errors import FileError, InvalidGeometry, InvalidImage, MedSegAnyError

_HEAD = 512

# Where the first bytes tell what a file holds: offset, bytes, words.
_ZIP = "a zip archive, as .npz is one"
_MARKS = [
    (344, b"n+1\0", "NIfTI"),
    (344, b"ni1\0", "NIfTI"),
    (0, b"NRRD000", "NRRD"),
    (128, b"DICM", "DICOM"),
    (0, b"\x89PNG", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"\x93NUMPY", "one numpy array (.npy)"),
    (0, b"PK\x03\x04", _ZIP),
    (4, b"ftyp", "MP4 or MOV"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (8, b"AVI ", "AVI"),
    (0, b"version https://git-lfs", "a git-lfs pointer, not the file itself"),
]


_FAMILIES = {
    "a picture": ("PNG", "JPEG", "TIFF"),
    "a video": ("MP4 or MOV", "Matroska or WebM", "AVI"),
}


def ending(path: Path) -> str:
    """The ending that names the format, in lower case: `.nii.gz` for a file so named."""
    name = path.name.lower()
    return next((e for e in (".nii.gz", ".seg.nrrd") if name.endswith(e)), path.suffix.lower())


def stem(path: Path) -> str:
    """The name of a file without its ending, and without nnU-Net's `_0000` for the first channel.

    A folder has no ending.
    """
    kind = ending(path)
    name = path.name[: len(path.name) - len(kind)] if kind and path.is_file() else path.name
    return name.removesuffix("_0000")


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Files of one folder, each by its stem.

    Raises:
        FileError: Two have the same.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if (other := found.setdefault(stem(path), path)) is not path:
            msg = f"{other.name} and {path.name} have one name in {path.parent}."
            raise FileError(msg)
    return found


def existing(path: str | Path) -> Path:
    """The path, when there is a file.

    Raises:
        FileError: There is none, or a folder.
    """
    path = Path(path)
    try:
        if path.is_file():
            return path
        folder = path.is_dir()
    except (OSError, ValueError) as error:  # a name too long, a null byte
        msg = f"{shortened(path)} cannot be looked up: {reason(error)}"
        raise FileError(msg) from error
    msg = f"{path} is a folder, not a file." if folder else f"There is no file {path}."
    raise FileError(msg)


def is_folder(path: Path) -> bool:
    """Whether it is one; a name that cannot be is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def by_number(path: Path) -> list[tuple[int, int, str]]:
    """Sorts files so that frame 10 comes after frame 9."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts]


def identity(path: Path) -> tuple[int, int]:
    """Device and inode: the same file under any of its names."""
    found = path.stat()
    return found.st_dev, found.st_ino


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Whatever goes wrong inside is said of this file, by an error of this library.

    Args:
        path: The file.
        kind: What it is read as.
    """
    try:
        yield
    except (InvalidGeometry, InvalidImage) as error:
        if str(path) in str(error):
            raise
        msg = f"{path}: {error}"
        raise type(error)(msg) from error
    except MedSegAnyError:
        raise
    except MemoryError as error:
        msg = f"{path} needs more memory than there is, or its header is damaged."
        raise FileError(msg) from error
    # Parsers raise anything at damaged bytes: IndexError, struct.error, zlib.error, ...
    except Exception as error:
        msg = f"{path} cannot be read as {kind}: {reason(error)}{_otherwise(path, kind)}"
        raise FileError(msg) from error


def reason(error: BaseException) -> str:
    """An error in words, on one line."""
    said = getattr(error, "strerror", None) or " ".join(str(error).split())
    return f"{said or type(error).__name__}".rstrip(".") + "."


def shortened(path: Path) -> str:
    """A path for a message, cut where it is absurdly long."""
    text = str(path)
    return text if len(text) <= 300 else f"{text[:140]}...{text[-140:]}"


def looks_like(path: Path) -> str:
    """What the content of a file is by its first bytes; empty where they do not tell."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                head = file.read(_HEAD)
    except (OSError, EOFError, ValueError, zlib.error):
        return ""
    for at, mark, kind in _MARKS:
        if head[at : at + len(mark)] == mark:
            return kind
    return "MetaImage" if b"NDims" in head and b"=" in head else ""


def _otherwise(path: Path, kind: str) -> str:
    found = looks_like(path)
    if found == _ZIP and "npz" in kind:
        return " It begins as one, and is cut off or damaged."
    expected = not found or found in kind or found in _FAMILIES.get(kind, ())
    return "" if expected else f" By its content it is {found}."


def refuse_a_swollen_header(path: Path, promised: int, kind: str) -> None:
    """Before memory is asked for: can a file of this size hold that much?

    Args:
        path: The file.
        promised: Bytes of voxels that its header announces, once uncompressed.
        kind: What it is read as.

    Raises:
        FileError: Not even if it were compressed as well as gzip can, about 1030 to 1.
    """
    here = path.stat().st_size
    if promised > 1040 * here + 65536:
        msg = (
            f"{path} cannot be read as {kind}: its header announces {promised:,} bytes of voxels, "
            f"and the file has {here:,}. It is cut off or damaged."
        )
        raise FileError(msg)


def make_folder(folder: Path) -> None:
    """With those above it.

    Raises:
        FileError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The folder {folder} cannot be made: {error.strerror}."
        raise FileError(msg) from error


def atomically(path: Path, write: Callable[[Path], None], *, overwrite: bool = True) -> None:
    """Write in one go with `replacing`: `write` writes the file that it is given."""
    with replacing(path, overwrite=overwrite) as neighbour, writing(path):
        write(neighbour)


def write_text(path: Path, text: str) -> None:
    """Write a text in one go, as UTF-8; see `replacing`."""
    atomically(path, lambda neighbour: _fill(neighbour, text))


def _fill(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


@contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A neighbour to write to, renamed at the end when nothing went wrong.

    So a half-written file never stands under the final name.

    Args:
        path: The final name. The neighbour has the same ending.
        overwrite: Whether a file of that name is replaced.

    Raises:
        FileError: It cannot be written, or is there and is not to be replaced. What was there
            before is there still.
    """
    try:
        if "\0" in str(path):
            msg = f"{path!r} cannot be written: there is a null byte in the name."
            raise FileError(msg)
        if not path.parent.is_dir():
            msg = f"{shortened(path)} cannot be written: there is no folder {path.parent}."
            raise FileError(msg)
        if path.is_dir():
            msg = f"{path} cannot be written: a folder has this name."
            raise FileError(msg)
        if path.exists() and not overwrite:
            msg = f"{path} exists already, and overwrite=False."
            raise FileError(msg)
    except (OSError, ValueError) as error:  # a name too long, a null byte
        msg = f"{shortened(path)} cannot be written: {reason(error)}"
        raise FileError(msg) from error
    neighbour = path.with_name(f".{uuid4().hex}{ending(path)}")
    try:
        yield neighbour
        with writing(path):
            with neighbour.open("rb+") as file:
                os.fsync(file.fileno())  # else a power cut may leave the name without the content
            neighbour.replace(path)
    finally:
        with suppress(OSError):  # on a disk that is read-only there is nothing to remove
            neighbour.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Whatever goes wrong with the disk inside is said of this file."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # RuntimeError: SimpleITK
        if isinstance(error, MedSegAnyError):
            raise
        msg = f"{shortened(path)} cannot be written: {reason(error)}{_room(path.parent)}"
        raise FileError(msg) from error


def _room(folder: Path) -> str:
    free = shutil.disk_usage(folder).free
    return f" The disk has {free:,} bytes left." if free < 1_000_000 else ""
