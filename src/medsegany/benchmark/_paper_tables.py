"""Results in the shape of the paper's Tables 1 to 4."""

from collections.abc import Sequence

from attrs import evolve

from medsegany.benchmark._protocol import Protocol
from medsegany.benchmark._results import Measurement, trained
from medsegany.benchmark._tables import Metric, ScoreTable, tabulated

_BOTH: tuple[Metric, ...] = ("dsc", "nsd")


def paper_tables(
    rows: Sequence[Measurement], protocol: str, *, against: str = ""
) -> dict[str, ScoreTable]:
    """Tables 1, 2, 3 and 4 of the paper, as far as there are results for them.

    Args:
        rows: Of any protocols.
        protocol: The one that tables 1, 2 and 4 are of.
        against: A model that the others are tested against, where it has results; "" for none.

    Returns:
        "table1" for images, "table2" for volumes, "table4" for videos; and "table3" for volumes by
        where the first mask came from, when `protocol` and others that differ from it in nothing
        but `init` have been measured.
    """
    rows = trained(rows)
    mine = [row for row in rows if row.protocol == protocol]
    found: dict[str, ScoreTable] = {}
    for name, kind, title, metrics in (
        ("table1", "2d", "Images", ("dsc",)),
        ("table2", "3d", "Volumes", _BOTH),
        ("table4", "video", "Videos", _BOTH),
    ):
        here = [row for row in mine if row.kind == kind]
        good = {row.model for row in here if row.status == "ok"}
        if good:
            chosen: tuple[Metric, ...] = metrics
            tested = against if against in good and len(good) > 1 else ""
            found[name] = tabulated(here, title, metrics=chosen, against=tested)
    inits = _inits(rows, protocol)
    if len(set(inits.values())) > 1:
        here = [r for r in rows if r.protocol in inits and r.kind == "3d"]
        found["table3"] = tabulated(
            here,
            "Volumes, by where the first mask is from",
            metrics=_BOTH,
            line=lambda row: f"{row.model}, {inits[row.protocol]}",
        )
    return dict(sorted(found.items()))


def _inits(rows: Sequence[Measurement], protocol: str) -> dict[str, str]:
    """Protocols that differ from this one in nothing but their beginning -> that beginning."""
    known = {
        row.protocol: Protocol.from_json(row.protocol_json)
        for row in rows
        if row.kind == "3d" and row.status == "ok"
    }
    if protocol not in known:
        return {}
    alike = _but_for_its_beginning(known[protocol])
    same = {name: p for name, p in known.items() if _but_for_its_beginning(p) == alike}
    others = {p.initializer for p in same.values() if p.init == "medsam"}
    return {
        name: f"{p.init} ({p.initializer})" if p.init == "medsam" and len(others) > 1 else p.init
        for name, p in same.items()
    }


def _but_for_its_beginning(protocol: Protocol) -> Protocol:
    return evolve(protocol, name="", init="default", initializer="medsam")
