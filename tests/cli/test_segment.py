"""`medsegany segment`, from arguments to files."""

import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medsegany import Volume, io
from medsegany.testing import phantoms

AFFINE = np.array([[-2.0, 0, 0, 40], [0, -2, 0, 60], [0, 0, 5, -20], [0, 0, 0, 1]])


@pytest.fixture
def scan(tmp_path):
    """Two balls, of known labels, in a NIfTI of oblong voxels."""
    volume, truth = phantoms.balls()
    volume = Volume(volume.voxels, AFFINE)
    io.write_labels(tmp_path / "scan.nii.gz", volume.voxels, like=volume)
    io.write_labels(tmp_path / "truth.nii.gz", truth, like=volume)
    return tmp_path / "scan.nii.gz", truth


def tight(truth, name):
    k = np.flatnonzero((truth == name).any(axis=(1, 2)))
    k = int((k[0] + k[-1]) // 2)
    rows, cols = np.nonzero(truth[k] == name)
    return cols.min(), rows.min(), cols.max(), rows.max(), k


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_a_box_on_a_slice_finds_the_ball(run, scan, tmp_path):
    path, truth = scan
    x0, y0, x1, y1, k = tight(truth, 1)
    done = run("segment", path, "--box", f"{x0},{y0},{x1},{y1}@{k}", "-o", tmp_path / "o.nii.gz",
               "--json")  # fmt: skip
    assert done.code == 0, done.err
    found = nib.load(tmp_path / "o.nii.gz")
    mask = np.asanyarray(found.dataobj).T == 1
    assert dice(mask, truth == 1) > 0.7
    np.testing.assert_allclose(found.affine, AFFINE)
    (row,) = done.json()
    assert row["objects"]["1"]["voxels"] == mask.sum()
    assert row["objects"]["1"]["millilitres"] == pytest.approx(mask.sum() * 20 / 1000)


def test_prompts_belong_to_the_object_before_them(run, scan, tmp_path):
    path, truth = scan
    boxes = {n: tight(truth, n) for n in (1, 2)}
    words = [
        part
        for n, (*box, k) in boxes.items()
        for part in ("--object", n + 5, f"--box={','.join(map(str, box))}@{k}")
    ]
    done = run("segment", path, *words, "-o", tmp_path / "o.nrrd")
    assert done.code == 0, done.err
    labels = io.read_labels(tmp_path / "o.nrrd").labels
    assert set(np.unique(labels)) == {0, 6, 7}
    for n in (1, 2):
        assert dice(labels == n + 5, truth == n) > 0.7


def test_a_box_in_millimetres_is_the_same_box(run, scan, tmp_path):
    path, truth = scan
    x0, y0, x1, y1, k = tight(truth, 1)
    run("segment", path, "--box", f"{x0},{y0},{x1},{y1}@{k}", "-o", tmp_path / "a.nii.gz")
    ends = np.array([[x0, y0, k, 1], [x1, y1, k, 1]]) @ AFFINE.T * (-1, -1, 1, 1)
    words = ",".join(f"{v:g}" for v in ends[:, :3].ravel())
    done = run("segment", path, "--world", "LPS", f"--box={words}", "-o", tmp_path / "b.nii.gz")
    assert done.code == 0, done.err
    a, b = (io.read_labels(tmp_path / n).labels for n in ("a.nii.gz", "b.nii.gz"))
    np.testing.assert_array_equal(a, b)


def test_a_box_in_millimetres_says_where_its_object_ends_and_no_other(run, scan, tmp_path):
    """A click beside it has no slices."""
    path, truth = scan
    x0, y0, x1, y1, k = tight(truth, 1)
    u0, v0, u1, v1, m = tight(truth, 2)
    places = np.array(
        [[x0, y0, k - 1, 1], [x1, y1, k + 1, 1], [(u0 + u1) / 2, (v0 + v1) / 2, m, 1]]
    )
    millimetres = (places @ AFFINE.T)[:, :3]
    box, click = (",".join(f"{v:g}" for v in p.ravel()) for p in (millimetres[:2], millimetres[2]))
    done = run("segment", path, "--world", "RAS", "--object", 1, f"--box={box}", "--object", 2,
               f"--point={click}", "-o", tmp_path / "o.nii.gz", "--json")  # fmt: skip
    assert done.code == 0, done.err
    (row,) = done.json()
    assert row["objects"]["1"]["slices"] == [k - 1, k + 1]
    assert row["objects"]["2"]["voxels"] > 0


def test_a_scan_of_one_slice_takes_a_picture_of_its_labels(run, tmp_path):
    mask = phantoms.disc((72, 96), centre=(40, 30), radius=15)
    grid = Volume(phantoms.image_of(mask, 0)[None], np.eye(4))
    io.write_labels(tmp_path / "scan.nii.gz", grid.voxels, like=grid)
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "truth.png")
    for words in (["--mask", tmp_path / "truth.png"], ["--reference", tmp_path / "truth.png"]):
        done = run("segment", tmp_path / "scan.nii.gz", *words, "-o", tmp_path / "o.nii.gz",
                   "--overwrite")  # fmt: skip
        assert done.code == 0, done.err
        assert dice(io.read_labels(tmp_path / "o.nii.gz").labels[0] == 1, mask) > 0.9
    done = run("evaluate", tmp_path / "truth.png", tmp_path / "o.nii.gz", "--json")
    assert done.code == 0, done.err


def test_a_file_with_odd_boxes_does_not_stop_the_others(run, scan, tmp_path):
    volume, truth = phantoms.balls()
    (tmp_path / "in").mkdir()
    np.savez(tmp_path / "in" / "a.npz", imgs=volume.voxels, boxes=[[1, 2, 3, 4, 5]])
    x0, y0, x1, y1, _ = tight(truth, 1)
    np.savez(tmp_path / "in" / "b.npz", imgs=volume.voxels, boxes=[[x0, y0, 3, x1, y1, 6]])
    done = run("segment", tmp_path / "in", "-o", tmp_path / "out")
    assert done.code == 3  # some failed
    assert "(N, 6)" in done.err
    assert (tmp_path / "out" / "b.npz").exists()


def test_the_truth_s_boxes_are_prompts_and_its_masks_too(run, scan, tmp_path):
    path, truth = scan
    where = ("--reference", tmp_path / "truth.nii.gz")
    assert run("segment", path, *where, "-o", tmp_path / "a.mha").code == 0
    assert run("segment", path, *where, "--init", "gt", "-o", tmp_path / "b.mha").code == 0
    k = tight(truth, 1)[-1]
    np.testing.assert_array_equal(io.read_labels(tmp_path / "b.mha").labels[k] == 1, truth[k] == 1)
    scores = run("evaluate", tmp_path / "a.mha", tmp_path / "truth.nii.gz", "--json").json()
    labels = io.read_labels(tmp_path / "a.mha").labels
    assert scores[0]["objects"][0]["dsc"] == pytest.approx(dice(labels == 1, truth == 1))


def test_a_mask_from_a_file_comes_back(run, scan, tmp_path):
    path, truth = scan
    k = tight(truth, 2)[-1]
    done = run("segment", path, "--object", 2, "--mask", tmp_path / "truth.nii.gz",
               "--slices", f"{k},{k}", "-o", tmp_path / "o.nii.gz")  # fmt: skip
    assert done.code == 0, done.err
    labels = io.read_labels(tmp_path / "o.nii.gz").labels
    np.testing.assert_array_equal(labels[k] == 2, truth[k] == 2)
    assert not labels[:k].any()


def test_a_picture(run, tmp_path):
    mask = phantoms.disc((72, 96), centre=(40, 30), radius=15)
    Image.fromarray(phantoms.image_of(mask, 0)).save(tmp_path / "p.png")
    done = run("segment", tmp_path / "p.png", "--box", "25,15,55,45", "-o", tmp_path / "o.png")
    assert done.code == 0, done.err
    assert dice(io.read_labels(tmp_path / "o.png").labels == 1, mask) > 0.9


def test_a_challenge_file_brings_its_boxes(run, scan, tmp_path):
    _, truth = scan
    volume, _ = phantoms.balls()
    x0, y0, x1, y1, _ = tight(truth, 1)
    k = np.flatnonzero((truth == 1).any(axis=(1, 2)))
    np.savez(tmp_path / "c.npz", imgs=volume.voxels, boxes=[[x0, y0, k[0], x1, y1, k[-1]]],
             spacing=(2, 2, 5))  # fmt: skip
    done = run("segment", tmp_path / "c.npz", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert dice(np.load(tmp_path / "out" / "c.npz")["segs"] == 1, truth == 1) > 0.7


class TestManyFiles:
    @pytest.fixture
    def folder(self, tmp_path):
        mask = phantoms.disc((72, 96), centre=(40, 30), radius=15)
        (tmp_path / "in").mkdir()
        for name in "abc":
            Image.fromarray(phantoms.image_of(mask, 0)).save(tmp_path / "in" / f"{name}.png")
        return tmp_path / "in"

    def segment(self, run, folder, *more):
        return run("segment", folder, "--box", "25,15,55,45", "-o", folder.parent / "out", *more)

    def test_what_is_done_is_left_out(self, run, folder):
        done = self.segment(run, folder)
        assert done.code == 0, done.err
        out = folder.parent / "out"
        assert sorted(p.name for p in out.iterdir()) == [
            "a.png",
            "b.png",
            "c.png",
            "medsegany-run.json",
        ]
        (out / "b.png").unlink()
        before = (out / "a.png").stat().st_mtime_ns
        done = self.segment(run, folder)
        assert done.code == 0
        assert "2 of 3 were there already" in done.err
        assert (out / "b.png").is_file()
        assert (out / "a.png").stat().st_mtime_ns == before

    def test_one_that_fails_does_not_stop_the_others(self, run, folder):
        (folder / "b.png").write_text("no picture")
        done = self.segment(run, folder, "--json")
        assert done.code == 3
        assert "1 of 3 failed" in done.err
        assert "b.png" in done.err
        assert ["error" in row for row in done.json()] == [False, True, False]

    def test_when_all_fail_nothing_worked(self, run, folder):
        for path in folder.iterdir():
            path.write_text("no picture")
        assert self.segment(run, folder).code == 1

    def test_a_folder_does_not_hold_results_of_two_kinds(self, run, folder):
        assert self.segment(run, folder).code == 0
        (folder.parent / "out" / "b.png").unlink()
        done = self.segment(run, folder, "--point", "40,30")
        assert done.code == 1
        assert "were made with another prompts" in done.err
        assert not (folder.parent / "out" / "b.png").exists()
        assert self.segment(run, folder, "--point", "40,30", "--overwrite").code == 0
        assert self.segment(run, folder, "--point", "40,30").code == 0

    def test_a_case_without_its_reference_fails_alone(self, run, folder):
        truths = folder.parent / "truth"
        truths.mkdir()
        for name in "ac":
            labels = np.zeros((72, 96), np.uint8)
            labels[15:46, 25:56] = 1
            Image.fromarray(labels).save(truths / f"{name}.png")
        report = folder.parent / "r.json"
        done = run("segment", folder, "--reference", truths, "-o", folder.parent / "out",
                   "--report", report)  # fmt: skip
        assert done.code == 3
        assert "no label map named as b.png" in done.err
        cases = json.loads(report.read_text())["cases"]
        assert [c.get("boxes") for c in cases] == [{"1": "25,15,55,45"}, None, {"1": "25,15,55,45"}]
        assert len({c["reference_sha256"] for c in cases}) == 2

    def test_what_lies_beside_a_reference_is_none(self, run, folder):
        truths = folder.parent / "truth"
        truths.mkdir()
        labels = np.zeros((72, 96), np.uint8)
        labels[15:46, 25:56] = 1
        for name in "abc":
            (truths / f"{name}.json").write_text("{}")
            Image.fromarray(labels).save(truths / f"{name}.png")
        out = folder.parent / "out"
        assert run("segment", folder, "--reference", truths, "-o", out).code == 0
        (truths / "a.nii.gz").write_bytes(b"")
        done = run("segment", folder, "--reference", truths, "-o", out, "--overwrite")
        assert done.code == 1
        assert "a.nii.gz and a.png have one name" in done.err

    @pytest.mark.parametrize(
        ("output", "said"),
        [("o.jpg", "label maps are written as"), ("in", "results need a folder of their own")],
    )
    def test_an_output_that_can_be_none(self, run, folder, output, said):
        done = run("segment", folder, "--box", "25,15,55,45", "-o", folder.parent / output)
        assert done.code == 2
        assert said in done.err
        assert sorted(p.name for p in folder.iterdir()) == ["a.png", "b.png", "c.png"]

    def test_two_inputs_do_not_share_a_result(self, run, folder):
        Image.open(folder / "a.png").save(folder / "a.tif")
        done = self.segment(run, folder)
        assert done.code == 1
        assert "would both be written" in done.err


class TestMistakes:
    @pytest.mark.parametrize(
        ("words", "said", "code"),
        [
            (["--box", "1,2,3,4"], "on which slice? For example 1,2,3,4@57", 1),
            (["--box", "1,2,3@4"], "x0,y0,x1,y1@slice is needed, for example 30,42,118,97@57", 2),
            (["--box", "a,b,c,d@4"], "x is the column, y the row", 2),
            (["--box", "9,9,1,1@4"], "Box needs x1 >= x0", 1),
            (["--point", "500,500@4"], "lies outside", 1),
            (["--point", "5,5@99"], "99", 1),
            (["--object", "0", "--point", "5,5@4"], "from 1 is needed", 2),
            (["--point", "5,5@4", "--object", "2"], "is for the prompts after it", 2),
            (["--point", "5,5@4", "--slices", "9" * 5000 + ",2"], "first and the last slice", 2),
            (["--point", "5,5@4", "--report", "no/r.json"], "there is no folder no", 1),
            (["--point", "5,5@4", "--slices", "3"], "first and the last slice", 2),
            (
                ["--point", "5,5,5", "--world", "RAS", "--window", "40;400"],
                "a level and a width such as 40,400",
                2,
            ),
            (["--point", "5,5", "--world", "RAS"], "x,y,z, in millimetres", 2),
            (["--point", "5,5,5000", "--world", "RAS"], "lies outside the volume", 1),
            (["--object", "9", "--mask", "truth.nii.gz"], "There is no file", 1),
            (["--point", "5,5@4", "--window", "raw"], "give a window", 2),
            (["--point", "5,5@4", "--window", "bone2"], "there is abdomen, soft tissue", 2),
            (["--point", "5,5@4", "--device", "banana"], "device is", 1),
            (
                ["--model", "classical", "--point", "5,5@4", "--image-size", "512"],
                "no option --image-size",
                1,
            ),
            (["--model", "classical", "--point", "5,5@4", "--crop", "1.5"], "no option --crop", 1),
            (["--point", "5,5@4", "--crop", "wide"], "--crop is a number such as 1.5", 2),
            (["--point", "5,5@4", "--series", "2"], "--series 2 is for DICOM", 1),
            (["--point", "5,5@4", "--frame", "2"], "--frame 2, but", 1),
            ([], "Give --box, --point or --mask", 2),
            (["--init", "gt"], "needs --reference", 2),
            (["--point", "5,5@4", "--model", "sam3"], "There is no model 'sam3'", 2),
        ],
    )
    def test_it_is_said_in_one_paragraph(self, run, scan, tmp_path, words, said, code):
        done = run("segment", scan[0], *words, "-o", tmp_path / "o.nii.gz")
        assert done.code == code
        assert done.err.startswith("Error: ")
        assert said in done.err
        assert "Traceback" not in done.err
        assert not done.out
        assert not (tmp_path / "o.nii.gz").exists()

    @pytest.mark.parametrize("words", [["--bx", "1"], ["--init", "best"], []])
    def test_a_command_that_is_not_understood_is_2(self, run, words):
        assert run("segment", *words).code == 2

    def test_debug_shows_where_it_comes_from(self, monkeypatch, scan, tmp_path):
        import sys

        from medsegany import cli, errors

        monkeypatch.setattr(
            sys, "argv", ["medsegany", "--debug", "segment", str(scan[0]), "-o", "x.nii"]
        )
        with pytest.raises(errors.InvalidInput):
            cli.main()

    def test_a_result_is_not_replaced_unasked(self, run, scan, tmp_path):
        words = ["segment", scan[0], "--point", "5,5@4", "-o", tmp_path / "o.nii.gz"]
        (tmp_path / "o.nii.gz").write_text("mine")
        done = run(*words)
        assert done.code == 1
        assert "--overwrite" in done.err
        assert (tmp_path / "o.nii.gz").read_text() == "mine"


def test_a_volume_is_no_png(run, scan, tmp_path):
    done = run("segment", scan[0], "--point", "5,5@4", "-o", tmp_path / "o.png")
    assert done.code == 2
    assert "a PNG holds one slice" in done.err


class TestSeveralStacks:
    """A folder with two stacks in one series, which no number tells apart."""

    @pytest.fixture
    def words(self, dicom, tmp_path, rng):
        voxels = rng.integers(0, 200, (6, 20, 24)).astype(np.int16)
        study = tmp_path / "study"
        dicom.series(
            study / "a", voxels, dicom.places(6), SeriesNumber=4, SeriesInstanceUID="1.2.1"
        )
        dicom.series(
            study / "b", voxels[:5], dicom.places(5), SeriesNumber=4, SeriesInstanceUID="1.2.2"
        )
        return ["segment", study, "--box", "3,3,12,12@2", "--window", "percentile",
                "-o", tmp_path / "o.nii.gz"]  # fmt: skip

    def test_the_error_lists_what_to_give(self, run, words):
        done = run(*words)
        assert done.code == 1
        assert "--stack 0: series 4: MR, 6 images" in done.err
        assert "--stack 1: series 4: MR, 5 images" in done.err
        assert "io." not in done.err

    @pytest.mark.parametrize(("stack", "slices"), [(0, 6), (1, 5)])
    def test_a_stack_by_its_place(self, run, words, stack, slices):
        done = run(*words, "--stack", stack, "--json")
        assert done.code == 0, done.err
        assert done.json()[0]["geometry"]["shape"] == [slices, 20, 24]

    def test_a_series_by_its_uid(self, run, words):
        done = run(*words, "--series", "1.2.2", "--json")
        assert done.code == 0, done.err
        assert done.json()[0]["geometry"]["shape"] == [5, 20, 24]

    def test_a_stack_that_is_not_there(self, run, words):
        assert "has no stack 2" in run(*words, "--stack", "2").err
        assert run(*words, "--stack", "0", "--series", "4").code == 2


class TestReport:
    def test_it_says_what_was_done_and_not_to_whom(self, run, scan, tmp_path):
        named = tmp_path / "Mustermann_Erika.nii.gz"
        scan[0].rename(named)
        x0, y0, x1, y1, k = tight(scan[1], 1)
        words = ["segment", named, "--box", f"{x0},{y0},{x1},{y1}@{k}", "--report",
                 tmp_path / "run.json", "--overwrite", "-o", tmp_path / "o.nii.gz"]  # fmt: skip
        assert run(*words).code == 0
        text = (tmp_path / "run.json").read_text()
        assert "Mustermann" not in text
        assert str(tmp_path) not in text
        said = json.loads(text)
        assert said["model"]["name"] == "nano"
        assert said["versions"]["medsegany"]
        assert said["prompts"] == [{"object": 1, "box": f"{x0},{y0},{x1},{y1}@{k}"}]
        (case,) = said["cases"]
        assert case["geometry"]["spacing_mm"] == [5, 2, 2]
        assert len(case["input_sha256"]) == 64
        assert case["seconds"] > 0
        run(*words, "--report-paths")
        assert "Mustermann" in (tmp_path / "run.json").read_text()

    def test_it_says_where_the_model_was(self, run, scan, tmp_path, monkeypatch):
        monkeypatch.setattr("medsegany.benchmark._model.device_of", lambda _: "cuda:0")
        x0, y0, x1, y1, k = tight(scan[1], 1)
        done = run("segment", scan[0], "--box", f"{x0},{y0},{x1},{y1}@{k}", "--report",
                   tmp_path / "r.json", "-o", tmp_path / "o.nii.gz")  # fmt: skip
        assert done.code == 0, done.err
        assert json.loads((tmp_path / "r.json").read_text())["model"]["device"] == "cuda:0"

    def test_it_replaces_nothing_but_a_report(self, run, scan, tmp_path):
        before = scan[0].read_bytes()
        words = ["segment", scan[0], "--point", "20,20@5", "-o", tmp_path / "o.nii.gz"]
        assert "an input or a result" in run(*words, "--report", scan[0]).err
        assert "it is no report" in run(*words, "--report", tmp_path / "truth.nii.gz").err
        assert scan[0].read_bytes() == before
        assert not (tmp_path / "o.nii.gz").exists()

    def test_nor_do_errors_name_files(self, run, tmp_path):
        (tmp_path / "in").mkdir()
        for name in ("Mustermann.png", "other.png"):
            (tmp_path / "in" / name).write_text("no picture")
        done = run("segment", tmp_path / "in", "--point", "5,5", "-o", tmp_path / "out",
                   "--report", tmp_path / "r.json")  # fmt: skip
        assert done.code == 1
        text = (tmp_path / "r.json").read_text()
        assert "Mustermann" not in text
        assert [c["error_kind"] for c in json.loads(text)["cases"]] == ["FileError"] * 2


def test_dicom_beside_pictures_is_not_passed_over(run, tmp_path):
    from pydicom.data import get_testdata_file

    (tmp_path / "in").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / "in" / "preview.png")
    with open(get_testdata_file("CT_small.dcm"), "rb") as file:  # noqa: PTH123
        (tmp_path / "in" / "a.dcm").write_bytes(file.read())
    done = run("segment", tmp_path / "in", "--point", "5,5", "-o", tmp_path / "out")
    assert done.code == 1
    assert "holds DICOM and other files" in done.err


def test_a_model_that_cannot_be_loaded_is_said_once(run, tmp_path):
    (tmp_path / "in").mkdir()
    for name in "abc":
        Image.new("L", (9, 9)).save(tmp_path / "in" / f"{name}.png")
    done = run("segment", tmp_path / "in", "--point", "5,5", "-o", tmp_path / "out", "-m", "sam3")
    assert done.code == 2
    assert done.err.count("There is no model") == 1
