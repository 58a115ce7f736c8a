"""Losses on logits of masks."""

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own name for it
from attrs import field, frozen

from medsegany._validate import not_negative, one_of

_SMOOTH = 1e-5  # MONAI's default, as the released script uses it


@frozen
class Loss:
    """What is asked of the decoder.

    Attributes:
        every_token: Whether the three masks for ambiguous prompts are trained, too: the best of
            them, by its own loss, as SAM does. In inference one of them stands in for an unstable
            single mask, and is the mask of every slice that is carried.
        iou: Weight of the error of predicted IoUs, of every mask.
        presence: Weight of the cross-entropy of the object score.
        at: Where masks are compared: "decoder" at the decoder's resolution, a quarter of the
            input (paper, 2.6), or "input", with logits scaled up as in inference.
    """

    every_token: bool = True
    iou: float = field(default=1.0, validator=not_negative)
    presence: float = field(default=1.0, validator=not_negative)
    at: Literal["decoder", "input"] = field(default="input", validator=one_of("decoder", "input"))


def dice_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """One minus the soft Dice with squares in its denominator, for each mask.

    As MONAI's `DiceLoss(sigmoid=True, squared_pred=True)` (released script of Ma et al., 2024):
    `1 - (2 sum(p t) + s) / (sum(p^2) + sum(t^2) + s)` with `s = 1e-5`.

    Args:
        logits: `(..., h, w)`.
        target: The same shape, or one that broadcasts to it, 0 to 1.

    Returns:
        `(...)`.
    """
    p = logits.sigmoid()
    target = target.to(p)
    both = (p * target).sum((-2, -1))
    either = p.square().sum((-2, -1)) + target.square().sum((-2, -1))
    return 1 - (2 * both + _SMOOTH) / (either + _SMOOTH)


def cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy, averaged over the pixels of each mask; shapes as in `dice_loss`."""
    target = target.to(logits).expand_as(logits)
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((-2, -1))


def iou(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Intersection over union of the masks `logits > 0`, for each; 1 where both are empty."""
    found, true = logits > 0, target > 0.5
    both = (found & true).sum((-2, -1))
    either = (found | true).sum((-2, -1))
    return torch.where(either > 0, both / either.clamp(min=1), 1.0)
