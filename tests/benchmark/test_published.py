"""The paper's own numbers: those that are held, what they say, and ours beside them."""

import pytest
from attrs import evolve
from benchmark_makers import manifest_of

from medsegany.benchmark import (
    CLEAN,
    PUBLISHED,
    EllipseSegmenter,
    beside_paper,
    paper_disagreements,
    paper_tables,
    read_results,
    report,
    run,
)


def named(name):
    """The ellipse under a name that the paper knows."""
    return type("Named", (EllipseSegmenter,), {"name": name})()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("named")
    protocols = [CLEAN, evolve(CLEAN, name="clean-gt", init="gt")]
    models = [named("sam2-b"), named("sam2-l"), named("own")]
    run(manifest_of(folder), models, folder / "results", protocols=protocols)
    return folder / "results"


def test_no_cell_is_held_twice():
    places = [evolve(one, value=0.0) for one in PUBLISHED]
    assert len(set(places)) == len(places)


def test_the_first_mask_is_worth_more_the_better_it_is():
    dsc = {one.init: one.value for one in PUBLISHED if one.table == 3 and one.metric == "dsc"}
    assert dsc["medsam"] < dsc["gt"]


def test_on_ct_the_table_praises_another_model_than_the_text():
    (one,) = paper_disagreements()
    assert {n.model for n in one.praised} == {"sam2-b"}
    assert {n.model for n in one.other} == {"medsam"}
    gaps = [b.value - a.value for a, b in zip(one.praised, one.other, strict=True)]
    assert gaps == pytest.approx([0.0177, 0.0622])


def test_ours_stand_beside_those_of_the_same_model_modality_and_beginning(results):
    rows = read_results(results)
    tables = paper_tables(rows, "clean")
    deltas = {(d.published.table, d.published.model, d.published.metric, d.published.init): d
              for d in beside_paper(tables)}  # fmt: skip
    ct = {d for d in deltas if d[0] in {2, 3}}
    assert ct == {
        (2, "sam2-b", "dsc", "default"),
        (2, "sam2-b", "nsd", "default"),
        (3, "sam2-l", "dsc", "gt"),
        (3, "sam2-l", "nsd", "gt"),
    }
    one = deltas[2, "sam2-b", "dsc", "default"]
    assert one.difference == pytest.approx(one.measured - 0.7199)
    assert one.measured == tables["table2"].cells["sam2-b", "CT", "dsc"].cases.mean
    assert one.cases == 1


def test_the_report_shows_them(results, tmp_path):
    page = report(results, tmp_path, protocol="clean").page.read_text("utf-8")
    assert "Beside the paper" in page
    assert "0.7199" in page


def test_nothing_of_the_papers_is_shown_where_no_model_is(results):
    rows = [row for row in read_results(results) if row.model == "own"]
    assert beside_paper(paper_tables(rows, "clean")) == ()
