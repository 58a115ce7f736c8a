"""Before and after, on cases that nothing was learnt from."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from training_makers import write_nnunet

import medsegany
from medsegany import metrics
from medsegany.backends.sam2 import Crop, Sam2Segmenter
from medsegany.benchmark import table5
from medsegany.benchmark._table5 import _before, _scores
from medsegany.errors import FileError, InvalidInput
from medsegany.prompts import boxes_from_labels
from medsegany.propagation import ByBox
from medsegany.testing import FakeSegmenter
from medsegany.testing.models import tiny_sam2
from medsegany.training import Recipe, Split, find_cases, finetune
from medsegany.training._store import StoredCase
from medsegany.training._weights import hash_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One epoch; two cases are kept for the table."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("table5")
    cases = find_cases(write_nnunet(root / "data", cases=4))
    medsegany.save(
        Sam2Segmenter(tiny_sam2(0, image_size=64), "tiny"),
        root / "base",
        name="tiny",
        licence="CC0-1.0",
    )
    finetune(
        root / "base",
        cases,
        root / "run",
        recipe=Recipe(epochs=1, batch=5, frames=1, clips=0.0, learning_rate=1e-3),
        split=Split(("case_0", "case_1"), (), ("case_2", "case_3")),
        labels={1: "big", 2: "small"},
    )
    return root / "run", cases


@pytest.fixture(scope="module")
def table(run):
    torch.set_num_threads(1)
    return table5(*run, device="cpu")


def test_it_has_both_ways_all_organs_and_their_mean(table):
    """Slice by slice in image mode, as in the paper; and by memory."""
    assert [(c.way, c.metric, c.name or "mean") for c in table.cells] == [
        (way, metric, name)
        for way in ("ByBox", "ByMemory")
        for metric in ("dsc", "nsd")
        for name in ("big", "small", "mean")
    ]


def test_its_numbers_are_those_of_the_metrics(run, table):
    """One cell by hand: the box of the middle slice, crossed by `ByBox`, in its two cases."""
    folder, cases = run
    model = medsegany.load(folder / "model", device="cpu")
    scores = []
    for case in cases[2:]:
        volume = medsegany.io.read_volume(case.image)
        truth = medsegany.io.read_labels(case.labels).labels
        box = boxes_from_labels(truth)[1]
        out = model.segment_volume(volume, {1: box}, slices={1: (1, 5)}, propagation=ByBox())
        scores.append(
            [
                metrics.dsc(out.masks[1], truth == 1),
                metrics.nsd(out.masks[1], truth == 1, spacing_mm=(2, 1, 1), tolerance_mm=2),
            ]
        )
    for metric, expected in zip(("dsc", "nsd"), np.mean(scores, 0), strict=True):
        [cell] = [c for c in table.cells if (c.way, c.metric, c.label) == ("ByBox", metric, 1)]
        assert cell.after.mean == pytest.approx(expected)
        assert cell.gain.mean == pytest.approx(cell.after.mean - cell.before.mean)


def test_the_mean_is_over_cases_and_not_over_objects(table):
    """Organs are averaged within a case first."""
    rows = [r for r in table.rows if r["way"] == "ByBox" and r["model"] == "before"]
    by_case = [np.mean([r["dsc"] for r in rows if r["case"] == c]) for c in ("case_2", "case_3")]
    [cell] = [c for c in table.cells if (c.way, c.metric, c.label) == ("ByBox", "dsc", 0)]
    assert cell.before.mean == pytest.approx(np.mean(by_case))


def test_it_is_written_as_markdown_and_csv(table, tmp_path):
    """A table to read, and every score to compute with."""
    text, scores = table.write(tmp_path)
    assert "| organ | DSC before | after | gain | NSD before | after | gain |" in text.read_text()
    assert "**ByMemory**: 2 cases of 2 patients" in text.read_text()
    with scores.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 2 * 2  # cases, organs, ways, models
    assert float(rows[0]["dsc"]) == table.rows[0]["dsc"]


def test_a_run_without_a_model_has_no_table(tmp_path, run):
    """Paused, or another folder."""
    with pytest.raises(FileError, match="holds no finished fine-tuning"):
        table5(tmp_path, run[1])


def test_before_is_what_the_run_began_with():
    """nano looks at crops, unless it was loaded otherwise; so it does in the table."""
    nano = medsegany.load("nano", crop=None, image_size=64, device="cpu")
    about = {"base": "nano", "image_size": 64, "crop": None, "weights": hash_of(nano.upstream)}
    assert _before(about, None, "cpu").crop is None
    assert _before(about | {"crop": 1.25}, None, "cpu").crop == Crop(1.25, search=True)
    assert _before(about, nano, "cpu") is nano
    with pytest.raises(InvalidInput, match="began with other weights than those of 'nano'"):
        _before(about | {"weights": "0"}, None, "cpu")


def test_a_side_without_cases_has_no_table(run):
    """This split has no validation."""
    with pytest.raises(InvalidInput, match="no validation cases"):
        table5(*run, side="validation")


def test_a_picture_has_a_border_and_no_faces(run, tmp_path):
    """In two dimensions a mask that lacks its last ten columns of forty scores as `nsd` in 2D."""
    truth = np.zeros((1, 60, 60), np.uint8)
    truth[0, 10:50, 10:50] = 1
    case = StoredCase("a", tmp_path, "", (1.0, 1.0, 1.0), 1, {1: np.array([1600])})
    np.save(tmp_path / "labels.npy", truth)
    np.save(tmp_path / "images.npy", truth * 100)

    class Less(FakeSegmenter):
        def segment_volume(self, *_, **__):
            found = (truth == 1) & (np.arange(60) < 40)
            return SimpleNamespace(masks={1: found})

    scores = _scores(Less(), case, {1: ""}, ByBox(), 2.0)
    found = (truth[0] == 1) & (np.arange(60) < 40)
    flat = metrics.nsd(found, truth[0] == 1, spacing_mm=(1, 1), tolerance_mm=2)
    assert scores[1]["nsd"] == pytest.approx(flat)
    assert flat < 0.8
