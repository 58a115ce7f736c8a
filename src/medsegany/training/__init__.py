"""Adapting SAM 2 to your own images (Ma et al., 2024, section 2.6).

What needs torch is imported when it is first asked for: the benchmark reads the same folders.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from medsegany.training._cases import Split, TrainingCase, find_cases, split_cases
from medsegany.training._clips import Clip, Clips
from medsegany.training._store import Counts

if TYPE_CHECKING:
    from medsegany.training._augment import Augmentation, cut_out
    from medsegany.training._batches import Embeddings
    from medsegany.training._finetune import FineTuned, finetune
    from medsegany.training._log import draw_curves, read_log
    from medsegany.training._loop import Outcome, train
    from medsegany.training._losses import Loss
    from medsegany.training._prompting import BoxJitter, PromptKind
    from medsegany.training._recipe import PAPER, RELEASED, Machine, Part, Recipe
    from medsegany.training._run import Validate

__all__ = [
    "PAPER",
    "RELEASED",
    "Augmentation",
    "BoxJitter",
    "Clip",
    "Clips",
    "Counts",
    "Embeddings",
    "FineTuned",
    "Loss",
    "Machine",
    "Outcome",
    "Part",
    "PromptKind",
    "Recipe",
    "Split",
    "TrainingCase",
    "Validate",
    "cut_out",
    "draw_curves",
    "find_cases",
    "finetune",
    "read_log",
    "split_cases",
    "train",
]

_WITH_TORCH = {
    "Augmentation": "_augment",
    "BoxJitter": "_prompting",
    "Embeddings": "_batches",
    "FineTuned": "_finetune",
    "Loss": "_losses",
    "Machine": "_recipe",
    "Outcome": "_loop",
    "PAPER": "_recipe",
    "Part": "_recipe",
    "PromptKind": "_prompting",
    "RELEASED": "_recipe",
    "Recipe": "_recipe",
    "Validate": "_run",
    "cut_out": "_augment",
    "draw_curves": "_log",
    "finetune": "_finetune",
    "read_log": "_log",
    "train": "_loop",
}

if not TYPE_CHECKING:  # to a type checker any name would be there

    def __getattr__(name: str) -> object:
        """What needs torch."""
        if name in _WITH_TORCH:
            return getattr(import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
