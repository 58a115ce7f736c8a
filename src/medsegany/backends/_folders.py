"""Writing a model into a folder of its own."""

import shutil
from pathlib import Path
from uuid import uuid4

import torch
from attrs import evolve

from medsegany._folder import ABOUT, WEIGHTS, about
from medsegany._sha256 import file_sha256
from medsegany.backends._weights import architecture, write
from medsegany.backends.medsam import MedSamSegmenter
from medsegany.backends.sam1 import Sam1Segmenter
from medsegany.backends.sam2 import Sam2Segmenter
from medsegany.cards import Family, ModelCard
from medsegany.errors import FileError, InvalidInput
from medsegany.protocols import Segmenter


def save(segmenter: Segmenter, folder: Path, *, name: str, licence: str, base: str) -> Path:
    """Write weights and description; see `registry.save`."""
    card, model = _described(segmenter, name, licence)
    if folder.exists():
        msg = f"{folder} exists already: a model is written into a new folder."
        raise FileError(msg)
    # Beside it and then renamed: half a model never stands under the final name.
    neighbour = folder.with_name(f".{uuid4().hex}")
    try:
        neighbour.mkdir(parents=True)
        # Tensors that share memory, or lie in it by columns, cannot be written as they are.
        state = {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
        write({k: v.contiguous() for k, v in state.items()}, neighbour / WEIGHTS)
        text = about(card, base=base, sha256=file_sha256(neighbour / WEIGHTS))
        (neighbour / ABOUT).write_text(text, "utf-8")
        neighbour.rename(folder)
    except OSError as error:
        msg = f"{folder} cannot be written: {error.strerror or error}."
        raise FileError(msg) from error
    finally:
        shutil.rmtree(neighbour, ignore_errors=True)
    return folder


def _described(segmenter: Segmenter, name: str, licence: str) -> tuple[ModelCard, torch.nn.Module]:
    family: Family
    model: torch.nn.Module
    if isinstance(segmenter, Sam2Segmenter):
        family, model = "sam2", segmenter.upstream
        size = int(segmenter.upstream.image_size)
    elif isinstance(segmenter, MedSamSegmenter):
        family, model = "medsam", segmenter.upstream
        size = int(segmenter.upstream.image_encoder.img_size)
    elif isinstance(segmenter, Sam1Segmenter):
        family, model = "sam1", segmenter.upstream.model
        size = int(segmenter.upstream.model.image_encoder.img_size)
    else:
        msg = f"{segmenter.name} has no weights that can be written here."
        raise InvalidInput(msg)
    kind = architecture(model.state_dict())
    if kind is None:
        msg = f"{segmenter.name} has an architecture of its own, which a folder cannot describe."
        raise InvalidInput(msg)
    count = sum(p.numel() for p in model.parameters())
    card = ModelCard(name, family, kind, count, size, licence)
    if isinstance(segmenter, Sam2Segmenter):
        times = None if segmenter.crop is None else segmenter.crop.times
        zooms = segmenter.tiles is not None
        card = evolve(card, box_hint=segmenter.box_hint, crop=times, zooms=zooms)
    return card, model
