import pytest
from training_makers import write_nnunet

from medsegany.backends.sam2 import Sam2Segmenter
from medsegany.testing.models import tiny_sam2


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Six volumes of six slices in nnU-Net's layout."""
    return write_nnunet(tmp_path_factory.mktemp("nnunet") / "dataset")


@pytest.fixture
def model():
    """Nano's shape with random weights, looking at 64 pixels."""
    return tiny_sam2(0, image_size=64)


@pytest.fixture
def segmenter(model):
    return Sam2Segmenter(model, "tiny")
