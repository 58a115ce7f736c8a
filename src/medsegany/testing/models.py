"""Small official models with random weights: the real classes, in a second or less.

They segment nothing in particular. What they show is that the way through a model is right.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)

from medsegany.backends.sam2 import build
from medsegany.backends.sam2._build import SAM2VideoPredictor, config
from medsegany.cards import NANO


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


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Random weights from a seed; the caller's generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
