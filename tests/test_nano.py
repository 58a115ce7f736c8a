"""The model that comes along: it is what its card says, works offline, and has learnt something."""

import numpy as np
import pytest
from attrs import evolve
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import medsegany
from medsegany import Box, Point, checkpoints, errors
from medsegany.benchmark import EllipseSegmenter
from medsegany.cards import BY_NAME
from medsegany.metrics import dsc
from medsegany.prompts import box_from_mask
from medsegany.testing import phantoms

CARD = BY_NAME["nano"]


@pytest.fixture(scope="module")
def nano():
    return medsegany.load()


def test_the_file_is_what_the_card_says():
    assert CARD.path.stat().st_size == CARD.bytes < 25e6
    assert checkpoints.sha256(CARD.path) == CARD.sha256
    with safe_open(CARD.path, "numpy") as file:
        arrays = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118 -- not a mapping
    assert {array.dtype for array in arrays} == {np.dtype("float16")}
    assert all(np.isfinite(array).all() for array in arrays)


def test_its_weights_are_as_many_as_the_card_says(nano):
    assert sum(p.numel() for p in nano.upstream.parameters()) == CARD.parameters


def test_it_is_the_default_and_needs_no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDSEGANY_OFFLINE", "1")
    monkeypatch.setenv("MEDSEGANY_HOME", str(tmp_path))
    assert medsegany.load().name == "nano"
    assert not list(tmp_path.iterdir())
    assert checkpoints.verify("nano") == "verified"
    assert checkpoints.pull("nano") == CARD.path


def test_it_is_the_official_model_at_the_card_s_size(nano):
    from sam2.sam2_video_predictor import SAM2VideoPredictor

    assert type(nano.upstream) is SAM2VideoPredictor
    assert nano.upstream.image_size == CARD.image_size


def test_it_looks_at_a_crop_unless_told_otherwise(nano):
    disc = phantoms.disc((200, 300), centre=(60, 50), radius=20)
    image = phantoms.image_of(disc)
    changed = image.copy()
    changed[:, 150:] = 255 - changed[:, 150:]
    box = box_from_mask(disc)
    found, again = (nano.segment_2d(shown, box) for shown in (image, changed))
    assert (found.mask == again.mask).all()
    whole = medsegany.load(crop=None)
    first, second = (whole.segment_2d(shown, box).logits[1] for shown in (image, changed))
    assert (first != second).any()


def test_another_file_may_take_its_place(tmp_path):
    state = load_file(CARD.path)
    name = "sam_mask_decoder.iou_prediction_head.layers.2.bias"
    state[name] = state[name] + 9
    save_file(state, tmp_path / "other.safetensors")
    other = medsegany.load("nano", checkpoint=tmp_path / "other.safetensors")
    given = other.upstream.state_dict()[name]
    np.testing.assert_allclose(given, state[name].float())


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_installation_is_named(tmp_path, monkeypatch, damage):
    content = bytearray(CARD.path.read_bytes())
    path = tmp_path / "nano.safetensors"
    if damage == "cut":
        del content[1000:]
    content[-1] ^= 1
    if damage != "gone":
        path.write_bytes(content)
    monkeypatch.setitem(BY_NAME, "nano", evolve(CARD, path=path))
    with pytest.raises(errors.CheckpointError, match="reinstall"):
        medsegany.load()
    with pytest.raises(errors.CheckpointError, match="reinstall"):
        checkpoints.pull("nano")


def test_a_click_is_understood(nano):
    disc = phantoms.disc((120, 160), centre=(80, 60), radius=25)
    found = nano.segment_2d(phantoms.image_of(disc), Point(80, 60))
    assert dsc(found.mask, disc) > 0.7


def test_a_click_on_something_small_is_understood(nano):
    """In the whole image it is four pixels of what nano looks at."""
    disc = phantoms.disc((512, 512), centre=(400, 130), radius=6)
    found = nano.segment_2d(phantoms.image_of(disc), Point(400, 130))
    assert dsc(found.mask, disc) > 0.7


def test_it_follows_vessels_from_near():
    """On a retina that is a photograph of skimage's; its vessels are dark in the green channel."""
    from skimage.data import retina
    from skimage.filters import sato

    image = retina()[::2, ::2]
    dark = sato(image[..., 1].astype(float), sigmas=[2, 3]) > 2.5
    box = Box(20, 20, 685, 685)
    near = medsegany.load()
    found = near.segment_2d(image, box).mask
    near.tiles = None
    once = near.segment_2d(image, box).mask
    assert dsc(found, dark) > dsc(once, dark) + 0.2


def test_its_memory_follows_what_grows(nano):
    """Further than the ellipse of the first slice reaches."""
    truth = np.stack([phantoms.disc((96, 96), (40 + k, 48), 12 + k) for k in range(8)])
    stack = np.stack([phantoms.image_of(mask, seed=k) for k, mask in enumerate(truth)])
    prompt = box_from_mask(truth[0]).at(0)
    out = nano.segment_volume(stack, prompt)
    carried = EllipseSegmenter().segment_volume(stack, prompt)
    assert dsc(out.mask[-1], truth[-1]) > dsc(carried.mask[-1], truth[-1])


def test_on_real_cases_it_sees_more_than_the_box(nano, real_objects):
    """Mean over modalities of the mean over objects of 20 pixels or more, from tight boxes."""
    scores = {}
    for modality, image, mask in real_objects():
        box = box_from_mask(mask)
        both = [model.segment_2d(image, box).mask for model in (nano, EllipseSegmenter())]
        scores.setdefault(modality, []).append([dsc(m, mask) for m in both])
    means = np.array([np.mean(pairs, axis=0) for pairs in scores.values()])
    assert len(means) == 11
    assert means[:, 0].mean() > means[:, 1].mean()
    assert (means[:, 0] > means[:, 1]).sum() >= 9


def test_the_demo_s_disc_is_round_and_inside_its_box(nano):
    from skimage.data import retina

    from medsegany.demo import OPTIC_DISC

    mask = nano.segment_2d(retina(), OPTIC_DISC).mask
    found = box_from_mask(mask)
    box = OPTIC_DISC
    assert isinstance(found, Box)
    assert found.x0 > box.x0 - 20
    assert found.x1 < box.x1 + 20
    assert found.y0 > box.y0 - 20
    assert found.y1 < box.y1 + 20
    assert 0.5 < mask.sum() / ((box.x1 - box.x0) * (box.y1 - box.y0)) < 1
