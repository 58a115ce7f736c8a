"""Measuring models on many cases; so far, the paper's Table 5."""

from medsegany.benchmark._table5 import Cell, Table5, table5

__all__ = ["Cell", "Table5", "table5"]
