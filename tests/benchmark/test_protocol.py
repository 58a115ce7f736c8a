import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, strategies as st

from medsegany import Box, ByBox, ByMemory
from medsegany.benchmark import CLEAN, PAPER, EllipseSegmenter, Protocol, differs
from medsegany.benchmark._protocol import protocol_of
from medsegany.errors import InvalidInput
from medsegany.testing import phantoms
from medsegany.testing.fakes import FakeSegmenter

DISC = phantoms.disc((60, 80), (30, 25), 10)


def test_it_is_a_value_that_can_be_written_down():
    assert Protocol.from_json(PAPER.to_json()) == PAPER
    assert protocol_of("paper") is PAPER
    with pytest.raises(InvalidInput, match="protocol"):
        protocol_of("papper")


def test_its_key_is_not_its_name():
    assert evolve(CLEAN, name="mine").key == CLEAN.key
    assert evolve(CLEAN, seed=1).key != CLEAN.key
    assert CLEAN.key != PAPER.key


def test_what_the_paper_does_differently():
    assert set(differs(CLEAN, PAPER)) == {
        "name", "where", "range_known", "prompted", "overlap", "smallest_px"
    }  # fmt: skip


def test_the_clean_box_is_tight():
    assert CLEAN.box(DISC, "case", 1) == Box(20, 15, 40, 35)


@given(st.integers(0, 99), st.text(max_size=5), st.integers(1, 20), st.floats(0, 1))
def test_a_box_depends_on_its_case_and_on_nothing_else(seed, case, pixels, share):
    moved = Protocol(jitter_px=pixels, jitter_share=share, seed=seed)
    box = moved.box(DISC, case, 1)
    assert box == moved.box(DISC, case, 1)
    assert 0 <= box.x0 <= box.x1 < 80
    assert 0 <= box.y0 <= box.y1 < 60
    most = pixels + share * 21
    assert np.abs(box.as_array() - (20, 15, 40, 35)).max() <= most


def test_boxes_of_two_cases_differ():
    moved = Protocol(jitter_px=5)
    boxes = {tuple(moved.box(DISC, f"case-{n}", 1).as_array()) for n in range(20)}
    assert len(boxes) > 15
    sides = np.array(list(boxes)) - (20, 15, 40, 35)
    assert np.abs(sides).max() == 5


def test_the_way_through_a_stack_is_the_model_s_own():
    assert CLEAN.propagation(FakeSegmenter()) == ByBox()
    carried = evolve(PAPER, carried="memory")
    assert carried.propagation(EllipseSegmenter()) == ByMemory(prompted="mask")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"init": "best"}, "init"),
        ({"tolerance_mm": 0.0}, "tolerance_mm"),
        ({"smallest_px": 0}, "smallest_px"),
        ({"jitter_share": -0.1}, "jitter_share"),
    ],
)
def test_a_wrong_value_is_named(wrong, said):
    with pytest.raises(InvalidInput, match=said):
        Protocol(**wrong)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"where": "midle"}', "where"),
        ('{"wher": "middle"}', "'wher' is none of them"),
        ('["middle"]', "a list is none of them"),
        ('{"jitter_px": "2"}', "another kind|jitter_px"),
        ("middle", "A protocol is JSON"),
    ],
)
def test_what_is_no_protocol_is_explained(text, said):
    with pytest.raises(InvalidInput, match=said):
        Protocol.from_json(text)
