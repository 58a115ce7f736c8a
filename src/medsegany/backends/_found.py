"""Tensors of a decoder as a `Segmentation`."""

from collections.abc import Sequence

import numpy as np
import torch

from medsegany.results import Segmentation


def segmentation(
    names: Sequence[int],
    logits: torch.Tensor,
    low_res: torch.Tensor,
    scores: torch.Tensor,
    object_scores: torch.Tensor | None = None,
) -> Segmentation:
    """What a decoder said of some objects.

    Args:
        names: The B object ids.
        logits: `(B, 1, H, W)` at the size of the image.
        low_res: `(B, 1, h, w)` as the decoder gave them.
        scores: `(B, 1)` predicted IoU.
        object_scores: `(B, 1)` SAM2's object score logits.
    """
    at_size = logits[:, 0].float().cpu().numpy()
    raw = low_res[:, 0].float().cpu().numpy()
    iou = scores[:, 0].float().cpu().tolist()
    there = [float("nan")] * len(names)
    if object_scores is not None:
        there = torch.sigmoid(object_scores[:, 0].float()).cpu().tolist()
    return Segmentation(
        masks={name: at_size[b] > 0 for b, name in enumerate(names)},
        scores=dict(zip(names, iou, strict=True)),
        presence=dict(zip(names, there, strict=True)),
        # copies, so that keeping one object does not keep the whole batch
        logits={name: np.array(at_size[b]) for b, name in enumerate(names)},
        low_res_logits={name: np.array(raw[b]) for b, name in enumerate(names)},
    )
