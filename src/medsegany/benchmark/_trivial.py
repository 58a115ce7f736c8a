"""What costs nothing: the answer that a model must beat to have seen anything."""

import numpy as np

from medsegany._segmentations import given
from medsegany.backends._verbs import Embedded, Verbs
from medsegany.backends.classical import ellipse
from medsegany.preprocess import check_image
from medsegany.prompts import Box, MaskPrompt, ObjectPrompts
from medsegany.results import Segmentation
from medsegany.types import Image


class EllipseSegmenter(Verbs):
    """The ellipse inscribed in the box, whatever the image shows.

    Most organs and lesions are round, so it is far better than nothing. In a stack, by `ByBox`, it
    is the same ellipse on every slice. It takes boxes, and masks as they are.
    """

    def __init__(self) -> None:
        super().__init__("ellipse", frozenset({Box, MaskPrompt}))

    def embed(self, image: Image) -> "EllipseEmbedded":
        """Keep the size of an image; see `Segmenter.embed`."""
        height, width = check_image(image).shape[:2]
        return EllipseEmbedded(self, (height, width))


class EllipseEmbedded(Embedded):
    """The size of an image, which is all that is looked at."""

    def _predict(self, asked: dict[int, ObjectPrompts]) -> Segmentation:
        y, x = (np.arange(float(side)) for side in self.shape)
        masks = {n: ellipse(here.box, y, x) for n, here in asked.items() if here.box is not None}
        return given(masks, verbatim=False)
