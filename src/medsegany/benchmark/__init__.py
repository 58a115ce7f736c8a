"""Measuring models on many cases: the paper's Table 5, and what a model has to beat."""

from medsegany.benchmark._table5 import Cell, Table5, table5
from medsegany.benchmark._trivial import EllipseSegmenter

__all__ = ["Cell", "EllipseSegmenter", "Table5", "table5"]
