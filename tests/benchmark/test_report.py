"""The page, the tables of the paper, the figures: whole, and true to the rows."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from attrs import evolve
from benchmark_makers import manifest_of
from PIL import Image as Pillow

from medsegany.benchmark import CLEAN, EllipseSegmenter, paper_tables, read_results, report, run
from medsegany.benchmark._figures import dots_and_boxes, prices
from medsegany.benchmark._pictures import best_and_worst
from medsegany.errors import InvalidInput
from medsegany.testing.fakes import FakeSegmenter

GT = evolve(CLEAN, name="clean-gt", init="gt")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Cases of three kinds, two models, two beginnings."""
    folder = tmp_path_factory.mktemp("measured")
    manifest = manifest_of(folder)
    models = [FakeSegmenter(), EllipseSegmenter()]
    run(manifest, models, folder / "results", masks=True)
    run(manifest, models, folder / "results", protocols=[GT])
    return manifest, folder / "results"


class Tags(HTMLParser):
    """Counts tags, and sees that each is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.sources = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.sources += [value for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "img", "br", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_there_is_a_table_for_each_kind(measured):
    _, results = measured
    tables = paper_tables(read_results(results), "clean")
    assert list(tables) == ["table1", "table2", "table3", "table4"]
    assert tables["table1"].metrics == ("dsc",)
    assert tables["table2"].metrics == ("dsc", "nsd")
    assert tables["table1"].modalities == ("Endoscopy",)
    rows = [r for r in read_results(results) if (r.kind, r.protocol) == ("3d", "clean")]
    for row in rows:
        assert tables["table2"].cells[row.model, "CT", "dsc"].cases.mean == row.dsc


def test_table_3_is_by_the_first_mask(measured):
    _, results = measured
    table = paper_tables(read_results(results), "clean")["table3"]
    assert table.models == ("ellipse, default", "ellipse, gt", "fake, default", "fake, gt")
    (gt,) = [r for r in read_results(results)
             if (r.kind, r.protocol, r.model) == ("3d", "clean-gt", "ellipse")]  # fmt: skip
    assert table.cells["ellipse, gt", "CT", "nsd"].cases.mean == gt.nsd


def test_a_protocol_that_differs_otherwise_is_not_in_table_3(measured, tmp_path):
    manifest, _ = measured
    run(manifest, ["ellipse"], tmp_path, protocols=[CLEAN, evolve(GT, range_known=True)])
    assert "table3" not in paper_tables(read_results(tmp_path), "clean")


def test_the_page_needs_no_other_file(measured, tmp_path):
    manifest, results = measured
    made = report(results, tmp_path, manifest=manifest, against="ellipse", title="A <b> title")
    text = made.page.read_text("utf-8")
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert all(source.startswith("data:image/") for source in tags.sources)
    assert tags.seen.count("img") == len(made.figures) + len(re.findall('class="card"', text))
    assert "A &lt;b&gt; title" in text
    assert {path.name for path in made.tables} == {
        f"table{n}.{ending}" for n in (1, 2, 3, 4) for ending in ("md", "tex", "csv")
    }
    assert all(np.asarray(Pillow.open(path)).std() > 5 for path in made.figures)


def test_objects_that_are_too_small_are_counted(measured, tmp_path):
    manifest, _ = measured
    known = len({(case.id, label) for case in manifest for label in case.labels})
    large = evolve(CLEAN, name="large", smallest_px=100)
    run(manifest, ["ellipse"], tmp_path, protocols=[large])
    rows = [row for row in read_results(tmp_path) if row.status == "ok"]
    lost = {row.case for row in read_results(tmp_path) if row.status != "ok"}
    there = sum(len(case.labels) for case in manifest if case.id not in lost)
    assert 0 < len(rows) < there <= known
    page = report(tmp_path, tmp_path / "with", manifest=manifest).page.read_text("utf-8")
    assert f"{there - len(rows)} further objects of these cases are too small" in page
    assert "too small" not in report(tmp_path, tmp_path / "without").page.read_text("utf-8")


def test_the_best_and_the_worst_are_shown(measured):
    manifest, results = measured
    rows = [row for row in read_results(results) if row.protocol == "clean"]
    shown = best_and_worst(rows, "ellipse", manifest, results / "masks" / "ellipse" / "clean")
    assert [(one.modality, one.rank) for one in shown] == [
        ("Endoscopy", "best"),
        ("Endoscopy", "worst"),
        ("CT", "best"),
        ("US", "best"),
    ]
    assert [(one.kind, one.index) for one in shown[1:]] == [("2d", 0), ("3d", 2), ("video", 1)]
    assert shown[0].dsc >= shown[1].dsc
    assert all(one.picture.shape == (256, 516, 3) for one in shown)
    left, right = shown[0].picture[:, :256], shown[0].picture[:, 260:]
    assert (left != right).any()  # an ellipse is no disc that grows


def test_every_case_is_a_dot(measured):
    _, results = measured
    rows = [row for row in read_results(results) if row.protocol == "clean"]
    (axes,) = dots_and_boxes(rows).axes
    dots = np.concatenate([found.get_offsets()[:, 1] for found in axes.collections])
    assert np.isfinite(dots).sum() == 8  # four cases, two models
    assert [label.get_text() for label in axes.get_xticklabels()] == ["CT", "Endoscopy", "US"]


def test_a_wrong_question_is_explained(measured, tmp_path):
    _, results = measured
    with pytest.raises(InvalidInput, match="no results under 'paper'; there is clean, clean-gt"):
        report(results, tmp_path, protocol="paper")
    with pytest.raises(InvalidInput, match="against='nano' has no results"):
        report(results, tmp_path, against="nano")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InvalidInput, match="there is nothing"):
        report(tmp_path, tmp_path / "out")


def test_a_manifest_of_something_else_is_noticed(measured, tmp_path):
    manifest, results = measured
    other = manifest_of(tmp_path)
    other = evolve(other, cases=tuple(evolve(case, id=f"{case.id}-x") for case in other))
    with pytest.raises(InvalidInput, match="knows none of the 4 cases"):
        report(results, tmp_path / "out", manifest=other)
    assert not (tmp_path / "out").exists()
    with pytest.warns(UserWarning, match="knows only 1 of the 4 cases"):
        report(results, tmp_path / "out", manifest=manifest.where(lambda c: c.id == "ct-1"))


def test_what_an_earlier_report_left_does_not_stay(measured, tmp_path):
    _, results = measured
    report(results, tmp_path, protocol="clean")
    mine = tmp_path / "notes.md"
    mine.write_text("mine")
    run(measured[0].where(lambda c: c.kind == "3d"), ["ellipse"], tmp_path / "volumes")
    made = report(tmp_path / "volumes", tmp_path)
    files = {path for path in tmp_path.iterdir() if path.is_file()}
    assert files == {made.page, *made.tables, *made.figures, mine}


def test_a_model_with_fewer_cases_is_on_no_plot_of_prices(measured):
    rows = [r for r in read_results(measured[1]) if (r.kind, r.protocol) == ("2d", "clean")]
    whole = prices(rows)
    assert [text.get_text() for text in whole.legends[0].texts] == ["ellipse", "fake"]
    fewer = [row for row in rows if (row.model, row.case) != ("fake", "flat-2")]
    assert [text.get_text() for text in prices(fewer).legends[0].texts] == ["ellipse"]


def test_the_data_are_told_where_the_manifest_is_there(measured, tmp_path):
    manifest, results = measured
    named = evolve(manifest, cases=tuple(evolve(c, dataset="Discs <1>") for c in manifest))
    text = report(results, tmp_path, manifest=named).page.read_text("utf-8")
    assert "Discs &lt;1&gt;" in text
    assert manifest.key in text
