import numpy as np
import pytest

from medsegany import Box, errors
from medsegany.overlays import COLOURS, contact_sheet, overlay


def test_a_contour_has_the_object_s_full_colour_and_its_inside_a_tint():
    labels = np.zeros((9, 9), np.uint8)
    labels[2:7, 2:7] = 2
    drawn = overlay(np.full((9, 9), 100, np.uint8), labels, alpha=0.5)
    assert tuple(drawn[2, 4]) == COLOURS[1]
    assert tuple(drawn[4, 4]) == tuple((100 + c) // 2 for c in COLOURS[1])
    assert tuple(drawn[0, 0]) == (100, 100, 100)


def test_a_box_is_drawn_where_it_lies_and_cut_at_the_edge():
    image = np.zeros((9, 9), np.uint8)
    drawn = overlay(image, image, boxes=[Box(2, 3, 20, 5)])
    white = (drawn == 255).all(axis=-1)
    assert white[3, 2:].all()
    assert white[5, 2:].all()
    assert not white[4, 3:8].any()
    assert not image.any()


def test_labels_of_another_size_are_refused():
    with pytest.raises(errors.InvalidInput, match=r"\(9, 8\)"):
        overlay(np.zeros((9, 9), np.uint8), np.zeros((9, 8), np.uint8))


def test_a_contact_sheet_has_room_for_all():
    pictures = [np.full((4, 6, 3), n, np.uint8) for n in range(5)]
    sheet = contact_sheet(pictures, 3, gap_px=2)
    assert sheet.shape == (10, 22, 3)
    assert sheet[0, 8, 0] == 1
    assert sheet[6, 8, 0] == 4
