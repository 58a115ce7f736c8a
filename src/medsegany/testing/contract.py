"""What every `Segmenter` must do, as tests to inherit.

    class TestMine(SegmenterContract):
        def make_segmenter(self):
            return MySegmenter()

Run by pytest. Nothing is said about how well the model segments.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from medsegany import errors
from medsegany.prompts import Box, MaskPrompt, Point
from medsegany.protocols import Segmenter
from medsegany.results import Segmentation
from medsegany.testing import phantoms
from medsegany.types import Image, Mask


class SegmenterContract(ABC):
    """Inherit from it in a class whose name begins with `Test`."""

    _segmenter: ClassVar[Segmenter]

    @abstractmethod
    def make_segmenter(self) -> Segmenter:
        """The model under test."""

    @pytest.fixture
    def segmenter(self) -> Segmenter:
        """One model for all tests of the class."""
        cls = type(self)
        if "_segmenter" not in cls.__dict__:
            cls._segmenter = self.make_segmenter()
        return cls._segmenter

    @pytest.fixture
    def truth(self) -> Mask:
        """A disc in an image that is not square."""
        return phantoms.disc((72, 96), (40, 30), 15)

    @pytest.fixture
    def image(self, truth: Mask) -> Image:
        """The disc, bright, with noise."""
        return phantoms.image_of(truth, seed=1)

    @pytest.fixture
    def box(self) -> Box:
        """The disc's tight box."""
        return Box(25, 15, 55, 45)

    def test_it_is_a_segmenter(self, segmenter: Segmenter) -> None:
        """It has the members of the protocol."""
        assert isinstance(segmenter, Segmenter)
        assert segmenter.name
        assert segmenter.accepts
        assert segmenter.accepts <= {Box, Point, MaskPrompt}

    def test_a_box_gives_a_mask_on_the_image(
        self, segmenter: Segmenter, image: Image, box: Box
    ) -> None:
        """Masks and logits have the size of the image, and agree."""
        found = segmenter.segment_2d(image, box)
        assert list(found.masks) == [1]
        _check_consistent(found, image.shape[:2])

    def test_colour_is_taken(self, segmenter: Segmenter, image: Image, box: Box) -> None:
        """`(H, W, 3)` is an image too."""
        colour = np.repeat(image[..., None], 3, axis=-1)
        _check_consistent(segmenter.segment_2d(colour, box), image.shape[:2])

    def test_objects_keep_their_ids(self, segmenter: Segmenter, image: Image, box: Box) -> None:
        """Ids come back as given, in the order given."""
        found = segmenter.segment_2d(image, {7: box, 3: Box(60, 40, 90, 70)})
        assert list(found.masks) == [7, 3]
        assert set(np.unique(found.labels())) <= {0, 3, 7}

    def test_an_embedding_can_be_prompted_again(
        self, segmenter: Segmenter, image: Image, box: Box
    ) -> None:
        """The same prompt gives the same mask, whatever was asked in between."""
        embedded = segmenter.embed(image)
        assert embedded.shape == image.shape[:2]
        first = embedded.segment(box)
        embedded.segment(Box(60, 40, 90, 70))
        segmenter.embed(np.zeros((20, 30), np.uint8))
        np.testing.assert_array_equal(embedded.segment(box).mask, first.mask)

    def test_the_image_is_left_alone(self, segmenter: Segmenter, image: Image, box: Box) -> None:
        """Nothing is written into the caller's array, not even a read-only one."""
        for given in (image, np.repeat(image[..., None], 3, axis=-1)):
            before = given.copy()
            given.setflags(write=False)
            segmenter.segment_2d(given, box)
            np.testing.assert_array_equal(given, before)

    @pytest.mark.parametrize(
        "wrong",
        [
            np.zeros((20, 30), np.float32),
            np.full((20, 30), np.nan),
            np.zeros((20, 30), np.int16),
            np.zeros((20, 30, 4), np.uint8),
            np.zeros((0, 30), np.uint8),
            np.zeros(30, np.uint8),
            [[0, 1], [2, 3]],
        ],
        ids=["float", "nan", "int16", "rgba", "empty", "1d", "list"],
    )
    def test_anything_but_display_values_is_refused(
        self, segmenter: Segmenter, wrong: Image
    ) -> None:
        """`embed` takes uint8 and guesses nothing."""
        with pytest.raises(errors.InvalidImage):
            segmenter.embed(wrong)

    def test_a_box_that_overhangs_is_taken(self, segmenter: Segmenter, image: Image) -> None:
        """It is passed on as it is."""
        found = segmenter.segment_2d(image, Box(-5, -5, 200, 40))
        _check_consistent(found, image.shape[:2])

    def test_a_box_that_misses_is_refused(self, segmenter: Segmenter, image: Image) -> None:
        """There is nothing to segment outside the image."""
        with pytest.raises(errors.InvalidPrompt, match="outside"):
            segmenter.segment_2d(image, Box(200, 10, 220, 20))

    def test_other_prompts_are_taken_or_refused(
        self, segmenter: Segmenter, image: Image, truth: Mask
    ) -> None:
        """What `accepts` names works; the rest raises `PromptNotSupported`."""
        for prompt in (Point(40, 30), MaskPrompt(truth)):
            if type(prompt) in segmenter.accepts:
                _check_consistent(segmenter.segment_2d(image, prompt), image.shape[:2])
            else:
                with pytest.raises(errors.PromptNotSupported, match=type(prompt).__name__):
                    segmenter.segment_2d(image, prompt)

    def test_a_given_mask_comes_back(self, segmenter: Segmenter, image: Image, truth: Mask) -> None:
        """To the pixel, with a score of nan."""
        if MaskPrompt not in segmenter.accepts:
            pytest.skip(f"{segmenter.name} takes no masks")
        found = segmenter.segment_2d(image, MaskPrompt(truth))
        np.testing.assert_array_equal(found.mask, truth)
        assert np.isnan(found.score)

    def test_a_volume_is_crossed(self, segmenter: Segmenter) -> None:
        """From one box in the middle; two objects keep apart in the label map."""
        volume, labels = phantoms.balls()
        prompts = {1: Box(12, 22, 31, 41).at(5), 2: Box(49, 22, 67, 41).at(6)}
        out = segmenter.segment_volume(volume, prompts, slices=(3, 8))
        assert out.visited == {1: (3, 8), 2: (3, 8)}
        assert out.labels().shape == labels.shape
        assert out.labels().dtype == np.uint8
        for name in prompts:
            assert out.masks[name].dtype == np.bool_
            assert not out.masks[name][[0, 1, 2, 9, 10, 11]].any()
            assert out.scores[name].shape == (12,)

    def test_the_true_mask_starts_a_volume(self, segmenter: Segmenter) -> None:
        """`init="gt"` returns the reference on the prompted slice, to the pixel."""
        volume, labels = phantoms.balls()
        out = segmenter.segment_volume(volume, init="gt", reference=labels, slices=(4, 7))
        np.testing.assert_array_equal(out.masks[1][5], labels[5] == 1)
        np.testing.assert_array_equal(out.masks[2][6], labels[6] == 2)

    def test_a_video_is_tracked(self, segmenter: Segmenter) -> None:
        """Every frame comes once and in order, also from an iterable without a length."""
        frames, _ = phantoms.moving_disc(4)
        tracking = segmenter.track_video(iter(frames), Box(10, 14, 28, 33), length=4)
        found = list(tracking)
        assert [frame.index for frame in found] == [0, 1, 2, 3]
        for frame in found:
            _check_consistent(frame, frames.shape[1:3])


def _check_consistent(found: Segmentation, shape: tuple[int, ...]) -> None:
    for name, mask in found.masks.items():
        assert mask.shape == shape
        assert mask.dtype == np.bool_
        logits: NDArray[np.float32] = found.logits[name]
        assert logits.dtype == np.float32
        np.testing.assert_array_equal(mask, logits > 0)
        assert isinstance(found.scores[name], float)
        assert isinstance(found.presence[name], float)
    assert found.scores.keys() == found.masks.keys() == found.presence.keys()
