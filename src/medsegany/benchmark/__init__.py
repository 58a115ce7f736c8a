"""Measuring models on many cases, as the paper does, and what a model has to beat."""

from medsegany.benchmark._manifest import Case, Kind, Manifest, joined
from medsegany.benchmark._model import Identity, Model
from medsegany.benchmark._names import corrected
from medsegany.benchmark._paper_tables import paper_tables
from medsegany.benchmark._preparation import PAPER as PAPER_PREPARATION, Preparation
from medsegany.benchmark._prepare import Prepared, prepare
from medsegany.benchmark._protocol import CLEAN, PAPER, Protocol, differs
from medsegany.benchmark._published import (
    PUBLISHED,
    Delta,
    Disagreement,
    Published,
    beside_paper,
    paper_disagreements,
)
from medsegany.benchmark._ray import Ray
from medsegany.benchmark._recipes import RECIPES, DataRecipe
from medsegany.benchmark._report import Report, report
from medsegany.benchmark._results import Key, Measurement, Status, read_results
from medsegany.benchmark._run import Engine, Inline, Ran, run
from medsegany.benchmark._serial import Serial
from medsegany.benchmark._sources import Source, read_sources, sources
from medsegany.benchmark._station import Job
from medsegany.benchmark._table5 import Cell, Table5, table5
from medsegany.benchmark._tables import Average, Metric, ScoreTable, tabulated
from medsegany.benchmark._trivial import EllipseSegmenter

__all__ = [
    "CLEAN",
    "PAPER",
    "PAPER_PREPARATION",
    "PUBLISHED",
    "RECIPES",
    "Average",
    "Case",
    "Cell",
    "DataRecipe",
    "Delta",
    "Disagreement",
    "EllipseSegmenter",
    "Engine",
    "Identity",
    "Inline",
    "Job",
    "Key",
    "Kind",
    "Manifest",
    "Measurement",
    "Metric",
    "Model",
    "Preparation",
    "Prepared",
    "Protocol",
    "Published",
    "Ran",
    "Ray",
    "Report",
    "ScoreTable",
    "Serial",
    "Source",
    "Status",
    "Table5",
    "beside_paper",
    "corrected",
    "differs",
    "joined",
    "paper_disagreements",
    "paper_tables",
    "prepare",
    "read_results",
    "read_sources",
    "report",
    "run",
    "sources",
    "table5",
    "tabulated",
]
