"""Crossing a volume, with a model whose answers can be predicted by hand."""

import numpy as np
import pytest

from medsegany import Box, ByBox, ByMemory, MaskPrompt, Point, Progress, Volume, errors
from medsegany.propagation import segment_volume
from medsegany.testing import FakeSegmenter, phantoms
from medsegany.testing.phantoms import squares


def areas(out, name=1):
    return out.masks[name].sum(axis=(1, 2)).tolist()


@pytest.fixture
def fake():
    return FakeSegmenter()


class TestByBox:
    def test_a_box_in_the_middle_finds_the_object_on_every_slice(self, fake):
        out = fake.segment_volume(squares([3, 4, 5, 5, 4]), Box(3, 3, 9, 9).at(2))
        # carried by the tight box, an object can shrink from slice to slice and not grow
        assert areas(out) == [9, 16, 25, 25, 16]
        assert out.visited == {1: (0, 4)}

    def test_a_margin_lets_it_grow(self, fake):
        stack = squares([2, 3, 4, 5])
        assert areas(fake.segment_volume(stack, Box(3, 3, 9, 9).at(0))) == [4, 4, 4, 4]
        way = ByBox(margin_px=1)
        assert areas(fake.segment_volume(stack, Box(3, 3, 9, 9).at(0), propagation=way)) == [
            4,
            9,
            16,
            25,
        ]

    def test_an_object_ends_after_three_empty_slices(self, fake):
        out = fake.segment_volume(squares([5, 0, 0, 0, 5, 5]), Box(3, 3, 9, 9).at(0))
        assert areas(out) == [25, 0, 0, 0, 0, 0]
        assert out.visited == {1: (0, 3)}
        assert len(fake.seen) == 4

    def test_two_empty_slices_are_a_gap(self, fake):
        out = fake.segment_volume(squares([5, 0, 0, 5, 5]), Box(3, 3, 9, 9).at(0))
        assert areas(out) == [25, 0, 0, 25, 25]

    def test_given_slices_are_all_visited_and_no_others(self, fake):
        stack = squares([5] * 3 + [0] * 5 + [5] * 3)
        out = fake.segment_volume(stack, Box(3, 3, 9, 9).at(2), slices=(1, 9))
        assert areas(out) == [0, 25, 25, 0, 0, 0, 0, 0, 25, 25, 0]
        assert out.visited == {1: (1, 9)}
        np.testing.assert_array_equal(np.isnan(out.scores[1]), [True] + [False] * 9 + [True])

    def test_slices_of_one_object_are_no_matter_of_the_others(self, fake):
        """Object 1 is looked for in all of its slices; object 2 ends after three empty ones."""
        prompts = {1: Box(3, 3, 9, 9).at(0), 2: Box(3, 3, 8, 8).at(0)}
        out = fake.segment_volume(squares([5, 0, 0, 0, 5, 5]), prompts, slices={1: (0, 4)})
        assert out.visited == {1: (0, 4), 2: (0, 3)}
        assert [int(mask.sum()) for mask in out.masks[1]] == [25, 0, 0, 0, 25, 0]
        assert [int(mask.sum()) for mask in out.masks[2]] == [25, 0, 0, 0, 0, 0]

    def test_after_an_empty_slice_the_last_box_is_used_or_the_first_one(self, fake):
        """The released scripts fall back to the box that was the prompt."""
        stack = squares([5, 3, 0, 6])
        last = fake.segment_volume(stack, Box(3, 3, 10, 10).at(0))
        first = fake.segment_volume(
            stack, Box(3, 3, 10, 10).at(0), propagation=ByBox(on_empty="first")
        )
        assert areas(last) == [25, 9, 0, 9]
        assert areas(first) == [25, 9, 0, 36]  # found in the box as drawn, not in the first mask's

    def test_a_prompt_that_finds_nothing_is_tried_on_the_next_slices(self, fake):
        assert areas(fake.segment_volume(squares([0, 5, 5]), Box(3, 3, 9, 9).at(0))) == [0, 25, 25]

    def test_a_later_prompt_starts_an_ended_object_anew(self, fake):
        stack = squares([5] + [0] * 8 + [4, 4])
        out = fake.segment_volume(stack, [Box(3, 3, 9, 9).at(0), Box(3, 3, 9, 9).at(9)])
        assert areas(out)[9:] == [16, 16]

    def test_each_slice_is_filled_from_the_nearest_prompt(self, fake):
        """Prompted small on 0 and large on 4: 1 and 2 stay small, 3 is large."""
        stack = squares([6] * 5)
        prompts = [Box(4, 4, 5, 5).at(0), Box(3, 3, 10, 10).at(4)]
        assert areas(fake.segment_volume(stack, prompts)) == [4, 4, 4, 36, 36]

    def test_a_mask_prompt_is_the_result_and_is_carried(self, fake):
        stack = squares([6] * 3)
        mask = np.zeros((20, 20), bool)
        mask[4:6, 4:7] = mask[19, 19] = True  # not what the model would say
        out = fake.segment_volume(stack, MaskPrompt(mask).at(1), slices=(0, 2))
        np.testing.assert_array_equal(out.mask[1], mask)
        assert areas(out) == [36, 7, 36]  # the model looks into the box (4, 4, 19, 19)
        assert np.isnan(out.scores[1][1])

    def test_masks_need_no_model_that_takes_them(self):
        boxes_only = FakeSegmenter(accepts=frozenset({Box}))
        mask = np.zeros((20, 20), bool)
        mask[4:8, 4:8] = True
        assert (
            areas(boxes_only.segment_volume(squares([4] * 3), MaskPrompt(mask).at(1))) == [16] * 3
        )
        with pytest.raises(errors.PromptNotSupported, match="Box prompts, not Point"):
            boxes_only.segment_volume(squares([4] * 3), Point(5, 5).at(1))
        assert len(boxes_only.seen) == 2  # nothing was encoded for the refused one

    def test_an_empty_mask_on_one_of_several_slices_says_not_here(self, fake):
        empty = MaskPrompt(np.zeros((20, 20), bool))
        out = fake.segment_volume(squares([5] * 4), [Box(3, 3, 9, 9).at(0), empty.at(2)])
        assert areas(out) == [25, 25, 0, 0]  # and nothing is carried on from there
        with pytest.raises(errors.InvalidPrompt, match="nothing to carry"):
            fake.segment_volume(squares([5] * 4), empty.at(2))

    @pytest.mark.parametrize(
        ("direction", "expected"),
        [("both", [25] * 5), ("forward", [0, 0, 25, 25, 25]), ("backward", [25, 25, 25, 0, 0])],
    )
    def test_a_direction_is_kept_to(self, fake, direction, expected):
        out = fake.segment_volume(
            squares([5] * 5), Box(3, 3, 9, 9).at(2), propagation=ByBox(direction)
        )
        assert areas(out) == expected

    def test_a_slice_is_encoded_once_per_sweep_for_all_objects(self, fake):
        volume, _ = phantoms.balls()
        prompts = {1: Box(12, 22, 31, 41).at(5), 2: Box(49, 22, 67, 41).at(5)}
        fake.segment_volume(volume, prompts, slices=(2, 9))
        assert len(fake.seen) == 8

    def test_one_slice_is_a_volume(self, fake):
        assert areas(fake.segment_volume(squares([5]), Box(3, 3, 9, 9).at(0))) == [25]


class TestStart:
    stack = squares([4, 5, 6, 5])

    def test_a_prompt_needs_a_slice(self, fake):
        with pytest.raises(errors.InvalidPrompt, match=r"\.at\(slice_index\)"):
            fake.segment_volume(self.stack, Box(3, 3, 9, 9))

    def test_no_prompts_are_an_error(self, fake):
        with pytest.raises(errors.InvalidPrompt, match="No prompts"):
            fake.segment_volume(self.stack)

    def test_gt_takes_the_reference_on_the_prompted_slice(self, fake):
        truth = np.zeros((4, 20, 20), np.uint8)
        truth[1, 4:6, 4:6] = 3
        out = fake.segment_volume(
            self.stack, {3: Box(0, 0, 19, 19).at(1)}, init="gt", reference=truth
        )
        assert areas(out, 3) == [4, 4, 4, 4]

    def test_gt_without_prompts_takes_each_label_s_middle_slice(self, fake):
        truth = np.zeros((4, 20, 20), np.int32)
        truth[0:4, 4:6, 4:6] = 2  # middle slice 1
        truth[2:4, 10:12, 10:13] = 7  # middle slice 2
        out = fake.segment_volume(self.stack, init="gt", reference=truth, slices=(1, 2))
        assert out.masks[2][1].sum() == 4
        assert out.masks[7][2].sum() == 6
        assert np.isnan(out.scores[2][1])

    def test_gt_on_a_slice_without_the_object_is_an_error(self, fake):
        truth = np.zeros((4, 20, 20), np.uint8)
        truth[1, 4:6, 4:6] = 1
        with pytest.raises(errors.InvalidPrompt, match="no object 1 on slice 3"):
            fake.segment_volume(self.stack, Point(5, 5).at(3), init="gt", reference=truth)
        with pytest.raises(errors.InvalidInput, match="no object"):
            fake.segment_volume(self.stack, init="gt", reference=truth * 0)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"init": "gt"}, "needs reference="),
            ({"init": "gt", "reference": np.zeros((4, 20, 21), int)}, r"\(4, 20, 21\)"),
            ({"init": "gt", "reference": np.zeros((4, 20, 20))}, "integers"),
            ({"reference": np.zeros((4, 20, 20), int)}, 'used by init="gt"'),
            ({"initializer": FakeSegmenter()}, 'used by init="medsam"'),
            ({"init": "magic"}, "'default', 'medsam', 'gt'"),
            ({"overlap": "both"}, "'logits', 'last'"),
            ({"slices": (3, 1)}, r"\(3, 1\)"),
            ({"slices": (0, 4)}, "0 to 3"),
            ({"slices": 3}, r"\(first, last\)"),
            ({"slices": (0.5, 3)}, "whole numbers"),
            ({"slices": "03"}, "whole numbers"),
            ({"init": "gt", "reference": np.full((4, 20, 20), -1)}, "from -1"),
            ({"slices": {2: (0, 3)}}, r"object 2, prompts for \[1\]"),
            ({"slices": (0, 1)}, "outside"),
        ],
    )
    def test_what_does_not_fit_together_is_said(self, fake, options, words):
        with pytest.raises(errors.InvalidInput, match=words):
            fake.segment_volume(self.stack, Box(3, 3, 9, 9).at(2), **options)
        assert not fake.seen

    def test_any_segmenter_makes_the_first_mask(self, fake):
        """Its mask stands on the prompted slice, with its score, and wins over predicted ones."""
        initializer = FakeSegmenter(accepts=frozenset({Box}))
        stack = self.stack.copy()
        stack[2, 4:8, 4:8] = 130
        out = fake.segment_volume(
            stack, Box(4, 4, 7, 7).at(2), init="medsam", initializer=initializer
        )
        assert len(initializer.seen) == 1
        assert areas(out)[2] == 16
        assert out.scores[1][2] == 0.5

    def test_an_initializer_that_finds_nothing_spoils_no_other_object(self, fake):
        prompts = {1: Box(4, 4, 9, 9).at(2), 2: Box(15, 15, 19, 19).at(2)}
        out = fake.segment_volume(self.stack, prompts, init="medsam", initializer=FakeSegmenter())
        assert areas(out, 1)[2] == 36
        assert areas(out, 2) == [0, 0, 0, 0]

    @pytest.mark.parametrize(
        "options", [{"slices": (0, 77)}, {"overlap": "both"}, {"propagation": ByMemory()}]
    )
    def test_nothing_is_encoded_before_everything_is_checked(self, fake, options):
        initializer = FakeSegmenter()
        with pytest.raises(errors.MedSegAnyError):
            fake.segment_volume(
                self.stack,
                Box(3, 3, 9, 9).at(2),
                init="medsam",
                initializer=initializer,
                **options,
            )
        assert not initializer.seen

    def test_a_reference_may_be_a_volume(self, fake):
        truth = Volume(np.ones((4, 20, 20), np.uint8), np.eye(4))
        out = fake.segment_volume(self.stack, init="gt", reference=truth)
        assert areas(out)[1] == 400

    def test_medsam_without_weights_says_where_they_belong(self, fake):
        with pytest.raises(errors.CheckpointError, match="medsam_vit_b.pth"):
            fake.segment_volume(self.stack, Box(3, 3, 9, 9).at(2), init="medsam")

    def test_a_backend_of_another_package_names_its_initializer(self, fake):
        with pytest.raises(errors.InvalidInput, match="initializer="):
            segment_volume(fake, self.stack, Box(3, 3, 9, 9).at(2), init="medsam")

    def test_a_model_without_memory_cannot_cross_by_memory(self, fake):
        with pytest.raises(errors.PropagationNotSupported, match=r"fake has no memory.*ByBox\(\)"):
            fake.segment_volume(self.stack, Box(3, 3, 9, 9).at(2), propagation=ByMemory())

    @pytest.mark.parametrize(
        "wrong",
        [
            np.zeros((4, 20, 20)),
            np.zeros((4, 20, 20), np.int16) - 1000,
            np.zeros((0, 20, 20), np.uint8),
            np.zeros((20, 20), np.uint8),
        ],
    )
    def test_a_stack_is_uint8(self, fake, wrong):
        with pytest.raises(errors.InvalidImage):
            fake.segment_volume(wrong, Box(3, 3, 9, 9).at(2))


class TestOverlap:
    """Two objects on one slice, the second brighter: the fake's logit is the grey value - 127.5."""

    stack = np.full((3, 10, 10), 150, np.uint8)
    prompts = {5: Box(0, 0, 6, 9).at(1), 2: Box(4, 0, 9, 9).at(1)}  # columns 4 to 6 are contested

    def contested(self, out, k=1):
        return set(np.unique(out.labels()[k][:, 4:7]).tolist())

    def test_masks_may_overlap_and_labels_do_not(self, fake):
        out = fake.segment_volume(self.stack, self.prompts)
        assert (out.masks[5] & out.masks[2]).sum() == 3 * 30
        assert self.contested(out) == {2}  # equal logits: the lower id

    def test_last_takes_the_last_of_the_prompts(self, fake):
        assert self.contested(fake.segment_volume(self.stack, self.prompts, overlap="last")) == {2}
        turned = dict(reversed(self.prompts.items()))
        assert self.contested(fake.segment_volume(self.stack, turned, overlap="last")) == {5}

    def test_a_given_mask_wins_on_its_slice_and_there_alone(self, fake):
        mask = np.zeros((10, 10), bool)
        mask[:, :7] = True
        prompts = {5: MaskPrompt(mask).at(1), 2: Box(4, 0, 9, 9).at(1)}
        out = fake.segment_volume(self.stack, prompts)
        assert self.contested(out, 1) == {5}
        assert self.contested(out, 2) == {2}

    def test_objects_that_meet_in_different_sweeps_are_settled_by_logits_too(self):
        """5 comes up to slice 1, 2 comes down to it: nothing but the voxels' logits decides."""

        class Dimmer(FakeSegmenter):
            """Sees the object with the narrower box weaker."""

            def embed(self, image):
                embedded = super().embed(image)
                segment = embedded.segment

                def weaker(prompts):
                    found = segment(prompts)
                    for name in found.logits:
                        if name == 2:
                            found.logits[2][:] -= 5
                    return found

                embedded.segment = weaker
                return embedded

        prompts = {5: Box(0, 0, 6, 9).at(0), 2: Box(4, 0, 9, 9).at(2)}
        assert self.contested(Dimmer().segment_volume(self.stack, prompts)) == {5}
        assert self.contested(FakeSegmenter().segment_volume(self.stack, prompts)) == {2}


class TestProgress:
    def test_every_slice_is_told_and_the_last_word_is_all(self, fake):
        told = []
        fake.segment_volume(squares([5] * 5), Box(3, 3, 9, 9).at(2), on_progress=told.append)
        assert told == [Progress("slices", done, 5) for done in (1, 2, 3, 4, 5)]

    def test_it_ends_with_all_when_the_object_ended_early(self, fake):
        told = []
        stack = squares([5] + [0] * 9)
        fake.segment_volume(stack, Box(3, 3, 9, 9).at(0), on_progress=told.append)
        assert told[-1] == Progress("slices", 10, 10)
        assert [p.done for p in told[:-1]] == [1, 2, 3, 4]


def test_colour_volumes_are_crossed(fake):
    colour = np.repeat(squares([4, 5, 4])[..., None], 3, axis=-1)
    assert areas(fake.segment_volume(colour, Box(3, 3, 9, 9).at(1))) == [16, 25, 16]


def test_the_volume_is_left_alone(fake):
    stack = squares([4, 5, 4])
    stack.setflags(write=False)
    fake.segment_volume(stack, Box(3, 3, 9, 9).at(1))
