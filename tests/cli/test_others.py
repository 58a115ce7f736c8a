"""The other commands, and how a command ends that is stopped."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from medsegany import Volume, checkpoints, errors, io
from medsegany.testing import phantoms


class TestTrack:
    def test_a_film_becomes_masks_and_a_film(self, run, tmp_path):
        film = get_testdata_file("examples_ybr_color.dcm")
        done = run("track", film, "--box", "156,68,203,130", "-o", tmp_path / "o", "--json")
        assert done.code == 0, done.err
        assert done.json()[0]["frames"] == 30
        assert len(list((tmp_path / "o" / "masks").iterdir())) == 30
        assert len(io.read_frames(tmp_path / "o" / "overlay.mp4")) == 30
        assert [p.name for p in tmp_path.iterdir()] == ["o"]

    def test_a_result_is_replaced_when_asked_and_nothing_else_is(self, run, tmp_path):
        np.savez(tmp_path / "v.npz", imgs=phantoms.moving_disc(4)[0])
        words = ["track", tmp_path / "v.npz", "--box", "5,10,30,40", "-o", tmp_path / "o"]
        assert run(*words).code == 0
        assert run(*words).code == 1
        assert run(*words, "--overwrite", "--no-overlay").code == 0
        assert [p.name for p in (tmp_path / "o").iterdir()] == ["masks"]
        (tmp_path / "o" / "mine.txt").write_text("mine")
        assert "holds more than a result" in run(*words, "--overwrite").err
        assert (tmp_path / "o" / "mine.txt").is_file()

    def test_without_a_prompt_it_asks_for_one(self, run, tmp_path):
        np.savez(tmp_path / "v.npz", imgs=phantoms.moving_disc(4)[0])
        done = run("track", tmp_path / "v.npz", "-o", tmp_path / "o")
        assert done.code == 2
        assert "Give --box" in done.err


class TestEvaluate:
    @pytest.fixture
    def maps(self, tmp_path):
        """The truth has 8 voxels of object 1, the prediction 4 of them: 2 * 4 / 12."""
        grid = Volume(np.zeros((2, 4, 5), np.uint8), np.diag([1.0, 2, 3, 1]))
        true, found = np.zeros((2, 2, 4, 5), np.uint8)
        true[:, :2, :2], found[0, :2, :2] = 1, 1
        true[1, 3, 4] = 2
        for folder, labels in (("truth", true), ("found", found)):
            (tmp_path / folder).mkdir()
            for name in ("a", "b"):
                io.write_labels(tmp_path / folder / f"{name}.nii.gz", labels, like=grid)
        return tmp_path

    def test_by_hand(self, run, maps):
        done = run("evaluate", maps / "found/a.nii.gz", maps / "truth/a.nii.gz", "--json")
        assert done.code == 0
        rows = done.json()[0]["objects"]
        assert [row["dsc"] for row in rows] == [2 * 4 / 12, 0]
        assert [row["prediction_voxels"] for row in rows] == [4, 0]

    def test_folders_go_by_names(self, run, maps):
        done = run("evaluate", maps / "found", maps / "truth")
        assert done.code == 0, done.err
        assert "mean of cases" in done.out
        assert "0.333 (0.333 to 0.333, n=2)" in done.out
        (maps / "found/b.nii.gz").unlink()
        done = run("evaluate", maps / "found", maps / "truth")
        assert done.code == 1
        assert "1 of 2 true label maps have no prediction" in done.err

    def test_spacing_comes_from_the_file(self, run, maps):
        """Object 1 lacks its second slice, which is 1 * 2 * 3 mm large: 3 mm thick."""
        files = maps / "found/a.nii.gz", maps / "truth/a.nii.gz"
        words = ["--metric", "hd", "--metric", "nsd", "--labels", "1=liver", "--json"]
        (row,) = run("evaluate", *files, *words, "--tolerance", "3").json()[0]["objects"]
        assert (row["name"], row["hd"], row["nsd"]) == ("liver", 3, 1)
        (row,) = run("evaluate", *files, *words, "--tolerance", "2,2.9").json()[0]["objects"]
        assert row["nsd_2mm"] == row["nsd_2.9mm"] < 1
        (row,) = run("evaluate", *files, *words, "--tolerance", "flare22").json()[0]["objects"]
        assert row["nsd"] == 1  # 5 mm for the liver

    def test_a_table_for_a_spreadsheet(self, run, maps):
        scores = maps / "scores.csv"
        words = ["evaluate", maps / "found", maps / "truth", "--tolerance", "1", "--csv", scores]
        assert run(*words).code == 0
        with scores.open() as file:
            rows = list(csv.DictReader(file))
        assert [(row["case"], row["label"]) for row in rows] == [
            ("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")
        ]  # fmt: skip
        assert float(rows[0]["dsc"]) == 2 * 4 / 12
        assert "--overwrite" in run(*words).err

    def test_the_scripts_numbers_are_called_so(self, run, maps):
        done = run("evaluate", maps / "found", maps / "truth", "--preset", "medsam")
        assert "medsam_nsd" in done.out
        assert "for comparison with published numbers only" in done.err

    def test_names_in_the_files_change_no_score(self, run, tmp_path):
        """The scripts count labels 1 to the largest true one: 2 is in neither, 5 is not counted."""
        truth, found = np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8), np.uint8)
        truth[0, :2], truth[0, 4:6] = 1, 3
        found[...] = truth
        found[1] = 5
        grid = Volume(truth, np.eye(4))
        io.write_labels(tmp_path / "found.nii.gz", found, like=grid)
        said = []
        for names in (None, {1: "liver", 3: "spleen"}):
            io.write_labels(tmp_path / "truth.nii.gz", truth, like=grid, names=names)
            done = run("evaluate", tmp_path / "found.nii.gz", tmp_path / "truth.nii.gz",
                       "--preset", "medsam", "--json")  # fmt: skip
            rows = done.json()[0]["objects"]
            said.append([(row["label"], row["medsam_dsc"], row["medsam_nsd"]) for row in rows])
        assert said[0] == said[1]
        assert [label for label, *_ in said[0]] == [1, 2, 3]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--tolerance", "two"], "millimetres are needed"),
            (["--tolerance", "-1"], "0 or more"),
            (["--labels", "liver"], "numbers are needed"),
            (["--labels", "0"], "0 is the background"),
            (["--metric", "nsd"], "nsd needs --tolerance"),
            (["--metric", "dice"], "There is no metric 'dice'"),
            (["--preset", "medsam", "--tolerance", "1"], "leave them"),
        ],
    )
    def test_words_that_are_wrong(self, run, maps, words, said):
        done = run("evaluate", maps / "found", maps / "truth", *words)
        assert done.code == 2
        assert said in done.err
        assert not done.out

    def test_predictions_without_truth_are_named(self, run, maps):
        (maps / "truth/b.nii.gz").unlink()
        done = run("evaluate", maps / "found", maps / "truth")
        assert done.code == 0
        assert "1 predictions have no truth and are left out: b.nii.gz" in done.err

    def test_another_grid_is_an_error(self, run, maps):
        image = nib.load(maps / "found/a.nii.gz")
        moved = nib.Nifti1Image(np.asanyarray(image.dataobj), np.diag([1.0, 2, 4, 1]))
        nib.save(moved, maps / "found/a.nii.gz")
        done = run("evaluate", maps / "found", maps / "truth")
        assert done.code == 3
        assert "lie up to 1 mm away" in done.err


class TestConvert:
    def test_labels_with_their_names(self, run, tmp_path):
        grid = Volume(np.zeros((2, 4, 5), np.uint8), np.diag([1.0, 2, 3, 1]))
        labels = np.ones(grid.shape, np.uint8)
        io.write_labels(tmp_path / "a.nii.gz", labels, like=grid, names={1: "liver"})
        words = ["convert", "--labels", tmp_path / "a.nii.gz"]
        assert run(*words, tmp_path / "a.seg.nrrd").code == 0
        assert io.read_labels(tmp_path / "a.seg.nrrd", like=grid).names == {1: "liver"}
        done = run(*words, tmp_path / "a.mha")
        assert done.code == 0
        assert "no place for names" in done.err

    def test_a_scan_becomes_a_challenge_s_case(self, run, tmp_path):
        ct = get_testdata_file("CT_small.dcm")
        assert "Modality CT" in run("convert", ct, tmp_path / "c.npz").err
        done = run("convert", ct, tmp_path / "c.npz", "--window", "40,400")
        assert done.code == 0, done.err
        case = io.read_npz(tmp_path / "c.npz")
        expected = io.read_volume(ct, window="abdomen")
        np.testing.assert_array_equal(case.volume.voxels, expected.voxels)
        np.testing.assert_allclose(case.volume.affine, expected.affine)

    @pytest.mark.parametrize("name", ["c.npz", "link.npz"])
    def test_it_does_not_replace_what_it_reads(self, run, tmp_path, name):
        """The labels in it would be gone."""
        shown = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
        np.savez(tmp_path / "c.npz", imgs=shown, gts=shown)
        (tmp_path / "link.npz").symlink_to(tmp_path / "c.npz")
        before = (tmp_path / "c.npz").read_bytes()
        words = ["--window", "percentile", "--overwrite"]
        done = run("convert", tmp_path / "c.npz", tmp_path / name, *words)
        assert done.code == 1
        assert "is the file that is converted" in done.err
        assert (tmp_path / "c.npz").read_bytes() == before

    def test_a_picture(self, run, tmp_path):
        ct = get_testdata_file("CT_small.dcm")
        done = run("convert", ct, tmp_path / "c.png", "--window", "40,400")
        assert done.code == 0, done.err
        with Image.open(tmp_path / "c.png") as picture:
            np.testing.assert_array_equal(picture, io.read_image(ct, window="abdomen"))

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--labels", "a.nii", "b.nii", "--window", "brain"], "--window: not an option"),
            (["a.nii", "b.nii", "--reference", "c.nii"], "for a file other than .npz"),
            (["a.png", "b.png", "--series", "2"], "for a picture"),
            (["a.nii", "b.nii", "--window", "raw"], "makes display values is needed"),
        ],
    )
    def test_no_option_is_ignored(self, run, words, said):
        done = run("convert", *words)
        assert done.code == 2
        assert said in done.err


class TestModels:
    def test_they_are_listed(self, run):
        assert "medsam2" in run("models").out
        assert {m["name"] for m in run("models", "list", "--json").json()} > {"sam1-b", "classical"}
        assert run("models", "--json").json() == run("models", "list", "--json").json()

    def test_where_weights_belong(self, run):
        done = run("models", "path", "sam2.1-t")
        assert done.code == 0
        assert done.out.strip().endswith("home/checkpoints/sam2.1_hiera_tiny.pt")

    def test_verify_says_what_is_wrong(self, run):
        assert run("models", "verify").code == 0  # none is here, so none is wrong
        path = checkpoints.expected_path(checkpoints.BY_NAME["sam2-t"])
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
        done = run("models", "verify", "--json")
        assert done.code == 3
        assert done.json()["sam2-t"] == "wrong"
        assert run("models", "verify", "sam1-b").code == 1

    def test_pull_offline_tells_where_to_put_it(self, run):
        done = run("models", "pull", "sam2.1-t")
        assert done.code == 1
        assert "put the file at" in done.err

    def test_pull_prints_the_path_alone_on_standard_output(self, run, monkeypatch, tmp_path):
        def pull(card, *, on_progress):
            if card.name == "sam1-b":
                raise errors.DownloadError("no line")
            return tmp_path / "x.pt"

        monkeypatch.setattr(checkpoints, "pull", pull)
        done = run("models", "pull", "sam2.1-t", "sam1-b")
        assert done.code == 3
        assert done.out.strip() == str(tmp_path / "x.pt")

    def test_an_unknown_name(self, run):
        assert "There is no model 'x'" in run("models", "pull", "x").err


class TestDoctor:
    def test_it_looks_at_everything(self, run):
        done = run("doctor", "--json")
        assert done.code == 0, done.out
        said = done.json()
        assert said["versions"]["torch"]
        assert {c["what"] for c in said["checks"]} >= {"import sam2", "devices", "weights folder"}

    def test_the_original_error_is_shown(self, run, monkeypatch):
        from medsegany.cli import _doctor

        monkeypatch.setattr(_doctor, "_IMPORTS", ("no_such_package",))
        done = run("doctor")
        assert done.code == 1
        assert "ModuleNotFoundError: No module named 'no_such_package'" in done.out


def test_what_nobody_thought_of_is_a_paragraph_too(run, monkeypatch, tmp_path):
    import medsegany

    def load(*args, **kwargs):
        raise KeyError("weights")

    monkeypatch.setattr(medsegany, "load", load)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    done = run("segment", tmp_path / "a.png", "--point", "3,3", "-o", tmp_path / "o.png")
    assert done.code == 1
    assert "KeyError: 'weights'" in done.err
    assert "--debug" in done.err


SLOW = """
import sys, time
from medsegany import cli, registry
from medsegany.testing import FakeSegmenter

class Slow(FakeSegmenter):
    def embed(self, image):
        print("embedding", flush=True)
        time.sleep(0.2)
        return super().embed(image)

import medsegany
medsegany.load = lambda *a, **k: Slow()
cli.main()
"""


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("what", ["volume", "video", "folder"])
def test_a_command_that_is_stopped_leaves_nothing_half_done(tmp_path, how, code, what):
    volume, _ = phantoms.balls()
    if what == "volume":
        io.write_labels(tmp_path / "s.nii", volume.voxels, like=volume)
        words = ["segment", tmp_path / "s.nii", "--box", "10,10,60,50@5", "-o", tmp_path / "o.nii"]
    elif what == "video":
        np.savez(tmp_path / "v.npz", imgs=volume.voxels)
        words = ["track", tmp_path / "v.npz", "--box", "10,10,60,50", "-o", tmp_path / "o"]
    else:
        (tmp_path / "in").mkdir()
        for n in range(8):
            Image.fromarray(volume.voxels[5]).save(tmp_path / "in" / f"{n}.png")
        words = ["segment", tmp_path / "in", "--box", "10,10,60,50", "-o", tmp_path / "o",
                 "--report", tmp_path / "r.json"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(3):
        assert process.stdout.readline() == b"embedding\n"
    os.kill(process.pid, how)
    process.communicate(timeout=30)
    assert process.returncode == code
    time.sleep(0.05)
    left = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    if what == "folder":
        done = {p.name for p in (tmp_path / "o").iterdir()} - {"medsegany-run.json"}
        said = json.loads((tmp_path / "r.json").read_text())
        assert len([c for c in said["cases"] if "objects" in c]) == len(done)
        assert done
        assert done <= {"0.png", "1.png", "2.png"}
        assert all(io.read_labels(tmp_path / "o" / name) for name in done)
    else:
        assert left <= {"s.nii", "v.npz"}
        assert not (tmp_path / "o").exists()
