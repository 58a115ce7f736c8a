"""Random weights: that a model runs, and what it takes; never a score in a table."""

import pytest
from benchmark_makers import manifest_of

from medsegany.benchmark import Model, paper_tables, read_results, report, run, tabulated
from medsegany.errors import InvalidInput, UnknownModel
from medsegany.testing.models import untrained

SMALL = Model("nano", untrained=True, image_size=64)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untrained")
    run(manifest_of(folder), [SMALL, "ellipse"], folder / "results")
    return folder / "results"


def test_the_name_says_it_and_no_table_has_it(results):
    rows = read_results(results)
    assert {row.model for row in rows if row.untrained} == {"nano (untrained)"}
    assert {row.kind for row in rows if row.untrained} == {"2d", "3d", "video"}
    assert tabulated(rows, "All").models == ("ellipse",)
    assert all(table.models == ("ellipse",) for table in paper_tables(rows, "clean").values())


def test_the_report_says_what_it_takes(results, tmp_path):
    page = report(results, tmp_path).page.read_text("utf-8")
    after = page[page.index("With random weights") :]
    assert after.count("nano (untrained)") >= 3
    assert "nano (untrained)" not in page[: page.index("With random weights")]


def test_a_trial_alone_is_a_page_too(tmp_path):
    run(manifest_of(tmp_path), [SMALL], tmp_path / "results")
    found = report(tmp_path / "results", tmp_path / "report")
    assert (found.tables, found.figures) == ((), ())
    assert "peak memory" in found.page.read_text("utf-8")


def test_the_weights_are_those_of_their_seed():
    """So a second start knows what the first has measured."""
    keys = {SMALL.identity(SMALL.open()).key for _ in range(2)}
    assert len(keys) == 1
    assert keys != {Model("nano", image_size=64).identity(untrained("nano", 1, image_size=64)).key}


def test_a_trial_is_compared_with_nothing(results):
    trial = [row for row in read_results(results) if row.untrained]
    with pytest.raises(InvalidInput, match="No case has a score"):
        tabulated(trial, "Trial")


def test_options_that_a_model_does_not_have_are_refused():
    with pytest.raises(InvalidInput, match="either untrained or has the weights"):
        Model("nano", checkpoint="mine.pt", untrained=True).open()
    with pytest.raises(InvalidInput, match="image_size is an option of SAM2"):
        Model("sam1-b", image_size=512, untrained=True).open()


def test_what_has_no_weights_cannot_be_untrained():
    with pytest.raises(InvalidInput, match="classical has no weights"):
        untrained("classical")
    with pytest.raises(UnknownModel, match="sam3"):
        untrained("sam3")
