"""The way through the model is the predictors' own, with gradients."""

import numpy as np
import pytest
import torch
from attrs import evolve
from monai.losses import DiceLoss
from training_makers import Discs, moving_disc

from medsegany.backends.sam2 import Sam2Segmenter, ellipse_logits
from medsegany.prompts import Box, Point, box_from_mask
from medsegany.propagation import ByMemory
from medsegany.testing.models import small_sam2, tiny_sam2
from medsegany.training import RELEASED, BoxJitter, Loss, read_log, train
from medsegany.training._batches import as_batch, as_input
from medsegany.training._model import ClipModel
from medsegany.training._weights import choose_parts, part_of


def batch_of(clips, size=64, kind="box", prompted=(0,), **options):
    rngs = [np.random.default_rng(n) for n in range(len(clips))]
    return as_batch(clips, size, kind, BoxJitter(0), rngs, prompted, **options)


def said(model, batch, monkeypatch, **options):
    """What the decoder says of every frame, in the order in which they are asked for."""
    module = ClipModel(model, Loss(), **options)
    heard = []
    compared = module._compared

    def listen(words, target, *, tracked):
        heard.append(words)
        return compared(words, target, tracked=tracked)

    monkeypatch.setattr(module, "_compared", listen)
    with torch.no_grad():
        module(batch)
    return heard


def test_images_are_prepared_as_the_official_transforms_do(segmenter):
    """Resized with antialiasing and normalised, to the last digits."""
    clip = moving_disc()
    theirs = segmenter._predictor._transforms(np.repeat(clip.frames[0][..., None], 3, -1))
    torch.testing.assert_close(as_input(clip, 64)[0], theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize("hint", [False, True])
def test_an_image_is_what_segment_2d_sees(hint, monkeypatch):
    """The same low-resolution logits as the segmenter's, for one of the four masks."""
    model = tiny_sam2(3, image_size=64)
    segmenter = Sam2Segmenter(model, "tiny", box_hint=hint)
    clip = moving_disc()
    box = box_from_mask(clip.masks[0])
    theirs = segmenter.segment_2d(clip.frames[0], box).low_res_logits[1]
    [words] = said(model, batch_of([clip]), monkeypatch, box_hint=hint)
    ours = words.masks[0].numpy()
    assert min(np.abs(mask - theirs).max() for mask in ours) < 1e-4


def test_clicks_besides_a_box_are_what_segment_2d_sees(monkeypatch):
    """Corners first, then clicks, and the ellipse of the box alone."""
    model = tiny_sam2(3, image_size=64)
    clip = moving_disc(size=(64, 64))
    batch = batch_of([clip], kind="box+clicks")
    points, labels = batch.prompts[0].points[0], batch.prompts[0].labels[0]
    assert labels[:3].tolist() == [2, 3, 1]
    box = Box(*points[:2].flatten().tolist())
    assert box == box_from_mask(clip.masks[0])
    clicks = [
        Point(x, y, bool(label))
        for (x, y), label in zip(points[2:].tolist(), labels[2:].tolist(), strict=True)
        if label >= 0
    ]
    segmenter = Sam2Segmenter(model, "tiny", box_hint=True)
    theirs = segmenter.segment_2d(clip.frames[0], [box, *clicks]).low_res_logits[1]
    [words] = said(model, batch, monkeypatch, box_hint=True)
    ours = words.masks[0].numpy()
    assert min(np.abs(mask - theirs).max() for mask in ours) < 1e-4


def test_a_clip_is_what_the_memory_sees(monkeypatch):
    """Frames after the prompted one get the logits that `ByMemory` gives them.

    In inference the prompt is made binary for the memory, and features are rounded to bfloat16:
    the first is so here too, in `eval`, the second makes the difference that is allowed for.
    """
    model = tiny_sam2(5, image_size=64)
    with torch.no_grad():  # else random weights say that nothing is there
        model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(10)
    clip = moving_disc(3, size=(64, 64))
    frames, box = clip.frames, box_from_mask(clip.masks[0])
    segmenter = Sam2Segmenter(model, "tiny")
    stack = np.concatenate([frames] + [frames[-1:]] * 13)  # 16, as training counts them
    theirs = [
        found.low_res_logits[1]
        for found, _ in zip(
            segmenter.track_video(stack, box.at(0), propagation=ByMemory(fill_holes_px=0)),
            range(3),
            strict=False,
        )
    ]
    words = said(model, batch_of([clip]), monkeypatch)
    for ours, expected in zip(words, theirs, strict=True):
        masks = ours.masks[0].numpy()
        assert min(np.abs(mask - expected).max() for mask in masks) < 0.05 * np.abs(expected).max()


def test_a_box_that_is_given_may_hold_nothing():
    """Then only the object score is asked for; and clicks, which would be nowhere, become boxes."""
    clip = moving_disc(size=(64, 64))
    empty = evolve(clip, masks=np.zeros_like(clip.masks), box=Box(8, 8, 55, 39))
    batch = batch_of([empty, clip], kind="clicks")
    assert batch.kind == "box"
    assert batch.prompts[0].points[0].tolist() == [[8, 8], [55, 39]]
    model = tiny_sam2(0, image_size=64).train()
    found = ClipModel(model, Loss())(batch_of([empty]))
    assert found["mask"] == found["iou_error"] == 0
    assert found["presence"] > 0
    assert batch_of([clip], kind="clicks").kind == "clicks"


def test_every_token_is_trained():
    """Each of the four masks gets a gradient when it is the best of its kind; the first always."""
    model = tiny_sam2(0, image_size=64).train()
    heads = model.sam_mask_decoder.output_hypernetworks_mlps
    ClipModel(model, Loss(iou=0, presence=0))(batch_of([moving_disc()]))["loss"].backward()
    moved = [
        head.layers[0].weight.grad is not None and head.layers[0].weight.grad.any().item()
        for head in heads
    ]
    assert moved[0]
    assert sum(moved[1:]) == 1  # the best of three


def test_the_papers_loss_trains_the_first_token_alone():
    """Nothing is asked of the other three, of predicted IoUs, nor of the object score."""
    model = tiny_sam2(0, image_size=64).train()
    loss = ClipModel(model, RELEASED.loss)(batch_of([moving_disc()], at="decoder"))["loss"]
    loss.backward()
    decoder = model.sam_mask_decoder
    grads = {
        n: p.grad for n, p in decoder.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert any(name.startswith("output_hypernetworks_mlps.0") for name in grads)
    for other in ("output_hypernetworks_mlps.1", "iou_prediction_head", "pred_obj_score_head"):
        assert not any(name.startswith(other) for name in grads)


def test_the_memory_learns_from_clips_and_not_from_images():
    """Its attention gets gradients only where something was remembered."""
    for frames, learns in ((1, False), (3, True)):
        model = tiny_sam2(0, image_size=64).train()
        ClipModel(model, Loss())(batch_of([moving_disc(frames)]))["loss"].backward()
        grads = [p.grad for p in model.memory_attention.parameters()]
        assert any(g is not None and g.abs().sum() > 0 for g in grads) == learns


def test_an_absent_object_costs_nothing_but_its_presence():
    """On a frame without it, no mask is compared: only the object score is asked for."""
    clip = moving_disc(2)
    clip.masks[1] = False
    model = tiny_sam2(0, image_size=64)
    found = ClipModel(model, Loss(iou=0, presence=0))(batch_of([clip]))
    alone = ClipModel(model, Loss(iou=0, presence=0))(batch_of([moving_disc(1)]))
    # the mean over two frames, of which one is zero
    assert found["loss"].item() == pytest.approx(alone["loss"].item() / 2, rel=1e-4)


def test_a_mask_that_is_given_is_not_asked_for():
    """The first frame has no loss then, the second does."""
    found = ClipModel(tiny_sam2(0, image_size=64), Loss())(batch_of([moving_disc(2)], kind="mask"))
    assert "tracked_iou" in found
    assert "prompted_iou" not in found


@pytest.mark.parametrize("kind", ["point", "clicks", "box+clicks"])
def test_clicks_are_prompts_too(kind):
    """A loss comes out, and it is finite."""
    model = tiny_sam2(0, image_size=64)
    assert torch.isfinite(
        ClipModel(model, Loss())(batch_of([moving_disc()] * 2, kind=kind))["loss"]
    )


def test_the_hint_is_the_ellipse_in_the_box():
    """At a quarter of 64 pixels: above zero inside, zero on the rim, at most 4, at least -8."""
    corners = torch.tensor([[[16.0, 16.0], [47.0, 31.0]]])  # 32 x 16 pixels
    logits = ellipse_logits(corners, 64)[0, 0]
    inside = (logits > 0).nonzero()
    assert logits.shape == (16, 16)
    assert logits.max() <= 4
    assert logits.min() == -8
    assert inside.min(0).values.tolist() == [4, 4]
    assert inside.max(0).values.tolist() == [7, 11]


def test_a_hint_changes_nothing_for_clicks():
    """It is made of boxes."""
    model = tiny_sam2(1, image_size=64)
    image = moving_disc().frames[0]
    click = Box(8, 11, 22, 25)
    plain = Sam2Segmenter(model, "a").segment_2d(image, click).low_res_logits[1]
    hinted = Sam2Segmenter(model, "b", box_hint=True).segment_2d(image, click).low_res_logits[1]
    assert np.abs(plain - hinted).max() > 1e-4


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("image_encoder.trunk.pos_embed", "image_encoder"),
        ("sam_mask_decoder.conv_s0.weight", "mask_decoder"),
        ("sam_prompt_encoder.no_mask_embed.weight", "prompt_encoder"),
        ("maskmem_tpos_enc", "memory"),
        ("no_mem_embed", "memory"),
        ("obj_ptr_proj.layers.0.weight", "memory"),
    ],
)
def test_each_weight_belongs_to_a_part(name, part):
    """What is neither encoder nor decoder serves the memory."""
    assert part_of(name) == part


def test_the_paper_trains_what_the_script_gives_to_its_optimiser(model):
    """All of the image encoder and of the mask decoder, and nothing else."""
    choose_parts(model, RELEASED.train, encoded=False)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {
        name
        for name, _ in model.named_parameters()
        if name.startswith(("image_encoder.", "sam_mask_decoder."))
    }


def _released_step(model, optimiser, images, boxes, targets):
    """The released script's arithmetic, said again: protocol of `finetune_sam2_img.py`."""
    features = model.forward_image(images)
    _, levels, _, sizes = model._prepare_backbone_features(features)
    levels[-1] = levels[-1] + model.no_mem_embed
    s0, s1, coarse = [
        level.permute(1, 2, 0).view(len(images), -1, *size)
        for level, size in zip(levels, sizes, strict=True)
    ]
    with torch.no_grad():
        corners = (boxes, torch.tensor([[2, 3]]).expand(len(images), 2))
        sparse, dense = model.sam_prompt_encoder(points=corners, boxes=None, masks=None)
    low_res, *_ = model.sam_mask_decoder(
        image_embeddings=coarse,
        image_pe=model.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
        repeat_image=False,
        high_res_features=[s0, s1],
    )
    dice = DiceLoss(sigmoid=True, squared_pred=True, reduction="mean")
    loss = dice(low_res, targets) + torch.nn.BCEWithLogitsLoss(reduction="mean")(low_res, targets)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def test_three_steps_of_the_released_recipe_are_the_released_arithmetic(tmp_path):
    """Losses and weights after three steps, against the script's loop written out with MONAI.

    Weights may differ by a tenth of what they moved: Adam makes steps of equal length out of
    gradients that are nothing but rounding.
    """
    recipe = evolve(RELEASED, epochs=1, batch=4, jitter=BoxJitter(0, grid_px=16))
    ours, theirs = small_sam2(image_size=64), small_sam2(image_size=64).train()
    train(ours, Discs(), recipe, tmp_path)
    names = ("image_encoder.", "sam_mask_decoder.")
    optimiser = torch.optim.AdamW(
        [p for n, p in theirs.named_parameters() if n.startswith(names)], lr=6e-5, weight_decay=0.01
    )
    losses = []
    for step in range(3):
        clips = [moving_disc(seed=4 * step + n) for n in range(4)]
        images = torch.cat([as_input(clip, 64) for clip in clips])
        masks = [
            clip.masks[0][np.arange(16)[:, None] * 40 // 16, np.arange(16) * 50 // 16]
            for clip in clips
        ]
        boxes = np.stack([box_from_mask(mask).as_array() for mask in masks]) * 4.0
        losses.append(
            _released_step(
                theirs,
                optimiser,
                images,
                torch.from_numpy(boxes).float().view(-1, 2, 2),
                torch.from_numpy(np.stack(masks)[:, None]).float(),
            )
        )
    assert [row["loss"] for row in read_log(tmp_path)] == pytest.approx(losses, rel=1e-5)
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[name], rtol=0, atol=2e-5)
