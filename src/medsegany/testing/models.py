"""Official models with random weights: small ones in a second or less, and those of real size.

They segment nothing in particular. What they show is that the way through a model is right, and
what it takes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)

from medsegany.backends._device import AnyDevice, AnyDtype
from medsegany.backends._open import open_model
from medsegany.backends.sam2 import build
from medsegany.backends.sam2._build import SAM2VideoPredictor, config
from medsegany.cards import BY_NAME, NANO
from medsegany.errors import InvalidInput, UnknownModel
from medsegany.protocols import Segmenter
from medsegany.registry import seeing


def small_sam(seed: int = 0, *, image_size: int = 256) -> Sam:
    """SAM with a ViT of two blocks and 64 channels, one of them global.

    Args:
        seed: Of the random weights.
        image_size: A multiple of 16.
    """
    with _seeded(seed):
        side = image_size // 16
        sam = Sam(
            image_encoder=ImageEncoderViT(
                depth=2,
                embed_dim=64,
                img_size=image_size,
                mlp_ratio=4,
                norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
                num_heads=2,
                patch_size=16,
                qkv_bias=True,
                use_rel_pos=True,
                global_attn_indexes=[1],
                window_size=14,
                out_chans=256,
            ),
            prompt_encoder=PromptEncoder(
                embed_dim=256,
                image_embedding_size=(side, side),
                input_image_size=(image_size, image_size),
                mask_in_chans=16,
            ),
            mask_decoder=MaskDecoder(
                num_multimask_outputs=3,
                transformer=TwoWayTransformer(
                    depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8
                ),
                transformer_dim=256,
                iou_head_depth=3,
                iou_head_hidden_dim=256,
            ),
        )
        # position embeddings start at zero, which would hide mistakes in where things are
        torch.nn.init.normal_(sam.image_encoder.pos_embed, std=0.5)
        return sam.eval()


def small_sam2(
    seed: int = 0, *, version: str = "sam2.1", image_size: int = 256
) -> SAM2VideoPredictor:
    """SAM2 with a Hiera of 1-1-2-1 blocks and 48 channels; everything else as published.

    Args:
        seed: Of the random weights.
        version: "sam2.1" or "sam2".
        image_size: A multiple of 32.
    """
    model = config(f"{version}/{version}_hiera_t")
    model.image_encoder.trunk.embed_dim = 48
    model.image_encoder.trunk.stages = [1, 1, 2, 1]
    model.image_encoder.trunk.global_att_blocks = [3]
    model.image_encoder.neck.backbone_channel_list = [384, 192, 96, 48]
    with _seeded(seed):
        return build(model, image_size)


def tiny_sam2(seed: int = 0, *, image_size: int = 256) -> SAM2VideoPredictor:
    """SAM2 in the shape of nano: half the channels everywhere, 6.5 M parameters.

    Args:
        seed: Of the random weights.
        image_size: A multiple of 32.
    """
    with _seeded(seed):
        return build(NANO, image_size)


def untrained(
    name: str,
    seed: int = 0,
    *,
    device: AnyDevice = "auto",
    dtype: AnyDtype = None,
    image_size: int | None = None,
    crop: float | Literal["auto"] | None = "auto",
) -> Segmenter:
    """A model as `load` gives it, at its real size, with random weights: nothing is fetched.

    Args:
        name: See `load`.
        seed: Of the weights.
        device: See `load`.
        dtype: See `load`.
        image_size: See `load`.
        crop: See `load`.

    Raises:
        UnknownModel: There is no such model.
        InvalidInput: It has no weights, or no such option.
    """
    if name not in BY_NAME:
        msg = f"There is no model {name!r} to leave untrained. Models: {', '.join(BY_NAME)}."
        raise UnknownModel(msg)
    card = BY_NAME[name]
    if card.family == "classical":
        msg = f"{name} has no weights that could be random."
        raise InvalidInput(msg)
    card = seeing(card, image_size, crop)
    with _seeded(seed):
        return open_model(
            card, path=None, device=device, dtype=dtype, image_size=image_size, compile=False
        )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Random weights from a seed; the caller's generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
