import pytest

import medsegany
from medsegany import errors, registry
from medsegany.testing import FakeSegmenter


@pytest.mark.parametrize(
    ("name", "near"), [("sam2-tiny", "sam2-t"), ("medsam3", "medsam2"), ("SAM1-B", None)]
)
def test_an_unknown_name_offers_near_ones_and_lists_all(name, near):
    with pytest.raises(errors.UnknownModel, match="Models: nano, classical, sam1-b") as error:
        medsegany.load(name)
    if near:
        assert f"'{near}'" in str(error.value)


def test_a_missing_file_is_said_to_be_missing():
    with pytest.raises(errors.UnknownModel, match="no such file"):
        medsegany.load("weights/some.pth")


def test_a_file_of_unknown_weights_must_be_named(tmp_path):
    (tmp_path / "mine.pth").write_bytes(b"x")
    with pytest.raises(errors.CheckpointError, match=r'load\("medsam", checkpoint='):
        medsegany.load(tmp_path / "mine.pth")


def test_two_files_of_weights_are_one_too_many(tmp_path):
    (tmp_path / "mine.pth").write_bytes(b"x")
    with pytest.raises(errors.InvalidInput, match="Two files"):
        medsegany.load(tmp_path / "mine.pth", checkpoint="other.pth")


@pytest.mark.parametrize(
    "option", [{"checkpoint": "x.pth"}, {"image_size": 512}, {"compile": True}]
)
def test_the_baseline_has_no_options(option):
    with pytest.raises(errors.InvalidInput, match=next(iter(option))):
        medsegany.load("classical", **option)


def test_the_size_of_sam_is_fixed(tmp_path):
    with pytest.raises(errors.InvalidInput, match="option of SAM2"):
        medsegany.load("sam1-b", checkpoint=tmp_path / "x", image_size=512)


def test_a_backend_of_another_package_is_loaded_by_its_name(monkeypatch):
    asked = {}

    def backend(*, checkpoint, device, dtype):
        asked.update(checkpoint=checkpoint, device=device, dtype=dtype)
        return FakeSegmenter()

    class Point:
        name = "theirs"

        def load(self):
            return backend

    monkeypatch.setattr(registry, "_plugins", lambda: {"theirs": Point()})
    assert medsegany.load("theirs", checkpoint="w", device="cpu").name == "fake"
    assert asked == {"checkpoint": "w", "device": "cpu", "dtype": None}
    with pytest.raises(errors.InvalidInput, match="image_size"):
        medsegany.load("theirs", image_size=512)
    with pytest.raises(errors.UnknownModel, match="theirs"):
        medsegany.load("nobody's")

    monkeypatch.setattr(Point, "load", lambda self: lambda **_: object())
    with pytest.raises(errors.MedSegAnyError, match="SegmenterContract"):
        medsegany.load("theirs")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "gpu"}, "device is"),
        ({"device": "cuda"}, "no cuda"),
        ({"dtype": "int8"}, "float32, float16, bfloat16"),
        ({"dtype": "float16"}, "CPU"),
    ],
)
def test_a_device_and_a_precision_are_checked(options, words):
    import torch

    from medsegany.backends._device import as_device, as_dtype

    if options.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(errors.InvalidInput, match=words):
        as_dtype(options.get("dtype"), as_device(options.get("device", "cpu")))
