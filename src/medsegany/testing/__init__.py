"""For tests: of medsegany itself, and of backends that others write.

`SegmenterContract` is a suite to inherit from; `FakeSegmenter` is a model whose answers can be
predicted by hand; `phantoms` makes images whose truth is known; `models` makes small official
models with random weights.
"""

from medsegany.testing import phantoms
from medsegany.testing.contract import SegmenterContract
from medsegany.testing.fakes import FakeSegmenter

__all__ = ["FakeSegmenter", "SegmenterContract", "phantoms"]
