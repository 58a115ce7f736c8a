"""Files of weights: where they lie, how they get there, and which model a file is."""

import logging
import os
from pathlib import Path
from typing import Literal, TypeAlias

from medsegany._sha256 import file_sha256
from medsegany.cards import BY_NAME, CARDS, ModelCard
from medsegany.errors import CheckpointError, FileError, InvalidInput, UnknownModel
from medsegany.progress import OnProgress, no_progress

_log = logging.getLogger("medsegany")

State: TypeAlias = Literal["verified", "pinned", "unknown", "missing", "wrong", "none"]
"""What is known of a model's weights on this machine; see `verify`."""


def home() -> Path:
    """The folder of medsegany's files: `$MEDSEGANY_HOME`, else `~/.cache/medsegany`.

    Weights copied there by hand, into `checkpoints/` and under their published names, are found.
    """
    given = os.environ.get("MEDSEGANY_HOME")
    try:
        return Path(given).expanduser() if given else Path.home() / ".cache" / "medsegany"
    except RuntimeError as error:  # ~somebody who is not there
        msg = f"MEDSEGANY_HOME={given}: {error}"
        raise InvalidInput(msg) from error


def offline() -> bool:
    """Whether nothing may be downloaded: `$MEDSEGANY_OFFLINE` is set, and not to 0, no or false."""
    said = os.environ.get("MEDSEGANY_OFFLINE", "").strip().lower()
    return said not in {"", "0", "no", "false", "off"}


def expected_path(card: ModelCard) -> Path | None:
    """Where the weights of a model belong; None for a model without weights."""
    return card.path if card.file_name is None else home() / "checkpoints" / card.file_name


def find(card: ModelCard) -> Path | None:
    """The weights of a model on this machine, by name and size; None where they are not."""
    path = expected_path(card)
    if path is None or not path.is_file():
        return None
    if card.bytes is not None and path.stat().st_size != card.bytes:
        return None
    return path


def pull(model: str | ModelCard, *, on_progress: OnProgress = no_progress) -> Path:
    """The weights of a model: those that are here, checked, or those that are published, fetched.

    A download that broke off is resumed, and a file stands under its name only when it is whole and
    its sha256 is the published one. Where none is published, that of the first file that could be
    loaded is noted beside it and asked for from then on. Proxies are taken from the environment.

    Args:
        model: A name from `medsegany.models()`, or a card.
        on_progress: Told of bytes.

    Returns:
        The file.

    Raises:
        UnknownModel: There is no model of this name.
        InvalidInput: The model has no weights.
        DownloadError: It cannot be fetched, or `$MEDSEGANY_OFFLINE` forbids it.
        CheckpointError: What is here, or what came, is not what was published.
    """
    from medsegany._download import download  # noqa: PLC0415 -- keeps `import medsegany` fast

    card = _card(model)
    path = expected_path(card)
    if path is None:
        msg = f"{card.name} has no weights: there is nothing to fetch."
        raise InvalidInput(msg)
    if path.is_file() or card.url is None:
        return require(card)
    _refuse_offline(card, path)
    pinned = _pin(path)
    download(
        card.url,
        path,
        size=card.bytes,
        sha256=card.sha256 or pinned,
        on_progress=on_progress,
    )
    return path


def require(card: ModelCard) -> Path:
    """The weights of a model on this machine, checked against their published hash.

    Raises:
        CheckpointError: They are not there, or are not what was published.
    """
    path = expected_path(card)
    assert path is not None
    if not path.is_file():
        raise CheckpointError(_absent(card, path))
    if card.bytes is not None and path.stat().st_size != card.bytes:
        msg = (
            f"{path} has {path.stat().st_size} bytes, the published file {card.bytes}: "
            "was the download cut off? Delete it and download it again."
        )
        raise CheckpointError(_damaged(path) if card.url is None else msg)
    expected = card.sha256 or _pin(path)
    if expected is None:
        return path
    found = file_sha256(path)
    if found != expected:
        what = "is not the published file of" if card.sha256 else "has changed since it came for"
        noted = "" if card.sha256 else f" and {_pin_file(path).name}, where that is noted,"
        msg = (
            f"{path} {what} {card.name}: its sha256 is {found}, and {expected} was expected. "
            f"Delete it{noted} and download it again; weights of your own are loaded with "
            "checkpoint=."
        )
        raise CheckpointError(_damaged(path) if card.url is None else msg)
    return path


def pin(card: ModelCard) -> None:
    """Note the hash of weights that have just been loaded well, where none is published."""
    path = expected_path(card)
    if card.sha256 is None and path is not None and path.is_file() and _pin(path) is None:
        _note(path, file_sha256(path), card)


def verify(model: str | ModelCard) -> State:
    """What is known of a model's weights on this machine.

    Returns:
        One word, "verified" for the published file; "pinned" where no hash is published, and it is
        the file that came first; "unknown" where none was noted yet either; "wrong" for another
        file, or half of one; "missing" for no file; "none" for a model that needs none.
    """
    card = _card(model)
    path = expected_path(card)
    if path is None:
        return "none"
    if not path.is_file():
        return "missing"
    expected = card.sha256 or _pin(path)
    if card.bytes not in (None, path.stat().st_size):
        return "wrong"
    if expected is None:
        return "unknown"
    if file_sha256(path) != expected:
        return "wrong"
    return "verified" if card.sha256 else "pinned"


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
    found = file_sha256(path)
    return next((card for card in CARDS if card.sha256 == found), None)


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    return file_sha256(path)


def _card(model: str | ModelCard) -> ModelCard:
    if isinstance(model, ModelCard):
        return model
    if model not in BY_NAME:
        msg = f"There is no model {model!r} with a card. Models: {', '.join(BY_NAME)}."
        raise UnknownModel(msg)
    return BY_NAME[model]


def _absent(card: ModelCard, path: Path) -> str:
    if card.url is None:
        return f"The weights of {card.name} come with medsegany, but {path} is gone: reinstall it."
    size = f" ({card.bytes / 1e6:.0f} MB)" if card.bytes else ""
    return (
        f"The weights of {card.name} are not on this machine. Download {card.url}{size} and "
        f"put the file at {path}, or say where it lies: "
        f'load("{card.name}", checkpoint="path/to/{card.file_name}").'
    )


def _damaged(path: Path) -> str:
    return f"{path}, which comes with medsegany, is not what was shipped: reinstall medsegany."


def _refuse_offline(card: ModelCard, path: Path) -> None:
    if offline():
        msg = f"MEDSEGANY_OFFLINE forbids downloads. {_absent(card, path)}"
        raise CheckpointError(msg)


# --- where no hash is published ------------------------------------------------------------------


def _pin_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _pin(path: Path) -> str | None:
    """The hash noted beside a file, as `sha256sum` writes it."""
    pin = _pin_file(path)
    if not pin.is_file():
        return None
    try:
        words = pin.read_text("utf-8").split()
    except (OSError, ValueError) as error:
        msg = f"{pin} cannot be read: {error}"
        raise FileError(msg) from error
    if not words or len(words[0]) != 64:
        msg = f"{pin} holds no sha256. Delete it when you trust {path.name} as it is."
        raise CheckpointError(msg)
    return words[0]


def _note(path: Path, found: str, card: ModelCard) -> None:
    pin = _pin_file(path)
    _log.warning(
        "No hash of %s is published. That of the file here, %s, is noted in %s: from now on "
        "another file of that name is refused.",
        card.name,
        found,
        pin.name,
    )
    try:
        pin.write_text(f"{found}  {path.name}\n", "utf-8")
    except OSError as error:  # a folder that only somebody else may write to
        _log.warning("%s cannot be written (%s), so the hash is not noted.", pin, error.strerror)
