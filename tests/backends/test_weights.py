"""Files of weights: which model they are for, and that they cannot run code."""

import json
import pickle

import pytest
import torch
from safetensors import SafetensorError
from segment_anything import sam_model_registry

import medsegany
from medsegany import Box, checkpoints, errors
from medsegany.backends import _weights
from medsegany.backends.sam2 import Sam2Segmenter, build
from medsegany.cards import BY_NAME, CARDS


@pytest.fixture(scope="module")
def shapes():
    """The weights of every architecture, without their numbers: nothing is computed."""
    with torch.device("meta"):
        vits = {
            name: sam_model_registry[name]().state_dict() for name in ("vit_b", "vit_l", "vit_h")
        }
    hieras = {
        card.architecture: build(card.architecture).state_dict()
        for card in CARDS
        if card.family == "sam2" and card.architecture.endswith(("_t", "_s"))
    }
    return vits | hieras


def test_an_architecture_is_known_by_its_weights(shapes):
    for name, state in shapes.items():
        assert _weights.architecture(state) == name
    assert _weights.architecture({"weight": torch.zeros(1)}) is None


@pytest.mark.parametrize("card", [c for c in CARDS if c.architecture], ids=lambda c: c.name)
def test_a_card_says_how_many_parameters_there_are(card, shapes):
    if card.architecture not in shapes:
        pytest.skip("large Hiera models are not built here")
    if card.family == "sam2":
        model = build(card.architecture)
    else:
        with torch.device("meta"):
            model = sam_model_registry[card.architecture]()
    assert sum(p.numel() for p in model.parameters()) == card.parameters


def test_another_model_s_weights_are_refused_by_name(tmp_path, shapes):
    state = {k: torch.zeros(v.shape).to(torch.bool) for k, v in shapes["vit_h"].items()}
    torch.save(
        {k: v[:1].expand(v.shape) if v.ndim else v for k, v in state.items()}, tmp_path / "x"
    )
    with pytest.raises(
        errors.CheckpointError, match="is a SAM ViT-H checkpoint; sam1-b needs a SAM ViT-B one"
    ):
        medsegany.load("sam1-b", checkpoint=tmp_path / "x", device="cpu")


def test_sam2_and_sam21_are_told_apart(tmp_path, shapes):
    state = {k: v.to(torch.bool) for k, v in shapes["sam2/sam2_hiera_t"].items()}
    torch.save({"model": state}, tmp_path / "x.pt")
    with pytest.raises(errors.CheckpointError, match=r"a SAM 2 Hiera-T .* a SAM 2\.1 Hiera-T"):
        medsegany.load("sam2.1-t", checkpoint=tmp_path / "x.pt", device="cpu")


def test_a_file_that_would_run_code_is_refused_and_does_not_run_it(tmp_path):
    class Poison:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    with (tmp_path / "x.pth").open("wb") as file:
        pickle.dump({"weight": Poison()}, file)
    with pytest.raises(errors.CheckpointError):
        medsegany.load("sam1-b", checkpoint=tmp_path / "x.pth")
    torch.save({"weight": Poison()}, tmp_path / "y.pth")
    with pytest.raises(errors.CheckpointError, match="run code"):
        medsegany.load("sam1-b", checkpoint=tmp_path / "y.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read as weights"),
        (b"PK\x03\x04 broken", "cannot be read as weights"),
        (b"<!DOCTYPE html><p>Not found", "begins with b'<!DOCTYPE html>"),
        (b"version https://git-lfs.github.com/spec/v1", "begins with b'version https"),
    ],
)
def test_a_broken_file_says_what_it_is_instead(tmp_path, content, words):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(errors.CheckpointError, match=words):
        medsegany.load("medsam", checkpoint=tmp_path / "x.pth")


def test_a_folder_or_nothing_is_no_file_of_weights(tmp_path):
    with pytest.raises(errors.CheckpointError, match="is a folder"):
        medsegany.load("medsam", checkpoint=tmp_path)
    with pytest.raises(errors.CheckpointError, match="There is no file"):
        medsegany.load("medsam", checkpoint=tmp_path / "x")


@pytest.mark.parametrize("content", [{"a": 1}, [1, 2], {"model": {"a": "b"}}])
def test_a_file_without_weights_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(errors.CheckpointError, match="no weights"):
        medsegany.load("medsam", checkpoint=tmp_path / "x.pth")


def test_weights_that_almost_fit_say_what_does_not(tmp_path):
    model = build("sam2.1/sam2.1_hiera_t")
    state = model.state_dict()
    del state["no_mem_embed"]
    torch.save({"model": state}, tmp_path / "x.pt")
    with pytest.raises(errors.CheckpointError, match="1 weights are missing.*'no_mem_embed'"):
        medsegany.load("sam2.1-t", checkpoint=tmp_path / "x.pt", device="cpu")


@pytest.mark.parametrize("layout", ["model", "prefix"])
def test_a_checkpoint_is_loaded_with_its_very_numbers(tmp_path, layout, noise, assert_equal):
    """Meta's layout, and that of the paper's fine-tuning script."""
    torch.manual_seed(0)
    model = build("sam2.1/sam2.1_hiera_t", 128)
    state = model.state_dict()
    if layout == "prefix":
        state = {f"sam2_model.{key}": value for key, value in state.items()}
    torch.save({"model": state, "epoch": 3}, tmp_path / "x.pt")
    segmenter = medsegany.load(
        "sam2.1-t", checkpoint=tmp_path / "x.pt", device="cpu", image_size=128
    )
    assert segmenter.name == "sam2.1-t"
    from medsegany.backends.sam2 import Sam2Segmenter

    image = noise(50, 60)
    expected = Sam2Segmenter(model, "same").segment_2d(image, Box(10, 10, 40, 40))
    found = segmenter.segment_2d(image, Box(10, 10, 40, 40))
    assert_equal(found.low_res_logits[1], expected.low_res_logits[1])


class TestHere:
    card = BY_NAME["sam2-t"]

    def put(self, content):
        path = checkpoints.expected_path(self.card)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        return path

    def test_missing_weights_say_where_to_get_them_and_where_they_belong(self):
        with pytest.raises(errors.CheckpointError) as error:
            medsegany.load("sam2-t")
        for part in (self.card.url, "156 MB", str(checkpoints.home()), "checkpoint="):
            assert part in str(error.value)

    def test_a_file_that_was_cut_off_is_noticed(self):
        self.put(b"short")
        assert checkpoints.find(self.card) is None
        with pytest.raises(errors.CheckpointError, match="cut off"):
            medsegany.load("sam2-t")

    def test_a_file_of_the_right_size_and_wrong_content_is_refused(self, monkeypatch):
        with self.put(b"").open("wb") as file:
            file.truncate(self.card.bytes)  # sparse: takes no room
        assert checkpoints.find(self.card) is not None
        with pytest.raises(errors.CheckpointError, match="its sha256 is"):
            medsegany.load("sam2-t")

    def test_models_tells_what_is_here(self):
        here = {card.name: card.here for card in medsegany.models()}
        assert here["classical"]
        assert not here["sam2-t"]


def test_a_published_file_is_known_by_its_hash(tmp_path, monkeypatch):
    """And refused, by name, where another model was asked for."""
    from attrs import evolve

    path = tmp_path / "some.pth"
    torch.save({"a": torch.zeros(3)}, path)
    card = evolve(BY_NAME["medsam"], bytes=path.stat().st_size, sha256=checkpoints.sha256(path))
    monkeypatch.setattr(checkpoints, "CARDS", (card,))
    assert checkpoints.recognise(path) == card
    with pytest.raises(errors.CheckpointError, match="published file of medsam, and sam1-b"):
        medsegany.load("sam1-b", checkpoint=path)
    with pytest.raises(errors.CheckpointError, match="does not fit medsam"):
        medsegany.load(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    model = build("sam2.1/sam2.1_hiera_t", 128)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.02)
    segmenter = Sam2Segmenter(model, "mine", device="cpu")
    folder = tmp_path_factory.mktemp("models") / "mine"
    done = medsegany.save(segmenter, folder, name="mine", licence="MIT", base="sam2.1-t")
    assert done == folder
    return folder, segmenter


class TestFolders:
    """A model written by `save` is the same model when it is loaded."""

    def test_it_comes_back_to_the_last_bit(self, folder, noise, assert_equal):
        path, before = folder
        after = medsegany.load(path, device="cpu")
        assert after.name == "mine"
        image = noise(40, 50)
        ours, theirs = (s.segment_2d(image, Box(5, 6, 30, 20)) for s in (after, before))
        assert_equal(ours.low_res_logits[1], theirs.low_res_logits[1])

    def test_it_says_what_it_is(self, folder):
        about = json.loads((folder[0] / "medsegany.json").read_text())
        assert about["architecture"] == "sam2.1/sam2.1_hiera_t"
        assert (about["name"], about["base"], about["licence"]) == ("mine", "sam2.1-t", "MIT")
        assert (about["image_size"], about["parameters"]) == (128, BY_NAME["sam2.1-t"].parameters)
        assert about["sha256"] == checkpoints.sha256(folder[0] / "model.safetensors")

    def test_safetensors_are_weights_for_a_name_too(self, folder, noise, assert_equal):
        path, before = folder
        after = medsegany.load(
            "sam2.1-t", checkpoint=path / "model.safetensors", device="cpu", image_size=128
        )
        image = noise(40, 50)
        ours, theirs = (s.segment_2d(image, Box(5, 6, 30, 20)) for s in (after, before))
        assert_equal(ours.low_res_logits[1], theirs.low_res_logits[1])

    def test_nothing_is_replaced(self, folder):
        with pytest.raises(errors.FileError, match="exists already"):
            medsegany.save(folder[1], folder[0], name="x", licence="MIT")
        assert sorted(p.name for p in folder[0].parent.iterdir()) == ["mine"]

    def test_a_full_disk_is_named_and_leaves_nothing(self, tmp_path, monkeypatch):
        def full(*_):
            raise SafetensorError("I/O error: No space left on device (os error 28)")

        monkeypatch.setattr("safetensors.torch.save_file", full)
        with pytest.raises(errors.FileError, match="No space left on device"):
            medsegany.save(medsegany.load(), tmp_path / "mine", name="mine", licence="CC0-1.0")
        assert not list(tmp_path.iterdir())

    def test_a_checkpoint_beside_a_folder_is_one_too_many(self, folder):
        with pytest.raises(errors.InvalidInput, match="Two files"):
            medsegany.load(folder[0], checkpoint="x.pt")

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"sha256": "0" * 64}, "is not what medsegany.json describes"),
            ({"format": 2}, "a newer one"),
            ({"family": "sam9"}, "family 'sam9'"),
            ({"image_size": "128"}, "image_size '128'; a int was expected"),
            (None, "cannot be read"),
        ],
    )
    def test_a_folder_that_has_changed_is_refused(self, folder, tmp_path, change, words):
        (tmp_path / "model.safetensors").symlink_to(folder[0] / "model.safetensors")
        text = (folder[0] / "medsegany.json").read_text()
        text = text[:40] if change is None else json.dumps(json.loads(text) | change)
        (tmp_path / "medsegany.json").write_text(text)
        with pytest.raises(errors.CheckpointError, match=words):
            medsegany.load(tmp_path)

    def test_any_other_folder_is_none(self, tmp_path):
        with pytest.raises(errors.CheckpointError, match="no medsegany.json and no model"):
            medsegany.load(tmp_path)

    def test_a_damaged_file_is_no_safetensors(self, tmp_path):
        (tmp_path / "x.safetensors").write_bytes(b"\xff" * 100)
        with pytest.raises(errors.CheckpointError, match="safetensors"):
            medsegany.load("sam2.1-t", checkpoint=tmp_path / "x.safetensors", device="cpu")

    def test_a_model_without_weights_is_not_written(self, tmp_path):
        with pytest.raises(errors.InvalidInput, match="no weights"):
            medsegany.save(medsegany.load("classical"), tmp_path / "x", name="x", licence="MIT")
        assert not list(tmp_path.iterdir())


def test_published_weights_are_fetched_when_they_are_not_here(monkeypatch, tmp_path):
    """And not when they are forbidden to be."""
    asked = []

    def pull(card, *, on_progress):
        asked.append(card.name)
        raise errors.DownloadError("no line")

    monkeypatch.setattr(checkpoints, "pull", pull)
    with pytest.raises(errors.CheckpointError, match="not on this machine"):
        medsegany.load("sam2.1-t", device="cpu")
    monkeypatch.delenv("MEDSEGANY_OFFLINE")
    with pytest.raises(errors.DownloadError):
        medsegany.load("sam2.1-t", device="cpu")
    assert asked == ["sam2.1-t"]
