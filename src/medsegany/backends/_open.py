"""From a card and a file to a model with weights."""

from pathlib import Path

from medsegany.backends._device import AnyDevice, AnyDtype, as_device, as_dtype
from medsegany.backends._weights import fit, read
from medsegany.cards import ModelCard
from medsegany.protocols import Segmenter


def open_model(
    card: ModelCard,
    *,
    path: Path | None,
    device: AnyDevice,
    dtype: AnyDtype,
    image_size: int | None,
    compile: bool,  # noqa: A002 -- torch's own word for it
) -> Segmenter:
    """Build the official model, fill it with weights, and wrap it; see `registry.load`.

    Args:
        card: Which model.
        path: Of the weights; None leaves it as it was made, with random ones.
        device: See `load`.
        dtype: See `load`.
        image_size: See `load`.
        compile: See `load`.
    """
    # Said before gigabytes are read.
    chosen = as_device(device)
    as_dtype(dtype, chosen)
    state = {} if path is None else read(path)
    # Each backend imports its own package, so a broken one does not harm the others.
    if card.family == "sam2":
        from medsegany.backends.sam2 import (  # noqa: PLC0415
            Crop,
            Sam2Segmenter,
            Tiles,
            build as build_sam2,
        )

        predictor = build_sam2(card.architecture, image_size or card.image_size)
        if path is not None:
            fit(predictor, state, path, card)
        if compile:
            predictor.image_encoder.compile()
        return Sam2Segmenter(
            predictor,
            card.name,
            device=chosen,
            dtype=dtype,
            box_hint=card.box_hint,
            crop=None if card.crop is None else Crop(card.crop, search=card.zooms),
            tiles=Tiles() if card.zooms else None,
        )

    from segment_anything import sam_model_registry  # noqa: PLC0415

    from medsegany.backends.medsam import MedSamSegmenter  # noqa: PLC0415
    from medsegany.backends.sam1 import Sam1Segmenter  # noqa: PLC0415

    sam = sam_model_registry[card.architecture]()
    if path is not None:
        fit(sam, state, path, card)
    if compile:
        sam.image_encoder.compile()
    backend = MedSamSegmenter if card.family == "medsam" else Sam1Segmenter
    return backend(sam, card.name, device=chosen, dtype=dtype)
