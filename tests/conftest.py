import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from dicom_makers import dicom  # noqa: F401 -- a fixture for all tests
from hypothesis import settings

settings.register_profile("medsegany", deadline=None, max_examples=50)
settings.load_profile("medsegany")


@pytest.fixture(autouse=True)
def _no_home(tmp_path, monkeypatch):
    """No test finds weights that lie on this machine by chance, or fetches any."""
    monkeypatch.setenv("MEDSEGANY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MEDSEGANY_OFFLINE", "1")


@pytest.fixture(autouse=True)
def _threads(request):
    """Small models gain nothing from a second thread, and lose much on a machine that is busy."""
    before = torch.get_num_threads()
    if request.node.get_closest_marker("slow") is None:
        torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def eval_data():
    """The folder of real cases with reference masks; its tests are skipped where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MEDSEGANY_TEST_DATA", default)) / "eval"
    if not folder.is_dir():
        pytest.skip(f"no real cases at {folder}: set MEDSEGANY_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def real_objects(eval_data):
    """Modality, image and mask of every object of at least 20 pixels in the real images."""

    def objects():
        for case in json.loads((eval_data / "manifest.json").read_text())["cases"]:
            if case["kind"] != "2d":
                continue
            with np.load(eval_data / case["npz"], allow_pickle=False) as file:
                image, labels = file["imgs"], file["gts"]
            for label in np.unique(labels[labels > 0]):
                mask = labels == label
                if mask.sum() >= 20:
                    yield case["modality"], image, mask

    return objects


@pytest.fixture
def noise():
    """An image without structure, so that every pixel and channel matters."""

    def make(*shape, seed=0):
        return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)

    return make


def equal(ours, theirs):
    """Equal to the last bit, with a message that says by how much not."""
    theirs = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else theirs
    assert ours.shape == theirs.shape
    difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max()
    assert difference == 0.0, f"largest difference {difference}"


@pytest.fixture
def assert_equal():
    return equal
