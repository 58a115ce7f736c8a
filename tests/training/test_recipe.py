"""A recipe is a value."""

import json

import pytest
from attrs import evolve

from medsegany import training
from medsegany.errors import InvalidInput
from medsegany.training import PAPER, RELEASED, BoxJitter, Loss, Machine, Recipe


def test_the_papers_recipe():
    """Section 2.6, word for word."""
    assert PAPER.batch == 16
    assert PAPER.learning_rate == 6e-5
    assert PAPER.epochs == 1000
    assert set(PAPER.train) == {"image_encoder", "mask_decoder"}
    assert PAPER.jitter == BoxJitter(outward_px=5)
    assert PAPER.loss == Loss(every_token=False, iou=0, presence=0, at="decoder")


def test_the_released_script_differs_in_two_things():
    """Its order of slices and the grid of its boxes."""
    ours, theirs = PAPER.to_dict(), RELEASED.to_dict()
    assert {key for key in ours if ours[key] != theirs[key]} == {"shuffle", "jitter"}


def test_a_constant_rate_is_constant():
    """The paper's is 6e-5 from the first step to the last."""
    assert [PAPER.rate(step, 10) for step in (0, 5, 9)] == [6e-5] * 3


def test_warm_up_and_cosine_by_hand():
    """Ten of a hundred steps up, then down: half way between, it is 0.505 of the highest."""
    recipe = Recipe(learning_rate=1.0, warmup=0.1)
    assert recipe.rate(0, 100) == pytest.approx(0.1)
    assert recipe.rate(9, 100) == pytest.approx(1.0)
    assert recipe.rate(55, 100) == pytest.approx(0.505)
    assert recipe.rate(100, 100) == pytest.approx(0.01)


@pytest.mark.parametrize("recipe", [Recipe(), PAPER, RELEASED])
def test_a_recipe_goes_through_json(recipe):
    """What was written down is what was meant."""
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_an_unknown_word_is_refused_with_the_known_ones():
    """A slip in a file does not go unseen."""
    with pytest.raises(ValueError, match="A recipe has no 'lr'. It has epochs, batch"):
        Recipe.from_dict({"lr": 1})
    with pytest.raises(ValueError, match="not understood.*smooth"):
        Recipe.from_dict({"loss": {"smooth": 1}})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"prompts": ["box"]}, r"prompts gives shares to some of box.*got \['box'\]"),
        ({"loss": "dice"}, "loss is of Loss, got 'dice'"),
        ({"jitter": 5}, "jitter is of BoxJitter, got 5"),
        ({"augmentation": True}, "augmentation is of Augmentation or None, got True"),
    ],
)
def test_a_part_of_another_kind_is_refused(content, words):
    """When it is read, and not in the middle of a training."""
    with pytest.raises(InvalidInput, match=words):
        Recipe.from_dict(content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": ("encoder",)}, "train is some of image_encoder"),
        ({"prompts": {"scribble": 1}}, "prompts gives shares to some of box"),
        ({"prompts": {"box": 0}}, "prompts gives shares"),
        ({"prompts": {"box": 1, "point": -0.5}}, "at least 0"),
        ({"clips": 1.5}, "clips is a part of 1"),
        ({"epochs": 0}, "epochs is a whole number from 1"),
        ({"learning_rate": 0}, "learning_rate is above zero"),
    ],
)
def test_what_makes_no_sense_is_refused(change, words):
    """Before any work."""
    with pytest.raises(ValueError, match=words):
        evolve(Recipe(), **change)


def test_a_machine_has_two_precisions():
    """float16 needs a scaled loss, which is not offered."""
    with pytest.raises(ValueError, match="precision is one of 'float32', 'bfloat16'"):
        Machine(precision="float16")


def test_every_name_of_the_package_is_there():
    """Those that need torch, too, which are imported when they are asked for."""
    assert all(hasattr(training, name) for name in training.__all__)
    with pytest.raises(AttributeError, match="Recip"):
        training.Recip  # noqa: B018 -- it is what is asked
