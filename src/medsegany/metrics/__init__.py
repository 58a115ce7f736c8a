"""How well masks agree with the truth: overlap, surface distances, tables, statistics.

NSD, Hausdorff and average surface distances are those of DeepMind's `surface-distance` package, to
nine digits and faster; "which NSD is this?" in the docs says how other tools differ.
"""

from medsegany.metrics._columns import Tolerance
from medsegany.metrics._distances import Directed, SurfaceDistances, surface_distances
from medsegany.metrics._empty import Empty, EmptyRule
from medsegany.metrics._evaluate import evaluate
from medsegany.metrics._flare22 import FLARE22_LABELS, FLARE22_TOLERANCES_MM
from medsegany.metrics._measures import (
    assd,
    average_surface_distances,
    hausdorff,
    masd,
    nsd,
    surface_overlap,
)
from medsegany.metrics._overlap import boundary_iou, dsc
from medsegany.metrics._summary import Comparison, Summary, compare, holm, summarize
from medsegany.metrics._surface import Surface
from medsegany.metrics._surfaces import is_compiled
from medsegany.metrics._table import Evaluation, Row

__all__ = [
    "FLARE22_LABELS",
    "FLARE22_TOLERANCES_MM",
    "Comparison",
    "Directed",
    "Empty",
    "EmptyRule",
    "Evaluation",
    "Row",
    "Summary",
    "Surface",
    "SurfaceDistances",
    "Tolerance",
    "assd",
    "average_surface_distances",
    "boundary_iou",
    "compare",
    "dsc",
    "evaluate",
    "hausdorff",
    "holm",
    "is_compiled",
    "masd",
    "nsd",
    "summarize",
    "surface_distances",
    "surface_overlap",
]
