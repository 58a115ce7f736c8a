import numpy as np
import pytest

from medsegany import Box, MaskPrompt, Point, errors
from medsegany.prompts import ObjectPrompts, check_kinds, on_image, on_stack

SHAPE = (40, 100)  # 100 wide and 40 high
BOX = Box(1, 2, 3, 4)


class TestOnImage:
    def test_one_prompt_is_object_one(self):
        assert on_image(BOX, SHAPE) == {1: ObjectPrompts(box=BOX)}

    def test_a_sequence_is_object_one(self):
        points = (Point(5, 6), Point(7, 8, positive=False))
        assert on_image([BOX, *points], SHAPE) == {1: ObjectPrompts(box=BOX, points=points)}

    def test_a_mapping_names_its_objects(self):
        asked = on_image({np.int64(7): BOX, 2: [Point(5, 6)]}, SHAPE)
        assert asked == {7: ObjectPrompts(box=BOX), 2: ObjectPrompts(points=(Point(5, 6),))}
        assert all(type(name) is int for name in asked)

    def test_an_image_is_a_stack_of_one(self):
        assert on_image(BOX.at(0), SHAPE) == on_image(BOX, SHAPE)
        with pytest.raises(errors.InvalidPrompt, match="slice 3"):
            on_image(BOX.at(3), SHAPE)

    def test_two_boxes_are_two_objects(self):
        with pytest.raises(errors.InvalidPrompt, match=r"Two objects\? \{1: a, 2: b\}"):
            on_image([BOX, Box(5, 5, 6, 6)], SHAPE)

    def test_a_mask_stands_alone(self):
        mask = MaskPrompt(np.zeros(SHAPE, bool))
        with pytest.raises(errors.InvalidPrompt, match="stands alone"):
            on_image([mask, Point(1, 1)], SHAPE)
        with pytest.raises(errors.InvalidPrompt, match="stands alone"):
            on_image([mask, mask], SHAPE)

    @pytest.mark.parametrize("name", [0, -1, "liver", 1.5, True, None])
    def test_an_object_id_is_a_whole_number_from_one(self, name):
        with pytest.raises(errors.InvalidPrompt, match="object id"):
            on_image({name: BOX}, SHAPE)

    @pytest.mark.parametrize("nothing", [[], {}, {1: []}])
    def test_no_prompts_are_an_error(self, nothing):
        with pytest.raises(errors.InvalidPrompt, match=r"[Nn]o prompts"):
            on_image(nothing, SHAPE)

    @pytest.mark.parametrize("wrong", [(1, 2, 3, 4), np.array([1, 2, 3, 4]), "box", 5])
    def test_numbers_are_no_prompt(self, wrong):
        with pytest.raises(errors.InvalidPrompt, match="Box"):
            on_image(wrong, SHAPE)

    @pytest.mark.parametrize(
        "prompt", [Box(90, 30, 200, 90), Box(-9, -9, 0, 0), Box(99, 39, 99, 39)]
    )
    def test_a_box_may_overhang(self, prompt):
        assert on_image(prompt, SHAPE)[1].box == prompt

    @pytest.mark.parametrize("prompt", [Box(100, 3, 110, 5), Box(-9, -9, -1, -1), Point(100, 3)])
    def test_a_prompt_beside_the_image_is_refused(self, prompt):
        with pytest.raises(errors.InvalidPrompt, match="100 wide and 40 high"):
            on_image(prompt, SHAPE)

    def test_swapped_axes_are_noticed_and_never_swapped_back(self):
        with pytest.raises(errors.InvalidPrompt, match="x and y swapped"):
            on_image(Point(10, 90), SHAPE)
        with pytest.raises(errors.InvalidPrompt) as error:
            on_image(Point(500, 600), SHAPE)
        assert "swapped" not in str(error.value)

    def test_a_transposed_mask_is_noticed(self):
        with pytest.raises(errors.InvalidPrompt, match="transposed"):
            on_image(MaskPrompt(np.zeros(SHAPE[::-1], bool)), SHAPE)


class TestOnStack:
    def test_slices_come_in_the_order_given(self):
        """The memory of SAM 2 depends on it in its last bits."""
        asked = on_stack([BOX.at(7), Point(5, 6).at(2)], SHAPE, length=9)
        assert list(asked[1]) == [7, 2]

    def test_box_and_point_on_one_slice_belong_together(self):
        asked = on_stack([BOX.at(7), Point(5, 6).at(7)], SHAPE, length=9)
        assert asked == {1: {7: ObjectPrompts(box=BOX, points=(Point(5, 6),))}}

    def test_an_unplaced_prompt_shows_what_to_write(self):
        with pytest.raises(errors.InvalidPrompt, match=r"Box\(\.\.\.\)\.at\(slice_index\)"):
            on_stack(BOX, SHAPE, length=9)
        assert list(on_stack(BOX, SHAPE, length=9, unplaced=0)[1]) == [0]

    def test_a_slice_beyond_the_stack_is_refused(self):
        with pytest.raises(errors.InvalidPrompt, match="there are 9"):
            on_stack(BOX.at(9), SHAPE, length=9)
        assert list(on_stack(BOX.at(9), SHAPE, length=None)[1]) == [9]

    def test_the_same_slice_named_twice_is_refused(self):
        with pytest.raises(errors.InvalidPrompt, match="twice"):
            on_stack([BOX, Point(5, 6).at(0)], SHAPE, length=9, unplaced=0)


def test_a_model_says_what_it_takes():
    with pytest.raises(errors.PromptNotSupported, match="medsam takes Box prompts, not Point"):
        check_kinds(ObjectPrompts(points=(Point(1, 2),)), {Box}, "medsam")
    check_kinds(ObjectPrompts(box=BOX), {Box}, "medsam")
