"""Where a training stands, in one file that is there whole or not at all."""

from pathlib import Path
from typing import Any

import torch

from medsegany.errors import CheckpointError
from medsegany.io._files import replacing, writing

STATE = "state.pt"
_FORMAT = 1


def write_state(folder: Path, content: dict[str, Any]) -> None:
    """Replace the state of a run.

    What is by chance in a step comes from the seed and the step's number alone, so these two are
    the state of every generator, and the place in the data as well.
    """
    path = folder / STATE
    with replacing(path) as neighbour, writing(path):
        torch.save({"format": _FORMAT, **content}, neighbour)


def read_state(folder: Path, *, seed: int, recipe: dict[str, Any]) -> dict[str, Any] | None:
    """The state of a run; None for one that has none yet.

    Raises:
        CheckpointError: It cannot be read, or belongs to another seed or recipe.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise anything
        msg = f"{path} cannot be read: {error}. Delete it to begin this run again."
        raise CheckpointError(msg) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        msg = f"{path} is of another version of medsegany. Delete it to begin this run again."
        raise CheckpointError(msg)
    if content["seed"] != seed or content["recipe"] != recipe:
        found = {"seed": content["seed"], **content["recipe"]}
        asked = {"seed": seed, **recipe}
        other = next(key for key in {**asked, **found} if found.get(key) != asked.get(key))
        msg = (
            f"{path.parent} was begun with {other}={found.get(other)!r}, and now it is "
            f"{asked.get(other)!r}. Go on as it was begun, or take another folder."
        )
        raise CheckpointError(msg)
    return dict(content)
