"""`medsegany finetune` and `medsegany benchmark table5`, as typed."""

import json
import subprocess
import sys

import pytest
from training_makers import write_nnunet

import medsegany
from medsegany.backends.sam2 import Sam2Segmenter
from medsegany.testing.models import tiny_sam2

SHORT = ("--epochs", "1", "--batch", "5", "--images-only", "--device", "cpu")


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A dataset of four cases and a base."""
    root = tmp_path_factory.mktemp("cli")
    write_nnunet(root / "data", cases=4)
    segmenter = Sam2Segmenter(tiny_sam2(0, image_size=64), "tiny")
    medsegany.save(segmenter, root / "base", name="tiny", licence="CC0-1.0")
    return root


def test_from_a_folder_to_a_table(there, tmp_path, run):
    """Trained, measured, used: three lines."""
    found = run(
        "finetune", there / "base", there / "data", "-o", tmp_path / "run", *SHORT, "--json",
        "--objects", "1=big,2=small", "--name", "discs",
    )  # fmt: skip
    assert found.code == 0, found.err
    said = json.loads(found.out)
    assert said["why"] == "done"
    assert said["model"] == str(tmp_path / "run" / "model")
    table = run("benchmark", "table5", tmp_path / "run", there / "data")
    assert table.code == 0, table.err
    assert "big" in table.out
    assert (tmp_path / "run" / "table5.md").is_file()
    image = there / "data" / "imagesTr" / "case_0_0000.nii.gz"
    used = run(
        "segment", image, "-o", tmp_path / "seg.nii.gz", "--model", tmp_path / "run" / "model",
        "--box", "7,8,19,20@2", "--slices", "1,3",
    )  # fmt: skip
    assert used.code == 0, used.err


def test_a_paused_run_says_so_and_goes_on(there, tmp_path, run):
    """`--minutes 0` is one step; the same line without it ends the run."""
    line = ("finetune", there / "base", there / "data", "-o", tmp_path / "run", *SHORT)
    paused = run(*line, "--minutes", "0")
    assert paused.code == 0, paused.err
    assert "Paused at step 1 of" in paused.out
    assert not (tmp_path / "run" / "model").exists()
    done = run(*line)
    assert "Done after" in done.out
    assert (tmp_path / "run" / "model").is_dir()


def test_a_recipe_is_read_from_a_file(there, tmp_path, run):
    """What `Recipe.to_dict` wrote; a slip in it is named."""
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"lr": 1}')
    found = run(
        "finetune", there / "base", there / "data", "-o", tmp_path / "run", "--recipe", recipe
    )
    assert found.code == 1
    assert "A recipe has no 'lr'" in found.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--recipe", "best"), "--recipe best is none of default, paper, released"),
        (("--train", "encoder"), "train is some of image_encoder"),
        (("--objects", "liver"), "--objects liver: numbers are needed"),
        (("--batch", "0"), "batch is a whole number from 1"),
        (("--device", "tpu"), "device is one of 'auto', 'cpu'"),
    ],
)
def test_words_that_are_not_understood_end_with_2(there, tmp_path, run, words, said):
    """Before any work."""
    found = run("finetune", there / "base", there / "data", "-o", tmp_path / "run", *words)
    assert found.code == 2
    assert said in found.err
    assert not (tmp_path / "run").exists()


def test_it_is_a_module_too():
    """`accelerate launch -m medsegany finetune` starts it."""
    found = subprocess.run(
        [sys.executable, "-m", "medsegany", "--version"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == medsegany.__version__
