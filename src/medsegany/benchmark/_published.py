"""Numbers that the paper prints, as far as this project holds them, and ours beside them."""

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen

from medsegany.benchmark._tables import Metric, ScoreTable
from medsegany.protocols import Init


@frozen
class Published:
    """A number of Ma et al., 2024.

    Attributes:
        table: 2 or 3 for volumes, by where the first mask is from; 4 for videos.
        modality: Of the cases.
        model: As `medsegany.load` knows it; the paper's SAM2 are `sam2-*`.
        metric: "dsc" or "nsd".
        value: From 0 to 1.
        init: Where the first mask of a volume came from.
    """

    table: Literal[2, 3, 4]
    modality: str
    model: str
    metric: Metric
    value: float
    init: Init = field(default="default")


def _both(
    table: Literal[2, 3, 4],
    modality: str,
    model: str,
    dsc: float,
    nsd: float,
    init: Init = "default",
) -> tuple[Published, Published]:
    return (
        Published(table, modality, model, "dsc", dsc, init),
        Published(table, modality, model, "nsd", nsd, init),
    )


PUBLISHED: tuple[Published, ...] = (
    *_both(2, "CT", "sam2-b", 0.7199, 0.6812),
    *_both(2, "CT", "medsam", 0.7376, 0.7434),
    *_both(2, "MR", "sam2-t", 0.6919, 0.6813),
    *_both(2, "MR", "medsam", 0.6998, 0.7172),
    *_both(2, "PET", "sam1-b", 0.7608, 0.6393),
    *_both(2, "PET", "sam2-b", 0.6331, 0.3971),
    *_both(3, "CT", "sam2-l", 0.7881, 0.7991, "medsam"),
    *_both(3, "CT", "sam2-l", 0.8519, 0.8634, "gt"),
    *_both(4, "US", "sam2-t", 0.8537, 0.8824),
    *_both(4, "Endoscopy", "sam2-b", 0.8397, 0.8506),
)
"""Cells of tables 2, 3 and 4: not all of them, those that could be checked. Table 1 is not here."""


@frozen
class Delta:
    """A published number, and what was measured here.

    Attributes:
        published: The paper's.
        measured: Ours, on other cases unless they are the paper's own.
        cases: How many cases ours is the mean of.
    """

    published: Published
    measured: float
    cases: int

    @property
    def difference(self) -> float:
        """Ours minus the paper's."""
        return self.measured - self.published.value


def beside_paper(tables: Mapping[str, ScoreTable]) -> tuple[Delta, ...]:
    """Every published number of which there is one of our own.

    Args:
        tables: What `paper_tables` gave. Numbers are known by the names of models and modalities:
            "sam2-t" and "CT", say.
    """
    found = []
    for one in PUBLISHED:
        table = tables.get(f"table{one.table}")
        line = one.model if one.table != 3 else f"{one.model}, {one.init}"
        cell = None if table is None else table.cells.get((line, one.modality, one.metric))
        if cell is not None and cell.cases.count:
            found.append(Delta(one, cell.cases.mean, cell.cases.count))
    return tuple(found)


@frozen
class Disagreement:
    """A sentence of the paper that its own table does not bear out.

    Attributes:
        says: What the text says, in our words.
        praised: The numbers of the model that is said to be better.
        other: Those of the model that it is said to be better than, in the same order.
    """

    says: str
    praised: tuple[Published, ...]
    other: tuple[Published, ...]


# What is said, the modality of table 2, the model that is praised, and the one it is compared with.
_CLAIMS = (("On CT volumes SAM2-B is better than MedSAM.", "CT", "sam2-b", "medsam"),)


def paper_disagreements() -> tuple[Disagreement, ...]:
    """Where text and tables of the paper disagree, as far as `PUBLISHED` can show it.

    The text has more of them, about numbers that are not held here.
    """

    def cells(modality: str, model: str) -> tuple[Published, ...]:
        return tuple(
            one for one in PUBLISHED if (one.table, one.modality, one.model) == (2, modality, model)
        )

    found = []
    for says, modality, praised, other in _CLAIMS:
        one, two = cells(modality, praised), cells(modality, other)
        if all(a.value < b.value for a, b in zip(one, two, strict=True)):
            found.append(Disagreement(says, one, two))
    return tuple(found)
