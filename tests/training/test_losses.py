"""What is asked of the decoder."""

import pytest
import torch
from monai.losses import DiceLoss

from medsegany.training import Loss
from medsegany.training._losses import cross_entropy, dice_loss, iou


def test_dice_by_hand():
    """Two pixels at one half, of which one is the object: 1 - 2 * 0.5 / (0.5 + 1) = 1/3."""
    assert dice_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])).item() == pytest.approx(
        1 / 3, abs=1e-5
    )


def test_cross_entropy_by_hand():
    """A pixel at one half costs log 2, whatever it should be."""
    found = cross_entropy(torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert found.item() == pytest.approx(0.6931472)


def test_dice_is_monais():
    """Dice with squares in its denominator is what the released script takes from MONAI."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 1, 16, 16, generator=generator)
    target = (torch.rand(5, 1, 16, 16, generator=generator) > 0.7).float()
    theirs = DiceLoss(sigmoid=True, squared_pred=True, reduction="mean")(logits, target)
    assert dice_loss(logits, target).mean().item() == pytest.approx(theirs.item(), abs=1e-6)


def test_an_empty_target_is_no_nan():
    """Nothing to find, and nothing found, costs almost nothing."""
    assert dice_loss(torch.full((3, 3), -50.0), torch.zeros(3, 3)).item() == pytest.approx(0)


def test_iou_by_hand():
    """Two of three pixels agree; where both are empty it is 1."""
    logits = torch.tensor([[[1.0, 1.0, -1.0, -1.0]], [[-1.0, -1.0, -1.0, -1.0]]])
    target = torch.tensor([[[1.0, 1.0, 1.0, 0.0]], [[0.0, 0.0, 0.0, 0.0]]])
    assert iou(logits, target).tolist() == pytest.approx([2 / 3, 1.0])


def test_where_masks_are_compared_is_one_of_two():
    """A third place is refused, with both."""
    with pytest.raises(ValueError, match="at is one of 'decoder', 'input', got 'output'"):
        Loss(at="output")
