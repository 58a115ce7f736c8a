"""Files of weights: where they lie, and which model a file is."""

import hashlib
import os
from pathlib import Path

from medsegany.cards import CARDS, ModelCard
from medsegany.errors import CheckpointError


def home() -> Path:
    """The folder of medsegany's files: `$MEDSEGANY_HOME`, else `~/.cache/medsegany`.

    Weights copied there by hand, into `checkpoints/` and under their published names, are found.
    """
    given = os.environ.get("MEDSEGANY_HOME")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "medsegany"


def expected_path(card: ModelCard) -> Path | None:
    """Where the weights of a model belong; None for a model without weights."""
    return None if card.file_name is None else home() / "checkpoints" / card.file_name


def find(card: ModelCard) -> Path | None:
    """The weights of a model on this machine, by name and size; None where they are not."""
    path = expected_path(card)
    if path is None or not path.is_file():
        return None
    if card.bytes is not None and path.stat().st_size != card.bytes:
        return None
    return path


def require(card: ModelCard) -> Path:
    """The weights of a model on this machine, checked against their published hash.

    Raises:
        CheckpointError: They are not there, or are not what was published.
    """
    path = expected_path(card)
    assert path is not None
    if not path.is_file():
        size = f" ({card.bytes / 1e6:.0f} MB)" if card.bytes else ""
        msg = (
            f"The weights of {card.name} are not on this machine. Download {card.url}{size} and "
            f"put the file at {path}, or say where it lies: "
            f'load("{card.name}", checkpoint="path/to/{card.file_name}").'
        )
        raise CheckpointError(msg)
    if card.bytes is not None and path.stat().st_size != card.bytes:
        msg = (
            f"{path} has {path.stat().st_size} bytes, the published file {card.bytes}: "
            "was the download cut off? Delete it and download it again."
        )
        raise CheckpointError(msg)
    if card.sha256 is not None and sha256(path) != card.sha256:
        msg = (
            f"{path} is not the published file of {card.name}: its sha256 differs. Delete it and "
            "download it again; weights of your own are loaded with checkpoint=."
        )
        raise CheckpointError(msg)
    return path


def given(path: Path, card: ModelCard) -> Path:
    """A file that the user names as the weights of a model.

    Raises:
        CheckpointError: There is no such file, or it is the published file of another model.
    """
    if not path.is_file():
        msg = f"There is no file {path}." if not path.is_dir() else f"{path} is a folder."
        raise CheckpointError(msg)
    known = recognise(path)
    if known is not None and known.name != card.name:
        msg = f"{path} is the published file of {known.name}, and {card.name} was asked for."
        raise CheckpointError(msg)
    return path


def recognise(path: Path) -> ModelCard | None:
    """The model whose published file this is; None for any other file.

    The file is only hashed when its size is that of a published one.
    """
    size = path.stat().st_size
    if not any(card.bytes == size for card in CARDS):
        return None
    found = sha256(path)
    return next((card for card in CARDS if card.sha256 == found), None)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
