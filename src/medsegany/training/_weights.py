"""Weights while they are trained: which ones, their average, and the file they are kept in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path

import torch
from torch.utils.checkpoint import checkpoint

from medsegany.backends._weights import write
from medsegany.backends.sam2 import SAM2VideoPredictor
from medsegany.io._files import atomically
from medsegany.training._recipe import Part

BEST = "best.safetensors"
State = dict[str, torch.Tensor]


def choose_parts(upstream: SAM2VideoPredictor, parts: Sequence[Part], *, encoded: bool) -> None:
    """Let gradients into these parts of the model, and into no others.

    Args:
        upstream: The model.
        parts: Those that are trained.
        encoded: Whether features come from the disk: two convolutions of the decoder have been
            applied to them already, and stay as they are.
    """
    for name, parameter in upstream.named_parameters():
        applied = encoded and name.startswith(("sam_mask_decoder.conv_s",))
        parameter.requires_grad_(part_of(name) in parts and not applied)


def part_of(parameter: str) -> Part:
    """The part of SAM2 that a parameter belongs to, by its name."""
    if parameter.startswith("image_encoder."):
        return "image_encoder"
    if parameter.startswith("sam_prompt_encoder."):
        return "prompt_encoder"
    return "mask_decoder" if parameter.startswith("sam_mask_decoder.") else "memory"


def hash_of(upstream: SAM2VideoPredictor) -> str:
    """Which weights these are, and for which size of images: a SHA-256."""
    found = sha256(str(upstream.image_size).encode())
    for name, value in sorted(upstream.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def copied(upstream: SAM2VideoPredictor) -> State:
    """Weights that do not change when the model's do."""
    return {name: value.detach().clone() for name, value in upstream.state_dict().items()}


def between(tuned: State, base: State, keep: float) -> State:
    """Weights on the way from `tuned` back to `base`; a part `keep` of the way."""
    if not keep:
        return tuned
    return {
        name: torch.lerp(value, base[name].to(value), keep)
        if value.dtype.is_floating_point
        else value
        for name, value in tuned.items()
    }


def follow(average: State, upstream: SAM2VideoPredictor, keep: float, step: int) -> None:
    """A step of the average, which forgets the first weights sooner than later ones."""
    keep = min(keep, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, value in upstream.state_dict().items():
            if value.dtype.is_floating_point:
                average[name].lerp_(value, 1 - keep)


@contextmanager
def averaged(upstream: SAM2VideoPredictor, average: State) -> Iterator[None]:
    """The model with the average of its weights, if there is one; then with its own again."""
    if not average:
        yield
        return
    own = copied(upstream)
    upstream.load_state_dict(average)
    try:
        yield
    finally:
        upstream.load_state_dict(own)


@contextmanager
def recomputing(upstream: SAM2VideoPredictor, wanted: bool) -> Iterator[None]:  # noqa: FBT001
    """Blocks of the image encoder that keep their input and nothing else, where that is wanted."""
    blocks = list(upstream.image_encoder.trunk.blocks) if wanted else []
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward  # the class's own is seen again


def write_best(folder: Path, upstream: SAM2VideoPredictor) -> None:
    """The model's present weights become those that are kept."""
    state = {name: value.cpu().contiguous() for name, value in copied(upstream).items()}
    atomically(folder / BEST, lambda path: write(state, path))
