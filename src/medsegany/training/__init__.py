"""Adapting SAM 2 to your own images (Ma et al., 2024, section 2.6)."""

from medsegany.training._augment import Augmentation, cut_out
from medsegany.training._batches import Embeddings
from medsegany.training._cases import Split, TrainingCase, find_cases, split_cases
from medsegany.training._clips import Clip, Clips
from medsegany.training._finetune import FineTuned, finetune
from medsegany.training._log import draw_curves, read_log
from medsegany.training._loop import Outcome, Validate, train
from medsegany.training._losses import Loss
from medsegany.training._prompting import BoxJitter, PromptKind
from medsegany.training._recipe import PAPER, RELEASED, Machine, Part, Recipe
from medsegany.training._store import Counts

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
