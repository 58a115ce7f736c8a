"""The command line, run as a user does."""

import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage


def medsegany(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "medsegany.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**__import__("os").environ, "COLUMNS": "200"},
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    done = medsegany("demo", "-o", "results", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done, folder / "results"


def test_the_demo_shows_a_table_and_names_its_files(demo):
    done, _ = demo
    for words in (
        "optic disc",
        "lateral ventricles",
        "left ventricle",
        "ml on slices",
        "model: nano",
    ):
        assert words in done.stdout
    assert "ventricles-mask.nii.gz" in done.stdout


def test_the_demo_s_ventricles_lie_on_the_scan_s_grid(demo):
    _, folder = demo
    source = nib.load(nib.__path__[0] + "/tests/data/example4d.nii.gz")
    mask = nib.load(folder / "ventricles-mask.nii.gz")
    np.testing.assert_allclose(mask.affine, source.affine, atol=1e-5)
    assert mask.shape == source.shape[:3]
    voxels = np.asanyarray(mask.dataobj)
    assert set(np.unique(voxels)) == {0, 1}
    # fluid is bright here, and what is around it is not; nano draws its rim a little too wide
    grey, found = np.asanyarray(source.dataobj)[..., 0], voxels > 0
    around = ndimage.binary_dilation(found, iterations=4) & ~ndimage.binary_dilation(found)
    assert (grey[found] > 550).mean() > 0.65
    assert (grey[around] > 550).mean() < 0.2
    millilitres = found.sum() * np.prod(source.header.get_zooms()[:3]) / 1000
    assert 10 < millilitres < 30


def test_the_demo_s_pictures_show_the_object(demo):
    _, folder = demo
    for name in ("optic-disc.png", "ventricles.png", "left-ventricle.png"):
        pixels = np.array(Image.open(folder / name))
        tinted = (pixels[..., 0].astype(int) - pixels[..., 2]) > 60
        assert tinted.mean() > 0.005, name
    masks = sorted((folder / "left-ventricle").iterdir())
    assert [path.name for path in masks] == [f"{t:04d}.png" for t in range(24)]
    assert all(np.array(Image.open(path)).any() for path in masks)


def test_an_error_is_one_paragraph_and_exit_code_2(tmp_path):
    done = medsegany("demo", "--model", "sam3", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: There is no model 'sam3'")
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_brackets_in_a_message_are_no_markup(tmp_path):
    done = medsegany("demo", "--model", "medsam", "--checkpoint", "x[/b].pth", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == "Error: There is no file x[/b].pth."


def test_models_lists_every_card_with_its_licence():
    done = medsegany("models")
    for words in ("sam1-h", "641.1 M", "medsam2", "CC-BY-SA-4.0", "Weights are looked for in"):
        assert words in done.stdout


def test_the_version_is_the_package_s():
    from importlib.metadata import version

    assert medsegany("--version").stdout.strip() == version("medsegany")


def test_help_says_what_it_is_and_is_not():
    done = medsegany("--help")
    assert "not a medical device" in " ".join(done.stdout.split())
    assert "demo" in done.stdout
