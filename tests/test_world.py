import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from medsegany import Box, Point, Volume, errors, world

# Column 2 mm toward the left, row 3 mm toward the back, slice 5 mm upward.
AFFINE = np.array([[-2.0, 0, 0, 40], [0, -3, 0, 60], [0, 0, 5, -20], [0, 0, 0, 1]])
VOLUME = Volume(np.zeros((10, 20, 30), np.uint8), AFFINE)


class TestByHand:
    def test_a_voxel_is_at_its_place_in_both_frames(self):
        assert world.to_mm(VOLUME, (3, 4, 5), space="RAS").tolist() == [34, 48, 5]
        assert world.to_mm(VOLUME, (3, 4, 5), space="LPS").tolist() == [-34, -48, 5]
        assert world.to_voxels(VOLUME, (34, 48, 5), space="RAS").tolist() == [3, 4, 5]
        assert world.to_voxels(VOLUME, (-34, -48, 5), space="LPS").tolist() == [3, 4, 5]

    def test_a_point_is_a_prompt_on_the_nearest_slice(self):
        prompt = world.point(VOLUME, (33, 48, 7), space="RAS", positive=False)
        assert prompt == Point(3.5, 4, positive=False).at(5)
        assert world.position(VOLUME, prompt, space="RAS").tolist() == [33, 48, 5]

    def test_a_box_drawn_on_a_slice_comes_back(self):
        drawn = Box(3, 4, 13, 14).at(5)
        corners = world.corners(VOLUME, drawn, space="LPS")
        assert corners.tolist() == [[-34, -48, 5], [-14, -48, 5], [-14, -18, 5], [-34, -18, 5]]
        found = world.box(VOLUME, corners[[0, 2]], space="LPS")
        assert found == world.Region(drawn.prompt, (5, 5))
        assert found.prompt == drawn

    def test_a_box_in_the_patient_is_a_box_and_its_slices(self):
        corners = world.corners_of_bounds([14, 34, 18, 48, -10, 6])
        found = world.box(VOLUME, corners, space="RAS")
        assert found == world.Region(Box(3, 4, 13, 14), (2, 5))
        assert found.prompt == Box(3, 4, 13, 14).at(3)  # the lower of two in the middle
        assert world.corners(VOLUME, found, space="RAS").shape == (8, 3)

    def test_a_box_that_overhangs_keeps_its_corners_and_loses_its_slices(self):
        found = world.box(VOLUME, [[50, 72, -100], [34, 48, 1000]], space="RAS")
        assert found == world.Region(Box(-5, -4, 3, 4), (0, 9))


class TestAMiss:
    def test_it_says_where_the_volume_is_and_where_the_place_would_be(self):
        with pytest.raises(
            errors.InvalidPrompt,
            match=r"\[500.0, 0.0, 0.0\] mm in RAS.*R -18.0 to 40.0, A 3.0 to 60.0, S -20.0 to 25.0",
        ):
            world.point(VOLUME, (500, 0, 0), space="RAS")

    def test_it_says_when_the_other_frame_would_hit(self):
        with pytest.raises(errors.InvalidPrompt, match='Taken as LPS it lies inside: space="LPS"'):
            world.point(VOLUME, (-34, -48, 5), space="RAS")

    def test_the_outermost_voxels_reach_half_a_voxel_around_their_centre(self):
        edge = world.to_mm(VOLUME, (-0.5, 0, 9.5), space="RAS")
        assert world.point(VOLUME, edge, space="RAS").index == 9
        with pytest.raises(errors.InvalidPrompt):
            world.point(VOLUME, np.add(edge, (0.1, 0, 0)), space="RAS")

    def test_a_box_beside_the_volume(self):
        with pytest.raises(errors.InvalidPrompt, match="outside"):
            world.box(VOLUME, [[34, 48, 100], [14, 18, 200]], space="RAS")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: world.point(VOLUME, (1, 2), space="RAS"), r"\(\.\.\., 3\)"),
        (lambda: world.point(VOLUME, (1, 2, np.nan), space="RAS"), "finite"),
        (lambda: world.point(VOLUME, "abc", space="RAS"), "finite"),
        (lambda: world.point(VOLUME, [(1, 2, 3)], space="RAS"), "one place"),
        (lambda: world.point(VOLUME, (1, 2, 3), space="ras"), "'RAS', 'LPS'"),
        (lambda: world.box(VOLUME, [(1, 2, 3)], space="RAS"), "at least two"),
        (lambda: world.corners(VOLUME, Box(1, 2, 3, 4), space="RAS"), r"Box on a slice.*at\(k\)"),
        (lambda: world.position(VOLUME, Box(1, 2, 3, 4).at(0), space="RAS"), "Point on a slice"),
        (lambda: world.corners_of_bounds([1, 0, 0, 1, 0, 1]), "above the highest"),
        (lambda: world.corners_of_bounds([[1, 0, 0], [0, 1, 0]]), r"\(3, 2\)"),
    ],
)
def test_what_is_no_place_is_refused(call, words):
    with pytest.raises(errors.InvalidInput, match=words):
        call()


steps = arrays(np.float64, (3, 3), elements=st.floats(-5, 5)).filter(
    lambda m: abs(m[0] @ np.cross(m[1], m[2])) > 0.05
)


@given(steps, arrays(np.float64, 3, elements=st.floats(-500, 500)), st.data())
def test_there_and_back_is_the_same_prompt_on_any_grid(steps, origin, data):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = steps, origin
    volume = Volume(np.zeros((4, 6, 8), np.uint8), affine)
    x0, x1 = sorted(data.draw(st.tuples(st.integers(0, 7), st.integers(0, 7))))
    y0, y1 = sorted(data.draw(st.tuples(st.integers(0, 5), st.integers(0, 5))))
    drawn = Box(x0, y0, x1, y1).at(data.draw(st.integers(0, 3)))
    for space in ("RAS", "LPS"):
        corners = world.corners(volume, drawn, space=space)
        assert world.box(volume, corners, space=space).prompt == drawn
        point = Point(x0, y1).at(drawn.index)
        place = world.position(volume, point, space=space)
        assert world.point(volume, place, space=space) == point
