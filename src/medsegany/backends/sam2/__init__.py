"""SAM 2 and SAM 2.1 (Ravi et al., 2024) over the official `sam2` package; MedSAM2 too."""

from medsegany.backends.sam2._build import MEAN, STD, SAM2VideoPredictor, build
from medsegany.backends.sam2._crop import Crop
from medsegany.backends.sam2._hint import ellipse_logits
from medsegany.backends.sam2._segmenter import Sam2Segmenter
from medsegany.backends.sam2._tiles import Tiles

__all__ = [
    "MEAN",
    "STD",
    "Crop",
    "SAM2VideoPredictor",
    "Sam2Segmenter",
    "Tiles",
    "build",
    "ellipse_logits",
]
