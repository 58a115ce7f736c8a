"""How cases are measured, as a value."""

import json
from hashlib import sha256
from typing import Any, Literal, get_args

import numpy as np
from attrs import asdict, evolve, field, fields_dict, frozen

from medsegany._validate import above_zero, at_least, choice, not_negative, one_of
from medsegany.errors import InvalidInput
from medsegany.prompts import Box, Where, box_from_mask
from medsegany.propagation import ByBox, ByMemory
from medsegany.protocols import Init, Overlap, RemembersSlices, Segmenter
from medsegany.types import Mask


@frozen
class Protocol:
    """What each object is prompted with, how it is carried, and what is measured.

    Attributes:
        name: In results and tables.
        where: The slice of a volume that is prompted; see `prompts.prompt_slice`. In a video it is
            the first frame that holds the object.
        jitter_px: Sides of boxes are moved by up to so many pixels, each by its own whole number.
        jitter_share: And by up to this part of the box's own width or height.
        seed: Of the jitter, with the name of the case and the label: no box depends on the order
            of cases, or on which of them are measured.
        init: Where the mask of the prompted slice of a volume comes from (paper, Table 3): the
            model's own ("default"), MedSAM's ("medsam") or the reference's ("gt").
        initializer: What `load` is asked for, for `init="medsam"`. Results know it by this name.
        range_known: Whether the model is told the first and last slice, or frame, of the object.
            The released scripts show it nothing outside of them.
        carried: "auto" for the model's own way through a stack, "memory" or "box".
        prompted: What the memory gets on the prompted slice: the prompt, or the mask that
            `segment_2d` makes of it (the paper's way).
        overlap: Where masks of a volume meet; see `segment_volume`. In images, "last" lets a later
            object take the pixels of an earlier one, as the released scripts do; otherwise each is
            measured as it came.
        smallest_px: Pixels that an object needs on its prompted slice to be measured.
        tolerance_mm: Of the NSD, in millimetres; in pixels where the spacing is not known, and in
            videos (paper: 2).
    """

    name: str = "clean"
    where: Where = field(default="middle", validator=one_of(*get_args(Where)))
    jitter_px: int = field(default=0, validator=at_least(0))
    jitter_share: float = field(default=0.0, validator=not_negative)
    seed: int = field(default=0, validator=at_least(0))
    init: Init = field(default="default", validator=one_of("default", "medsam", "gt"))
    initializer: str = "medsam"
    range_known: bool = False
    carried: Literal["auto", "memory", "box"] = field(
        default="auto", validator=one_of("auto", "memory", "box")
    )
    prompted: Literal["prompt", "mask"] = field(
        default="prompt", validator=one_of("prompt", "mask")
    )
    overlap: Overlap = field(default="logits", validator=one_of("logits", "last"))
    smallest_px: int = field(default=20, validator=at_least(1))
    tolerance_mm: float = field(default=2.0, validator=above_zero)

    def to_json(self) -> str:
        """As one line, in which the same protocol is always the same."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Protocol":
        """What `to_json` wrote.

        Raises:
            InvalidInput: It is no JSON, or says what no protocol says.
        """
        try:
            said = json.loads(text)
        except ValueError as error:
            msg = f"A protocol is JSON, and this is none: {error}."
            raise InvalidInput(msg) from error
        known = fields_dict(cls)
        if not isinstance(said, dict) or (unknown := sorted(said.keys() - known.keys())):
            what = repr(unknown[0]) if isinstance(said, dict) else f"a {type(said).__name__}"
            msg = f"A protocol is a JSON object with {', '.join(known)}; {what} is none of them."
            raise InvalidInput(msg)
        try:
            return cls(**said)
        except TypeError as error:  # text where a number belongs
            msg = f"A protocol has a value of another kind: {error}."
            raise InvalidInput(msg) from error

    @property
    def key(self) -> str:
        """A hash of all of it but its name."""
        return sha256(evolve(self, name="").to_json().encode()).hexdigest()[:16]

    def box(self, mask: Mask, case: str, label: int) -> Box:
        """The box that an object is prompted with on its slice.

        Args:
            mask: The object there, `(H, W)`.
            case: Name of the case.
            label: Of the object.
        """
        tight = box_from_mask(mask)
        if not self.jitter_px and not self.jitter_share:
            return tight
        rng = np.random.default_rng([self.seed, label, *case.encode()])
        size = np.array([tight.x1 - tight.x0 + 1, tight.y1 - tight.y0 + 1])
        moved = tight.as_array() + rng.integers(-self.jitter_px, self.jitter_px, 4, endpoint=True)
        moved += rng.uniform(-self.jitter_share, self.jitter_share, 4) * np.tile(size, 2)
        right, bottom = mask.shape[1] - 1, mask.shape[0] - 1
        x0, x1 = np.sort(moved[[0, 2]].clip(0, right))
        y0, y1 = np.sort(moved[[1, 3]].clip(0, bottom))
        return Box(x0, y0, x1, y1)

    def propagation(self, segmenter: Segmenter) -> ByMemory | ByBox:
        """A model's way through a stack."""
        remembers = isinstance(segmenter, RemembersSlices)
        if self.carried == "memory" or (self.carried == "auto" and remembers):
            return ByMemory(prompted=self.prompted)
        return ByBox()


CLEAN = Protocol()
"""Tight boxes, each model's own way, and nothing that only the reference knows."""

PAPER = evolve(
    CLEAN,
    name="paper",
    where="upper_middle",
    range_known=True,
    prompted="mask",
    overlap="last",
    smallest_px=1,
)
"""As in the paper's text and its released SAM 2 scripts.

The upper middle slice, only the slices that the reference has, the mask of the image model given to
the memory, and later objects over earlier; objects of any size. Models without a memory cross by
boxes, as everywhere.
"""

PROTOCOLS = {protocol.name: protocol for protocol in (CLEAN, PAPER)}
"""Those with a name."""


def protocol_of(value: "Protocol | str") -> Protocol:
    """A protocol, or the one of that name.

    Raises:
        InvalidInput: There is none.
    """
    if isinstance(value, Protocol):
        return value
    choice(value, list(PROTOCOLS), "protocol")
    return PROTOCOLS[value]


def differs(one: Protocol, other: Protocol) -> dict[str, tuple[Any, Any]]:
    """What two protocols do not have in common."""
    first, second = asdict(one), asdict(other)
    return {key: (first[key], second[key]) for key in first if first[key] != second[key]}
