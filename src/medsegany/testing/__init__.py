"""For tests: of medsegany itself, and of backends that others write.

`SegmenterContract` is a suite to inherit from (it needs pytest); `FakeSegmenter` is a model whose
answers can be predicted by hand; `phantoms` makes images whose truth is known; `models` makes
official models with random weights.
"""

from typing import TYPE_CHECKING

from medsegany._optional import optional_import
from medsegany.testing import phantoms
from medsegany.testing.fakes import FakeSegmenter

if TYPE_CHECKING:
    from medsegany.testing.contract import SegmenterContract

__all__ = ["FakeSegmenter", "SegmenterContract", "phantoms"]


def __getattr__(name: str) -> object:
    """`SegmenterContract`, which alone needs pytest."""
    if name == "SegmenterContract":
        optional_import("pytest", extra="test", purpose="run the contract suite")
        from medsegany.testing.contract import SegmenterContract  # noqa: PLC0415

        return SegmenterContract
    msg = f"module 'medsegany.testing' has no attribute {name!r}"
    raise AttributeError(msg)
