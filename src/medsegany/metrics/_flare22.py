"""The tolerances of the FLARE22 challenge."""

from types import MappingProxyType

FLARE22_LABELS = MappingProxyType(
    {
        1: "liver",
        2: "right kidney",
        3: "spleen",
        4: "pancreas",
        5: "aorta",
        6: "inferior vena cava",
        7: "right adrenal gland",
        8: "left adrenal gland",
        9: "gallbladder",
        10: "esophagus",
        11: "stomach",
        12: "duodenum",
        13: "left kidney",
    }
)
"""The organs of FLARE22 by label."""

FLARE22_TOLERANCES_MM = MappingProxyType(
    {1: 5.0, 2: 3.0, 3: 3.0, 4: 5.0, 5: 2.0, 6: 2.0, 7: 2.0, 8: 2.0, 9: 2.0, 10: 3.0, 11: 5.0,
     12: 7.0, 13: 3.0}
)  # fmt: skip
"""How far each organ's surface may lie off in the challenge's own evaluation, in mm.

The paper's released script takes 2 mm for every organ instead.
"""
