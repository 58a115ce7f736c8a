"""Models in folders of our own: `model.safetensors`, and `medsegany.json` that says what it is."""

import json
from pathlib import Path
from typing import Any, cast, get_args

from medsegany._sha256 import file_sha256
from medsegany.cards import CARDS, NANO, Family, ModelCard, crop_times
from medsegany.errors import CheckpointError, InvalidInput

WEIGHTS = "model.safetensors"
ABOUT = "medsegany.json"
FORMAT = 1

_WORDS: dict[str, type] = {
    "name": str,
    "family": str,
    "architecture": str,
    "parameters": int,
    "image_size": int,
    "licence": str,
    "base": str,
    "sha256": str,
}


def about(card: ModelCard, *, base: str, sha256: str) -> str:
    """The content of `medsegany.json`."""
    words = {
        "format": FORMAT,
        "name": card.name,
        "family": card.family,
        "architecture": card.architecture,
        "parameters": card.parameters,
        "image_size": card.image_size,
        "licence": card.licence,
        "base": base,
        "sha256": sha256,
        "box_hint": card.box_hint,
        "crop": card.crop,
        "zooms": card.zooms,
    }
    return json.dumps(words, indent=2) + "\n"


def read_folder(folder: Path) -> ModelCard:
    """What a folder holds; the card's path is its file of weights.

    Raises:
        CheckpointError: It was not written by medsegany, by a newer one, or has changed since.
    """
    path, weights = folder / ABOUT, folder / WEIGHTS
    missing = [p.name for p in (path, weights) if not p.is_file()]
    if missing:
        msg = (
            f"The folder {folder} has no {' and no '.join(missing)}: it is none that "
            "medsegany.save has written."
        )
        raise CheckpointError(msg)
    words = _words(path)
    if file_sha256(weights) != words["sha256"]:
        msg = f"{weights} is not what {path.name} describes: its sha256 differs. Copy it again."
        raise CheckpointError(msg)
    return ModelCard(
        name=words["name"],
        family=cast("Family", words["family"]),
        architecture=words["architecture"],
        parameters=words["parameters"],
        image_size=words["image_size"],
        licence=words["licence"],
        bytes=weights.stat().st_size,
        sha256=words["sha256"],
        path=weights,
        box_hint=words.get("box_hint") is True,
        crop=_crop(words.get("crop"), path),
        zooms=words.get("zooms") is True,
    )


def _crop(value: Any, path: Path) -> float | None:  # noqa: ANN401 -- whatever the JSON holds
    try:
        return crop_times(value)
    except InvalidInput as error:
        msg = f"{path} has crop {value!r}; a number from 1 or null was expected."
        raise CheckpointError(msg) from error


def _words(path: Path) -> dict[str, Any]:
    try:
        words = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path} cannot be read: {error}"
        raise CheckpointError(msg) from error
    if not isinstance(words, dict) or words.get("format") != FORMAT:
        found = words.get("format") if isinstance(words, dict) else None
        msg = f"{path} has format {found!r}, and this medsegany reads {FORMAT}. Is it a newer one?"
        raise CheckpointError(msg)
    for key, kind in _WORDS.items():
        if type(words.get(key)) is not kind:
            msg = f"{path} has {key} {words.get(key)!r}; a {kind.__name__} was expected."
            raise CheckpointError(msg)
    if words["family"] not in set(get_args(Family)) - {"classical"}:
        msg = f"{path} is of the family {words['family']!r}, which this medsegany does not know."
        raise CheckpointError(msg)
    known = {NANO, *(card.architecture for card in CARDS if card.architecture)}
    if words["architecture"] not in known:
        msg = f"{path} has the architecture {words['architecture']!r}, which is not known here."
        raise CheckpointError(msg)
    return words
