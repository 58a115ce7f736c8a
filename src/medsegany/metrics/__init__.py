"""How well a mask agrees with the truth."""

from medsegany.metrics._dsc import dsc

__all__ = ["dsc"]
