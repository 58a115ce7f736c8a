"""Segment anything in medical images, volumes and videos.

    import medsegany
    from medsegany import Box

    segmenter = medsegany.load()
    found = segmenter.segment_2d(image, Box(30, 42, 118, 97))

medsegany is for research. It is not a medical device and not for clinical use.
"""

from medsegany import checkpoints, errors, io, metrics, preprocess, prompts, propagation
from medsegany.cards import ModelCard
from medsegany.errors import MedSegAnyError
from medsegany.progress import Progress, no_progress
from medsegany.prompts import Box, MaskPrompt, Point
from medsegany.propagation import ByBox, ByMemory
from medsegany.protocols import EmbeddedImage, Segmenter, Tracking
from medsegany.registry import load, models, save
from medsegany.results import Segmentation, VolumeSegmentation
from medsegany.volume import Volume

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
    "save",
]


def __getattr__(name: str) -> str:
    """`__version__`, read from the installed package's metadata when it is asked for."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 -- keeps the import fast

        return version("medsegany")
    msg = f"module 'medsegany' has no attribute {name!r}"
    raise AttributeError(msg)
