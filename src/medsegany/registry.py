"""From a name to a model; nothing heavy is imported before a model is asked for."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import evolve

from medsegany import checkpoints
from medsegany._folder import read_folder
from medsegany.cards import BY_NAME, CARDS, ModelCard, crop_times
from medsegany.errors import CheckpointError, InvalidInput, MedSegAnyError, UnknownModel
from medsegany.progress import on_terminal
from medsegany.protocols import Segmenter

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    import torch

    Device: TypeAlias = torch.device | str
    Dtype: TypeAlias = torch.dtype | str | None

_OPENERS = {
    "classical": "medsegany.backends.classical",
    "sam1": "medsegany.backends._open",
    "sam2": "medsegany.backends._open",
    "medsam": "medsegany.backends._open",
}
_GROUP = "medsegany.backends"

DEFAULT = "nano"
"""The model that `load()` gives: the one whose weights come with medsegany."""


def models() -> list[ModelCard]:
    """Every model that `load` knows by name, and whether its weights are on this machine.

    Backends of other packages are loaded by their entry point's name and have no card.
    """
    return [evolve(card, path=checkpoints.find(card)) for card in CARDS]


def load(
    name_or_path: str | Path = DEFAULT,
    *,
    checkpoint: str | Path | None = None,
    device: "Device" = "auto",
    dtype: "Dtype" = None,
    image_size: int | None = None,
    compile: bool = False,  # noqa: A002 -- torch's own word for it
    crop: 'float | Literal["auto"] | None' = "auto",
) -> Segmenter:
    """Load a model.

    Args:
        name_or_path: A name from `models()`, such as "sam2.1-t"; the entry point of another
            package; the path of a published file of weights, which is known by its hash; or a
            folder that `save` wrote.
        checkpoint: A file of weights for the model of that name. Without it the published file is
            looked for in `checkpoints.home()`, and fetched when it is not there, see
            `checkpoints.pull`; `$MEDSEGANY_OFFLINE` forbids that.
        device: "auto" (CUDA, else MPS, else CPU), "cpu", "cuda", "cuda:1", "mps".
        dtype: The precision to compute in: None for float32, or "bfloat16" or "float16".
        image_size: SAM2 only: the side in pixels of the square it looks at, instead of 1024. 512 is
            several times as fast, and less accurate with weights that were trained at 1024.
        compile: Compile the image encoder with `torch.compile`: the first image takes minutes, the
            others less.
        crop: SAM2 only: look at the surroundings of each object, so many times as wide and as high
            as its box, instead of the whole image: small things are seen better, and every object
            takes an encoding of its own. In stacks the crop goes with the object. "auto" is what
            the model was made for: 1.5 for nano, None for the published ones; None is the whole
            image.

    Raises:
        UnknownModel: There is no model of this name.
        CheckpointError: The weights are missing, broken, or those of another model.
        DownloadError: The weights cannot be fetched.
        InvalidInput: An option that the model does not have.
    """
    name = str(name_or_path)
    if name not in BY_NAME and name in (plugins := _plugins()):
        _refuse(name, image_size=image_size, compile=compile or None, crop=_wanted(crop))
        return _checked(plugins[name].load(), name, checkpoint, device, dtype)
    card = BY_NAME[name] if name in BY_NAME else _of_path(Path(name), checkpoint)
    if card.family == "classical":
        _refuse(name, checkpoint=checkpoint, dtype=dtype, image_size=image_size)
        _refuse(name, compile=compile or None, crop=_wanted(crop))
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", str(device)):
            msg = f'device is "auto", "cpu", "cuda", "cuda:1" or "mps", got {str(device)!r}.'
            raise InvalidInput(msg)
        return _opener(card.family)(card)
    card = seeing(card, image_size, crop)
    if checkpoint is not None:
        path = checkpoints.given(Path(checkpoint), card)
    elif card.path is not None and name not in BY_NAME:
        path = card.path  # the user's file or folder, known by its hash
    else:
        path = _weights_of(card)
    segmenter = _opener(card.family)(
        card,
        path=path,
        device=device,
        dtype=dtype,
        image_size=image_size,
        compile=compile,
    )
    if card.path is None and checkpoint is None:
        checkpoints.pin(card)  # only now: half a file would be pinned, too
    return segmenter


def seeing(
    card: ModelCard, image_size: int | None, crop: 'float | Literal["auto"] | None'
) -> ModelCard:
    """A card with the crop that is asked for; see `load`.

    Raises:
        InvalidInput: The model has no such options.
    """
    if card.family != "sam2" and image_size not in (None, card.image_size):
        msg = f"{card.name} works at {card.image_size} px; image_size is an option of SAM2."
        raise InvalidInput(msg)
    if card.family != "sam2" and _wanted(crop) is not None:
        msg = f"{card.name} looks at whole images; crop is an option of SAM2."
        raise InvalidInput(msg)
    return card if crop == "auto" else evolve(card, crop=crop_times(crop))


def _wanted(crop: object) -> object:
    """What the user said of crops, if anything."""
    return None if crop == "auto" else crop


def _weights_of(card: ModelCard) -> Path:
    """The published file, from this machine or else from where it is published."""
    if checkpoints.offline() or checkpoints.find(card) is not None:
        return checkpoints.require(card)
    with on_terminal(f"fetching the weights of {card.name}") as report:
        return checkpoints.pull(card, on_progress=report)


def _opener(family: str) -> Callable[..., Segmenter]:
    """The function that makes a family's models; importing it may import torch."""
    opener: Callable[..., Segmenter] = import_module(_OPENERS[family]).open_model
    return opener


def save(
    segmenter: Segmenter, folder: str | Path, *, name: str, licence: str, base: str = ""
) -> Path:
    """Write a model into a folder that `load(folder)` reads: weights and a description.

    Args:
        segmenter: A SAM, SAM 2 or MedSAM model, as `load` gave it or trained further.
        folder: New: nothing is replaced.
        name: What the loaded model will be called.
        licence: Of these weights; those they come from may ask for it to stay the same.
        base: The model that was trained further, if any.

    Returns:
        The folder.

    Raises:
        InvalidInput: The model has no weights that medsegany knows how to describe.
        FileError: The folder exists already, or cannot be written.
    """
    write: Callable[..., Path] = import_module("medsegany.backends._folders").save
    return write(segmenter, Path(folder), name=name, licence=licence, base=base)


def _of_path(path: Path, checkpoint: str | Path | None) -> ModelCard:
    """The model of a folder or a published file that is given instead of a name."""
    name = str(path)
    if not path.exists():
        near = get_close_matches(name, BY_NAME, n=3, cutoff=0.4)
        msg = f"There is no model {name!r}"
        msg += " and no such file." if path.suffix else "."
        msg += f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        msg += f" Models: {', '.join([*BY_NAME, *_plugins()])}."
        raise UnknownModel(msg)
    if checkpoint is not None:
        msg = f"Two files of weights: {path} and checkpoint={checkpoint}. Give a name and one file."
        raise InvalidInput(msg)
    return read_folder(path) if path.is_dir() else _of_file(path)


def _of_file(path: Path) -> ModelCard:
    card = checkpoints.recognise(path)
    if card is None:
        msg = (
            f"{path} is none of the published files, so its model is not known. "
            f'Name it: load("medsam", checkpoint="{path}"). (MedSAM has the keys of SAM ViT-B, and '
            "MedSAM2 those of SAM 2.1 tiny: a guess could choose the wrong preprocessing.)"
        )
        raise CheckpointError(msg)
    return evolve(card, path=path)


def _plugins() -> "dict[str, EntryPoint]":
    """Backends of other packages, by the name of their entry point."""
    from importlib.metadata import entry_points  # noqa: PLC0415 -- keeps the import fast

    return {point.name: point for point in entry_points(group=_GROUP)}


def _refuse(name: str, **options: object) -> None:
    for option, value in options.items():
        if value is not None:
            msg = f"{name} has no option {option}."
            raise InvalidInput(msg)


def _checked(
    backend: Callable[..., Any],
    name: str,
    checkpoint: str | Path | None,
    device: "Device",
    dtype: "Dtype",
) -> Segmenter:
    segmenter = backend(checkpoint=checkpoint, device=device, dtype=dtype)
    if not isinstance(segmenter, Segmenter):
        msg = (
            f"The backend {name!r} returned a {type(segmenter).__name__}, which is no Segmenter: "
            "medsegany.testing.SegmenterContract says what is missing."
        )
        raise MedSegAnyError(msg)
    return segmenter
