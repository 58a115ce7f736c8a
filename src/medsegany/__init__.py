"""Segment anything in medical images, volumes and videos.

    import medsegany
    from medsegany import Box

    segmenter = medsegany.load()
    found = segmenter.segment_2d(image, Box(30, 42, 118, 97))

medsegany is for research. It is not a medical device and not for clinical use.
"""

from importlib.metadata import version as _version

from medsegany import checkpoints, errors, io, metrics, preprocess, prompts, propagation
from medsegany.cards import ModelCard
from medsegany.errors import MedSegAnyError
from medsegany.progress import Progress, no_progress
from medsegany.prompts import Box, MaskPrompt, Point
from medsegany.propagation import ByBox, ByMemory
from medsegany.protocols import EmbeddedImage, Segmenter, Tracking
from medsegany.registry import load, models
from medsegany.results import Segmentation, VolumeSegmentation
from medsegany.volume import Volume

__version__ = _version("medsegany")

__all__ = [
    "Box",
    "ByBox",
    "ByMemory",
    "EmbeddedImage",
    "MaskPrompt",
    "MedSegAnyError",
    "ModelCard",
    "Point",
    "Progress",
    "Segmentation",
    "Segmenter",
    "Tracking",
    "Volume",
    "VolumeSegmentation",
    "__version__",
    "checkpoints",
    "errors",
    "io",
    "load",
    "metrics",
    "models",
    "no_progress",
    "preprocess",
    "prompts",
    "propagation",
]
