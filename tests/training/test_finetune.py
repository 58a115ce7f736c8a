"""From a folder to a model of one's own."""

import json
import shutil
import subprocess
import sys

import nibabel
import numpy as np
import pytest
import torch
from attrs import evolve
from safetensors.torch import load_file

import medsegany
from medsegany import Box
from medsegany.backends.sam2 import Crop, Sam2Segmenter
from medsegany.cards import BY_NAME
from medsegany.errors import CheckpointError, FileError, InvalidInput
from medsegany.testing.models import tiny_sam2
from medsegany.training import Augmentation, Machine, Recipe, Split, find_cases, finetune, read_log
from medsegany.training._batches import as_input
from medsegany.training._embeddings import StoredEmbeddings
from medsegany.training._finetune import _licence_of
from medsegany.training._source import CaseClips
from medsegany.training._store import store
from medsegany.training._validate import validation

RECIPE = Recipe(epochs=1, batch=8, learning_rate=1e-3, frames=2)


def base(**options):
    return Sam2Segmenter(tiny_sam2(0, image_size=64), "tiny", **options)


@pytest.fixture(scope="module")
def tuned(folder, tmp_path_factory):
    """A whole fine-tuning: one epoch on four volumes of six slices."""
    torch.set_num_threads(1)
    return finetune(
        base(box_hint=True),
        find_cases(folder),
        tmp_path_factory.mktemp("run"),
        recipe=RECIPE,
        labels={1: "big disc", 2: "small disc"},
        name="discs",
        licence="CC0-1.0",
        data="drawn by a test",
        validate_on=4,
    )


def test_the_result_is_loaded_like_any_model(tuned, folder):
    """In 2D, in a volume and in a video; with the hint that it was trained with."""
    model = medsegany.load(tuned.model, device="cpu")
    assert model.name == "discs"
    assert model.box_hint
    volume = medsegany.io.read_volume(find_cases(folder)[0].image)
    box = Box(7, 8, 19, 20)
    assert model.segment_2d(volume.voxels[1], box).mask.shape == (32, 40)
    assert model.segment_volume(volume, box.at(1), slices=(1, 3)).masks[1].shape == (6, 32, 40)
    assert len(list(model.track_video(volume.voxels, box.at(0)))) == 6


def test_the_card_says_what_it_was_made_of(tuned):
    """Data, split, recipe, licence, and how good it was."""
    text = (tuned.model / "README.md").read_text()
    for words in (
        "# discs",
        "Trained by medsegany from tiny",
        "Licence of these weights: CC0-1.0",
        "Data: drawn by a test",
        "1 big disc, 2 small disc",
        "Cases: 4 to learn from, with 24 slices, 4 of them",
        f"a mean DSC of {tuned.outcome.best:.4f}",
        "Its memory was trained",
        "| `learning_rate` | 0.001 |",
        f"- test: {tuned.split.test[0]}",
        "not for clinical use",
    ):
        assert words in text, words


def test_the_folder_holds_what_happened(tuned):
    """Split, log, curves, and the weights that were best."""
    split = json.loads((tuned.folder / "split.json").read_text())
    assert len(split["train"]) == 4
    rows = read_log(tuned.folder)
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3]
    assert [row["step"] for row in rows if "tracked_dsc" in row] == [0, 3]
    assert (tuned.model / "curves.png").read_bytes()[:4] == b"\x89PNG"
    best = load_file(tuned.folder / "best.safetensors")
    model = load_file(tuned.model / "model.safetensors")
    assert all(torch.equal(best[name], model[name]) for name in best)


def test_the_same_call_again_gives_the_same_model(tuned, folder):
    """Nothing is trained twice."""
    again = finetune(
        base(box_hint=True),
        find_cases(folder),
        tuned.folder,
        recipe=RECIPE,
        labels={1: "big disc", 2: "small disc"},
        name="discs",
        validate_on=4,
    )
    assert again.outcome == tuned.outcome


def test_a_run_does_not_change_its_model_or_split(tuned, folder):
    """Another base, or another split, needs another folder."""
    cases = find_cases(folder)
    other = Split(("case_0",), ("case_1",), ("case_2",))
    with pytest.raises(InvalidInput, match="divides the cases in another way"):
        finetune(base(), cases, tuned.folder, recipe=RECIPE, split=other)
    stranger = Sam2Segmenter(tiny_sam2(1, image_size=64), "stranger", box_hint=True)
    with pytest.raises(InvalidInput, match="was begun with base 'tiny', and now it is 'stranger'"):
        finetune(stranger, cases, tuned.folder, recipe=RECIPE)


def test_a_run_does_not_change_its_labels(tuned, folder):
    """Its record would name organs that were never learnt."""
    words = (tuned.folder / "run.json").read_text()
    with pytest.raises(InvalidInput, match=r"with the labels \[1, 2\], and now they are \[1\]"):
        finetune(base(box_hint=True), find_cases(folder), tuned.folder, recipe=RECIPE, labels=[1])
    assert (tuned.folder / "run.json").read_text() == words


def test_only_sam2_is_trained(folder, tmp_path):
    """The paper's study is of SAM 2; what has no weights certainly is not."""
    with pytest.raises(InvalidInput, match="classical is no SAM 2"):
        finetune("classical", find_cases(folder), tmp_path, recipe=RECIPE)


def test_a_memory_that_was_not_trained_is_said_to_be_so(folder, tmp_path):
    """The card warns of volumes and videos."""
    recipe = evolve(RECIPE, frames=1, clips=0.0)
    run = finetune(base(), find_cases(folder), tmp_path, recipe=recipe, validate_on=2)
    assert "**Its memory was not trained.**" in (run.model / "README.md").read_text()


def test_a_frozen_encoder_is_asked_once(folder, tmp_path):
    """Features from the disk train the decoder as features from the encoder do.

    They are kept as float16, and nothing else differs.
    """
    recipe = evolve(RECIPE, augmentation=None, train=("mask_decoder",), frames=1, clips=0.0)
    split = Split(tuple(f"case_{n}" for n in range(4)), (), ())

    def tune(name, *, once):
        machine = Machine(embed_once=once)
        where = tmp_path / name
        finetune(base(), find_cases(folder), where, recipe=recipe, machine=machine, split=split)
        return [row["loss"] for row in read_log(where)]

    rows = {"twice": tune("twice", once=False), "once": tune("once", once=True)}
    assert rows["once"][0] == pytest.approx(rows["twice"][0], rel=1e-3)
    assert rows["once"] == pytest.approx(rows["twice"], rel=0.05)
    assert len(list((tmp_path / "once" / "features").glob("*.npy"))) == 12
    # Two convolutions are learnt by the one and not by the other: neither goes on as the other.
    with pytest.raises(CheckpointError, match="was begun without embed_once"):
        tune("twice", once=True)
    with pytest.raises(CheckpointError, match="was begun with embed_once"):
        tune("once", once=False)


def test_the_licence_is_that_of_the_base(monkeypatch, tmp_path):
    """By the name of a published model, by its file, or by its folder; a name is no path."""
    file = BY_NAME["nano"].path
    assert _licence_of("nano") == _licence_of(file) == "CC-BY-SA-4.0"
    assert _licence_of(medsegany.load("nano", crop=None)) == "CC-BY-SA-4.0"
    medsegany.save(base(), tmp_path / "mine", name="mine", licence="CC0-1.0")
    monkeypatch.chdir(tmp_path)
    assert _licence_of("mine") == "CC0-1.0"
    mine = medsegany.load("mine", device="cpu")
    assert _licence_of(mine) == "not said"
    (tmp_path / "x.pt").write_bytes(b"x")
    assert _licence_of("x.pt") == "not said"


def test_stored_features_are_those_of_the_encoder(folder, tmp_path):
    """For the frames of a clip, upward or downward, to the precision of float16."""
    model = tiny_sam2(0, image_size=64)
    cases = store(find_cases(folder)[:2], tmp_path / "cases", window=None)
    stored = StoredEmbeddings(model, cases, tmp_path / "features")
    clips = [CaseClips(cases, [1, 2], smallest_px=1, seed=0).clip(n, 3) for n in range(2)]
    with torch.no_grad():
        frames = torch.cat([as_input(clip, 64) for clip in clips])
        theirs = model.forward_image(frames)["backbone_fpn"][-3:]
    for ours, expected in zip(stored.of(clips), theirs, strict=True):
        torch.testing.assert_close(ours, expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "embed_once is for an image encoder that is not trained"),
        (
            {"train": ("mask_decoder",), "augmentation": Augmentation()},
            "embed_once looks at images as they are",
        ),
    ],
)
def test_embed_once_says_what_contradicts_it(folder, tmp_path, change, words):
    """Before any work."""
    with pytest.raises(InvalidInput, match=words):
        finetune(
            base(),
            find_cases(folder),
            tmp_path,
            recipe=evolve(RECIPE, **change),
            machine=Machine(embed_once=True),
        )


def test_clips_are_slices_in_a_row(folder, tmp_path):
    """Upward or downward, one label, its first frame never without it."""
    cases = store(find_cases(folder)[:1], tmp_path, window=None)
    clips = CaseClips(cases, [1, 2], smallest_px=1, seed=0)
    assert len(clips) == 5  # slice 0 is empty
    steps = set()
    for number in range(40):
        clip = clips.clip(number, 3)
        _, slices = clip.source
        steps.add(slices[1] - slices[0])
        assert set(np.diff(slices).tolist()) <= {1, -1}
        assert clip.masks[0].any()
        label = int(clip.origin.rsplit(" ", 1)[1])
        assert (clip.masks == (cases[0].labels[list(slices)] == label)).all()
    assert steps == {1, -1}


def test_an_epoch_shows_every_slice_once(folder, tmp_path):
    """In another order in the next one, unless that is not wanted."""
    cases = store(find_cases(folder)[:2], tmp_path, window=None)

    def order(shuffle, epoch):
        clips = CaseClips(cases, [1], smallest_px=1, seed=0, shuffle=shuffle)
        numbers = range(epoch * len(clips), (epoch + 1) * len(clips))
        return [clips.clip(n, 1).origin for n in numbers]

    assert sorted(order(True, 0)) == sorted(order(True, 1)) == sorted(order(False, 0))
    assert order(True, 0) != order(True, 1)
    assert order(False, 0) == order(False, 1)


def test_the_same_number_is_the_same_clip(folder, tmp_path):
    """In any order of asking: so a run can go on anywhere."""
    cases = store(find_cases(folder), tmp_path, window=None)
    made = [CaseClips(cases, [1, 2], smallest_px=1, seed=3) for _ in range(2)]
    first = [made[0].clip(n, 2).frames for n in range(50)]
    assert all((made[1].clip(n, 2).frames == first[n]).all() for n in reversed(range(50)))


def test_validation_measures_what_users_do(folder, tmp_path):
    """The mean over labels of `segment_2d` with tight boxes, as if done by hand."""
    segmenter = base()
    cases = store(find_cases(folder)[:1], tmp_path, window=None)
    measure = validation(
        cases,
        [1, 2],
        smallest_px=1,
        at_most=100,
        clips=False,
        segmenter_of=segmenter.over,
        seed=0,
    )
    scores = {1: [], 2: []}
    for k in range(1, 6):
        truth = np.asarray(cases[0].labels[k])
        boxes = medsegany.prompts.boxes_from_labels(truth)
        found = segmenter.segment_2d(np.asarray(cases[0].images[k]), boxes)
        for n, mask in found.masks.items():
            scores[n].append(medsegany.metrics.dsc(mask, truth == n))
    by_hand = np.mean([np.mean(scores[1]), np.mean(scores[2])])
    assert measure(segmenter.upstream)["dsc"] == pytest.approx(by_hand)


@pytest.mark.slow
def test_two_processes_make_one_run(folder, tmp_path):
    """`torchrun -m medsegany finetune`: one split, one log, one model, no file twice."""
    medsegany.save(base(), tmp_path / "base", name="tiny", licence="CC0-1.0")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launch += ["-m", "medsegany", "finetune"]
    line = [tmp_path / "base", folder, "-o", tmp_path / "run", "--epochs", "1", "--batch", "10"]
    found = subprocess.run(
        [*launch, *map(str, line), "--device", "cpu", "--validate-every", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    rows = read_log(tmp_path / "run")
    assert [row["step"] for row in rows if "loss" in row] == [1, 2]
    assert [row["step"] for row in rows if "dsc" in row] == [0, 1, 2]
    assert medsegany.load(tmp_path / "run" / "model", device="cpu").name == "run"


def test_a_validation_without_objects_is_refused(folder, tmp_path):
    """Nothing could be chosen by it."""
    cases = store(find_cases(folder)[:1], tmp_path, window=None)
    how = {"at_most": 4, "clips": False, "segmenter_of": base().over, "seed": 0}
    with pytest.raises(InvalidInput, match="hold no object that is learnt"):
        validation(cases, [1], smallest_px=10_000, **how)


def test_the_base_is_not_changed(folder, tmp_path):
    """A second fold begins with what the first one began with, and not with its end."""
    mine = base()
    before = {name: value.clone() for name, value in mine.upstream.state_dict().items()}
    for fold in ("one", "two"):
        finetune(mine, find_cases(folder), tmp_path / fold, recipe=RECIPE, validate_on=2)
    after = mine.upstream.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    one, two = (load_file(tmp_path / fold / "best.safetensors") for fold in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_other_weights_of_one_name_are_another_base(folder, tmp_path):
    """What a run began with is known by its weights, and by the size that it looks at."""
    cases = find_cases(folder)
    recipe = evolve(RECIPE, frames=1, clips=0.0)
    finetune(base(), cases, tmp_path, recipe=recipe, validate_on=2)
    for other, words in (
        (Sam2Segmenter(tiny_sam2(1, image_size=64), "tiny"), "begun with weights"),
        (Sam2Segmenter(tiny_sam2(0, image_size=96), "tiny"), "begun with image_size 64"),
    ):
        with pytest.raises(InvalidInput, match=words):
            finetune(other, cases, tmp_path, recipe=recipe)


def test_raw_intensities_are_refused(folder, tmp_path):
    """The model looks at display values; `window="raw"` has none for most scans."""
    case = find_cases(folder)[0]
    deep = tmp_path / "deep"
    for name in ("images", "labels"):
        (deep / name).mkdir(parents=True)
    volume = medsegany.io.read_volume(case.image)
    nibabel.save(
        nibabel.Nifti1Image(volume.voxels.transpose(2, 1, 0).astype(np.int16) * 100, volume.affine),
        deep / "images" / "a.nii.gz",
    )
    shutil.copy(case.labels, deep / "labels" / "a.nii.gz")
    with pytest.raises(InvalidInput, match="A stack is uint8"):
        store(find_cases(deep), tmp_path / "s", window="raw")


def test_instance_numbers_may_be_large(tmp_path):
    """One voxel of label 65535 takes no table of 65535 columns."""
    labels = np.zeros((40, 8, 8), np.uint16)
    labels[3, 2, 2] = 65535
    np.savez(tmp_path / "a.npz", imgs=np.zeros((40, 8, 8), np.uint8), gts=labels)
    [case] = store(find_cases(tmp_path), tmp_path / "s", window=None)
    assert {label: areas.sum() for label, areas in case.areas.items()} == {65535: 1}


def test_negative_labels_are_refused_by_name(tmp_path):
    """-1 for "ignore" is no label here."""
    labels = np.zeros((2, 8, 8), np.int16)
    labels[0, 0, 0] = -1
    np.savez(tmp_path / "a.npz", imgs=np.zeros((2, 8, 8), np.uint8), gts=labels)
    with pytest.raises(FileError, match=r"a\.npz"):
        store(find_cases(tmp_path), tmp_path / "s", window=None)


def test_a_part_of_the_base_is_kept(folder, tmp_path):
    """Half way: each weight is the mean of both. It is asked for afterwards, and trains nothing."""
    recipe = evolve(RECIPE, frames=1, clips=0.0)
    whole = finetune(base(), find_cases(folder), tmp_path, recipe=recipe, validate_on=2)
    best = load_file(tmp_path / "best.safetensors")
    half = finetune(base(), find_cases(folder), tmp_path, recipe=recipe, validate_on=2, keep=0.5)
    assert half.outcome == whole.outcome
    before, found = base().upstream.state_dict(), load_file(half.model / "model.safetensors")
    name = "sam_mask_decoder.iou_token.weight"
    torch.testing.assert_close(found[name], (before[name] + best[name]) / 2)
    assert "0.5 of the base" in (half.model / "README.md").read_text()
    with pytest.raises(InvalidInput, match="keep is a part of the base, from 0 to below 1, got 1"):
        finetune(base(), find_cases(folder), tmp_path, recipe=recipe, keep=1)


def test_a_model_with_a_crop_learns_in_crops_and_keeps_it(folder, tmp_path):
    """What it learns from is what it will be shown."""
    cases = find_cases(folder)
    mine = base(crop=Crop(1.5))
    run = finetune(mine, cases, tmp_path / "run", recipe=RECIPE, validate_on=2)
    assert medsegany.load(run.model, device="cpu").crop == Crop(1.5)
    stored = store(cases, tmp_path / "cases", window=None)
    clips = CaseClips(stored, [1], smallest_px=20, seed=0, crop=Crop(1.5), side=64)
    for number in range(20):
        clip = clips.clip(number, 2)
        assert clip.frames.shape == clip.masks.shape == (2, 64, 64)
        box = medsegany.prompts.box_from_mask(clip.masks[0])
        sides = np.array([box.x1 - box.x0 + 1, box.y1 - box.y0 + 1])
        assert (sides > 64 / (1.5 * 1.35)).any()  # a third wider than asked at most
    with pytest.raises(InvalidInput, match="begun with crop 1.5"):
        finetune(base(crop=Crop(2.0)), cases, tmp_path / "run", recipe=RECIPE, validate_on=2)


def test_whole_slices_are_encoded_for_whole_images_alone(folder, tmp_path):
    """Every object has a crop of its own: there is nothing to be kept of a slice."""
    with pytest.raises(InvalidInput, match="embed_once looks at whole slices"):
        finetune(
            base(crop=Crop(1.5)),
            find_cases(folder),
            tmp_path,
            recipe=evolve(RECIPE, train=("mask_decoder",), frames=1, clips=0.0),
            machine=Machine(embed_once=True),
        )
