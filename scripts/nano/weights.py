"""Weights of a stage, from any file that has some."""

from pathlib import Path

import torch
from safetensors.torch import load_file


def read(path: Path) -> dict[str, torch.Tensor]:
    """Weights in float32: of a `.safetensors`, or the averaged ones of a run's `state.pt`."""
    if path.suffix == ".pt":
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = {**state["model"], **state["average"]}
    else:
        found = load_file(path)
    return {name: value.float() for name, value in found.items()}
