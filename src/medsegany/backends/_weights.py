"""Reading files of weights, and telling whose they are."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from medsegany.cards import NANO, ModelCard
from medsegany.errors import CheckpointError

State = dict[str, torch.Tensor]

_PREFIX = "sam2_model."  # of the paper's fine-tuning script
_VIT = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_HIERA = {(96, 12): "t", (96, 16): "s", (112, 24): "b+", (144, 48): "l"}
_OF_NANO = (48, 7)
_SPOKEN = {
    "vit_b": "a SAM ViT-B",
    "vit_l": "a SAM ViT-L",
    "vit_h": "a SAM ViT-H",
    "lite": "a LiteMedSAM",
    NANO: "a nano",
    **{f"sam2/sam2_hiera_{s}": f"a SAM 2 Hiera-{s.upper()}" for s in _HIERA.values()},
    **{f"sam2.1/sam2.1_hiera_{s}": f"a SAM 2.1 Hiera-{s.upper()}" for s in _HIERA.values()},
}


def read(path: Path) -> State:
    """The weights in a file, which is never allowed to run code.

    Raises:
        CheckpointError: It holds something else than weights.
    """
    if path.suffix == ".safetensors":
        return _flat(_safetensors(path), path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a file's age or dialect: it loads, or it does not
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower() or "reduce" in str(error).lower():
            msg = f"{path} holds more than weights, and loading it could run code: refused."
        else:
            with path.open("rb") as file:
                begin = file.read(24)
            msg = f"{path} is no file of weights: it begins with {begin!r}."
        raise CheckpointError(msg) from error
    except Exception as error:  # damaged pickles raise anything
        msg = f"{path} cannot be read as weights: is it cut off, or another kind of file?"
        raise CheckpointError(msg) from error
    return _flat(content, path)


def write(state: State, path: Path) -> None:
    """Write weights as safetensors.

    Raises:
        OSError: The disk is full, or cannot be written to; safetensors has an error of its own.
    """
    from safetensors import SafetensorError  # noqa: PLC0415 -- few need it
    from safetensors.torch import save_file  # noqa: PLC0415

    try:
        save_file(state, path)
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _safetensors(path: Path) -> State:
    from safetensors import SafetensorError  # noqa: PLC0415 -- few files need it
    from safetensors.torch import load_file  # noqa: PLC0415

    try:
        state: State = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        msg = f"{path} cannot be read as safetensors: {error}"
        raise CheckpointError(msg) from error
    return state


def _flat(content: Any, path: Path) -> State:  # noqa: ANN401 -- whatever the file held
    state = content.get("model", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        msg = f"{path} holds no weights: a mapping from names to tensors was expected."
        raise CheckpointError(msg)
    return {str(key).removeprefix(_PREFIX): value for key, value in state.items()}


def fit(model: torch.nn.Module, state: State, path: Path, card: ModelCard) -> None:
    """Fill a model with weights.

    Raises:
        CheckpointError: They are those of another architecture.
    """
    found = architecture(state)
    if found is not None and found != card.architecture:
        msg = (
            f"{path} is {_SPOKEN[found]} checkpoint; {card.name} needs "
            f"{_SPOKEN[card.architecture]} one."
        )
        raise CheckpointError(msg)
    own = model.state_dict()
    missing = own.keys() - state.keys()
    unknown = state.keys() - own.keys()
    wrong = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    if missing or unknown or wrong:
        msg = (
            f"{path} does not fit {card.name}: {len(missing)} weights are missing, {len(unknown)} "
            f"are unknown and {len(wrong)} have another shape, for instance "
            f"{min([*missing, *unknown, *wrong])!r}."
        )
        raise CheckpointError(msg)
    model.load_state_dict(state)


def architecture(state: State) -> str | None:
    """The architecture that weights were made for, as cards name it; None for an unknown one."""
    if "image_encoder.pos_embed" in state:
        return _VIT.get(state["image_encoder.pos_embed"].shape[-1])
    if any(key.startswith("image_encoder.patch_embed.seq") for key in state):
        return "lite"
    first = "image_encoder.trunk.patch_embed.proj.weight"
    if first not in state:
        return None
    blocks = {key.split(".")[3] for key in state if key.startswith("image_encoder.trunk.blocks.")}
    shape = (state[first].shape[0], len(blocks))
    if shape == _OF_NANO and state["no_mem_embed"].shape[-1] == 128:
        return NANO
    size = _HIERA.get(shape)
    version = "sam2.1" if "no_obj_embed_spatial" in state else "sam2"
    return None if size is None else f"{version}/{version}_hiera_{size}"
