"""A model whose answers can be predicted by hand."""

import numpy as np

from medsegany.backends._verbs import EVERYTHING, Accepts, Embedded, Verbs
from medsegany.preprocess import check_image
from medsegany.prompts import Box, ObjectPrompts
from medsegany.results import Segmentation
from medsegany.types import Image, Mask


class FakeSegmenter(Verbs):
    """Finds bright pixels: those above 127 in the box, or in the square around the points.

    The logit of a pixel is its grey value minus 127.5, the score is 0.5. `seen` lists the images
    that were encoded, so that a test can count them.

    Args:
        accepts: The kinds of prompts that it takes.
    """

    def __init__(self, accepts: Accepts = EVERYTHING) -> None:
        super().__init__("fake", accepts)
        self.seen: list[Image] = []

    def embed(self, image: Image) -> "FakeEmbedded":
        """Note that the image was seen; see `Segmenter.embed`."""
        self.seen.append(check_image(image))
        return FakeEmbedded(self, image)


class FakeEmbedded(Embedded):
    """An image as it is."""

    reach_px = 8

    def __init__(self, segmenter: FakeSegmenter, image: Image) -> None:
        super().__init__(segmenter, (image.shape[0], image.shape[1]))
        self._grey = image.copy() if image.ndim == 2 else image.max(axis=-1)

    def _predict(self, asked: dict[int, ObjectPrompts]) -> Segmentation:
        masks = {name: (self._grey > 127) & self._inside(here) for name, here in asked.items()}
        value = self._grey.astype(np.float32) - np.float32(127.5)
        return Segmentation(
            masks=masks,
            scores=dict.fromkeys(masks, 0.5),
            presence=dict.fromkeys(masks, float("nan")),
            logits={name: np.where(mask, value, np.float32(-1)) for name, mask in masks.items()},
        )

    def _inside(self, asked: ObjectPrompts) -> Mask:
        box = asked.box
        if box is None:
            xs, ys = [p.x for p in asked.points], [p.y for p in asked.points]
            far = self.reach_px
            box = Box(min(xs) - far, min(ys) - far, max(xs) + far, max(ys) + far)
        y, x = np.mgrid[: self.shape[0], : self.shape[1]]
        inside: Mask = (x >= box.x0) & (x <= box.x1) & (y >= box.y0) & (y <= box.y1)
        return inside
