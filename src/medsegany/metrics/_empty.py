"""What a metric is where a mask holds nothing."""

import math
from typing import Literal, TypeAlias

from attrs import frozen

from medsegany.errors import InvalidInput


@frozen
class EmptyRule:
    """What metrics are where one mask or both are empty.

    Where one is empty and the other is not, DSC, NSD, boundary IoU and the surface overlap from the
    one that is not are 0 by their formulas, whatever the rule; the surface overlap from the empty
    one is nan, for it has no surface.

    Attributes:
        overlap: DSC, NSD, surface overlap and boundary IoU of two empty masks.
        hausdorff: The Hausdorff distance of two empty masks, in mm.
        average: Average surface distances of two empty masks, in mm.
        missing: Distances where one mask is empty: how far is something from nothing, in mm. Some
            challenges take the diagonal of the image.
    """

    overlap: float = math.nan
    hausdorff: float = math.nan
    average: float = math.nan
    missing: float = math.inf


RULES: dict[str, EmptyRule] = {
    "nan": EmptyRule(),
    "reference": EmptyRule(hausdorff=math.inf),
    "perfect": EmptyRule(overlap=1.0, hausdorff=0.0, average=0.0),
}
"""By name: undefined; as DeepMind's package; two empty masks agree perfectly."""

Empty: TypeAlias = EmptyRule | Literal["nan", "reference", "perfect"]


def a_rule(empty: Empty) -> EmptyRule:
    """The rule of this name.

    Raises:
        InvalidInput: There is none.
    """
    if isinstance(empty, EmptyRule):
        return empty
    if empty not in RULES:
        msg = f"empty is {', '.join(map(repr, RULES))} or an EmptyRule, got {empty!r}."
        raise InvalidInput(msg)
    return RULES[empty]
