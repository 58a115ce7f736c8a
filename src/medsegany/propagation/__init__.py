"""Crossing a stack: from prompts on some slices to masks on all of them.

`ByMemory` and `ByBox` are ways to cross; `segment_volume` and `track_video` do it with any
`Segmenter` (a backend of your own hands its verbs to them).
"""

from medsegany.propagation._by_box import ByBox
from medsegany.propagation._by_memory import ByMemory
from medsegany.propagation._estimate import MemoryEstimate, estimate_memory
from medsegany.propagation._video import track_video
from medsegany.propagation._volume import segment_volume

__all__ = [
    "ByBox",
    "ByMemory",
    "MemoryEstimate",
    "estimate_memory",
    "segment_volume",
    "track_video",
]
