import csv
import io

import numpy as np
import pytest
from attrs import evolve

from medsegany.benchmark import Measurement, tabulated
from medsegany.errors import InvalidInput


def row(case, model, dsc, *, label=1, modality="CT", patient=None, status="ok"):
    return Measurement(
        case, case, patient or case, modality, "2d", model, model, "{}", "clean", "key", "{}",
        status, label=label, dsc=dsc, nsd=dsc / 2,
    )  # fmt: skip


ROWS = [
    row("a", "one", 1.0, label=1),
    row("a", "one", 0.8, label=2),
    row("a", "one", 0.6, label=3),
    row("b", "one", 0.2),
    row("c", "one", 0.5, modality="MR"),
    row("a", "two", 0.5),
    row("b", "two", 0.5),
    row("c", "two", 0.9, modality="MR"),
]


def test_objects_then_cases_then_modalities():
    table = tabulated(ROWS, "Title", metrics=["dsc", "nsd"])
    ct = table.cells["one", "CT", "dsc"]
    assert ct.cases.mean == pytest.approx((0.8 + 0.2) / 2)
    assert ct.of_objects == pytest.approx((1 + 0.8 + 0.6 + 0.2) / 4)
    assert (ct.cases.count, ct.objects) == (2, 4)
    assert table.cells["one", "mean", "dsc"].cases.mean == pytest.approx((0.5 + 0.5) / 2)
    assert table.cells["one", "CT", "nsd"].cases.mean == pytest.approx(0.25)


def test_a_case_without_a_score_is_counted_and_in_no_mean():
    table = tabulated([*ROWS, row("d", "one", np.nan, status="killed", label=0)], "Title")
    assert table.without == {"one": 1, "two": 0}
    assert table.cells["one", "CT", "dsc"].cases.count == 2
    assert "- one: 1 cases have no score and are in no mean." in table.markdown()


def test_the_best_of_a_column_is_bold():
    lines = tabulated(ROWS, "Title").markdown().splitlines()
    assert lines[0] == "**Title**"
    assert lines[2] == "|  | CT DSC | MR DSC | mean DSC |"
    one, two, counts = (line.split(" | ") for line in lines[4:7])
    assert one[0] == "| one"
    assert one[1].startswith("**0.500**")
    assert two[2].startswith("**0.900**")
    assert counts[1:3] == ["2 (4)", "1 (1)"]


def test_latex_has_a_line_for_each_model():
    text = tabulated([row("a", "sam2_t", 0.5), row("a", "other", 0.4)], "T").latex()
    assert text.splitlines()[0] == r"\begin{tabular}{lr}"
    assert r"sam2\_t & \textbf{0.500}" in text
    assert text.count(r"\\") == 4


def test_csv_holds_every_number():
    rows = list(csv.DictReader(io.StringIO(tabulated(ROWS, "T").csv())))
    assert len(rows) == 6
    first = rows[0]
    assert (first["model"], first["modality"], first["cases"], first["objects"]) == (
        "one",
        "CT",
        "2",
        "4",
    )
    assert float(first["mean"]) == pytest.approx(0.5)
    assert float(first["mean_of_objects"]) == pytest.approx(0.65)


def test_patients_and_not_cases_are_compared():
    rng = np.random.default_rng(0)
    rows = []
    for n in range(24):
        base = rng.uniform(0.5, 0.8)
        for model, gain in (("weak", 0), ("strong", 0.1), ("same", 0)):
            dsc = base + gain + rng.normal(0, 0.02)
            rows.append(row(f"c{n}", model, dsc, patient=f"p{n // 2}"))
    tests = tabulated(rows, "T", against="weak").tests["CT"]
    by_name = {test.one: test for test in tests}
    assert by_name["strong"].patients == 12
    assert by_name["strong"].p_holm < 0.01
    assert by_name["strong"].difference == pytest.approx(0.1, abs=0.03)
    assert by_name["same"].p_holm > 0.05
    assert by_name["strong"].p_holm >= by_name["strong"].p_value


def test_nothing_to_average_is_an_error():
    with pytest.raises(InvalidInput, match="run the benchmark first"):
        tabulated([], "T")
    with pytest.raises(InvalidInput, match="is no line of the table: one, two"):
        tabulated(ROWS, "T", against="three")


def test_who_has_not_seen_all_cases_is_not_the_best():
    rows = [
        row("a", "one", 0.5),
        row("b", "one", 0.5),
        row("a", "two", 1.0),
        row("a", "three", 0.2),
    ]
    rows.append(row("b", "three", 0.2))
    table = tabulated(rows, "Title")
    assert table.gaps() == ["CT: two has 1 of 2 cases."]
    assert "**0.500**" in table.markdown()
    assert "- CT: two has 1 of 2 cases." in table.markdown()
    assert "% CT: two has 1 of 2 cases." in table.latex()


@pytest.mark.parametrize("what", ["model_key", "protocol_key", "case_key"])
def test_a_mean_is_of_one_model_one_protocol_and_one_version_of_a_case(what):
    one = row("a", "one", 0.5)
    with pytest.raises(InvalidInput, match="one: "):
        tabulated([one, evolve(one, label=2, **{what: "other"})], "Title")


def test_a_modality_that_a_model_has_not_seen_is_said():
    rows = [row for row in ROWS if (row.model, row.modality) != ("two", "MR")]
    assert "MR: two has 0 of 1 cases." in tabulated(rows, "Title").gaps()


def test_a_patient_of_two_modalities_is_one():
    table = tabulated([evolve(row, patient="anna") for row in ROWS], "Title")
    assert table.cells["one", "mean", "dsc"].cases.patients == 1
    assert table.cells["one", "mean", "dsc"].cases.count == 3


def test_one_patient_is_no_test():
    rows = [evolve(row, patient="anna") for row in ROWS]
    assert tabulated(rows, "Title", against="two").tested() == []
    assert len(tabulated(ROWS, "Title", against="two").tested()) == 1
