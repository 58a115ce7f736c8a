"""From a card and a file to a model with weights."""

from pathlib import Path

from medsegany.backends._device import AnyDevice, AnyDtype
from medsegany.backends._weights import fit, read
from medsegany.cards import ModelCard
from medsegany.checkpoints import require
from medsegany.errors import InvalidInput
from medsegany.protocols import Segmenter


def open_model(
    card: ModelCard,
    *,
    checkpoint: Path | None,
    device: AnyDevice,
    dtype: AnyDtype,
    image_size: int | None,
    compile: bool,  # noqa: A002 -- torch's own word for it
) -> Segmenter:
    """Build the official model, fill it with weights, and wrap it; see `registry.load`."""
    if card.family != "sam2" and image_size not in (None, card.image_size):
        msg = f"{card.name} works at {card.image_size} px; image_size is an option of SAM2."
        raise InvalidInput(msg)
    path = require(card) if checkpoint is None else checkpoint
    state = read(path, card)
    # Each backend imports its own package, so a broken one does not harm the others.
    if card.family == "sam2":
        from medsegany.backends.sam2 import Sam2Segmenter, build as build_sam2  # noqa: PLC0415

        predictor = build_sam2(card.architecture, image_size or card.image_size)
        fit(predictor, state, path, card)
        if compile:
            predictor.image_encoder.compile()
        return Sam2Segmenter(predictor, card.name, device=device, dtype=dtype)

    from medsegany.backends.medsam import MedSamSegmenter  # noqa: PLC0415
    from medsegany.backends.sam1 import Sam1Segmenter, build as build_sam1  # noqa: PLC0415

    sam = build_sam1(card.architecture)
    fit(sam, state, path, card)
    if compile:
        sam.image_encoder.compile()
    backend = MedSamSegmenter if card.family == "medsam" else Sam1Segmenter
    return backend(sam, card.name, device=device, dtype=dtype)
