"""Results on the disk: Parquet shards that are only ever added, each written whole."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias
from uuid import uuid4

from attrs import asdict, field, fields_dict, frozen

from medsegany._optional import optional_import
from medsegany.benchmark._manifest import Kind
from medsegany.errors import FileError
from medsegany.io._files import atomically, make_folder, reading

Status: TypeAlias = Literal["ok", "failed", "hung", "killed"]
"""Whether a case was measured; else it raised, took too long, or took its worker down."""

_ROWS = "rows"
_VERSION = "1"


def _corners(value: Iterable[float]) -> tuple[float, ...]:
    return tuple(value)


@frozen
class Key:
    """What a result depends on: the same key, the same numbers."""

    case: str
    model: str
    protocol: str


@frozen
class Measurement:
    """One object of one case by one model under one protocol; or why there is none.

    Attributes:
        case: Name of the case.
        case_key: See `Case.key`.
        patient: Whose it is.
        modality: Of the image.
        kind: "2d", "3d" or "video".
        model: Its name.
        model_key: A hash of its weights and of how it was loaded.
        model_json: What it was loaded by.
        protocol: Its name.
        protocol_key: See `Protocol.key`.
        protocol_json: All of it, the seed too.
        status: "ok", or why there is no score: then `label` is 0.
        reason: In words, where it is not "ok".
        label: Of the object.
        name: Of the object.
        dsc: See `metrics.dsc`.
        nsd: See `metrics.nsd`.
        voxels: Of the reference.
        found_voxels: Of the mask.
        box: The prompt: x0, y0, x1, y1.
        index: The prompted slice or frame.
        first: The first slice or frame of the reference.
        last: The last one.
        seconds: That the model took for the case, all objects together.
        peak_bytes: That the process, or on a GPU the device, held at most so far.
        device: Where it ran.
        version: Of medsegany.
    """

    case: str
    case_key: str
    patient: str
    modality: str
    kind: Kind
    model: str
    model_key: str
    model_json: str
    protocol: str
    protocol_key: str
    protocol_json: str
    status: Status = "ok"
    reason: str = ""
    label: int = 0
    name: str = ""
    dsc: float = float("nan")
    nsd: float = float("nan")
    voxels: int = 0
    found_voxels: int = 0
    box: tuple[float, ...] = field(default=(), converter=_corners)
    index: int = -1
    first: int = -1
    last: int = -1
    seconds: float = float("nan")
    peak_bytes: int = 0
    device: str = ""
    version: str = ""

    @property
    def untrained(self) -> bool:
        """Whether the model's weights were random."""
        return _is_untrained(self.model_json)

    @property
    def key(self) -> Key:
        """By which it is known whether a case has been measured."""
        return Key(self.case_key, self.model_key, self.protocol_key)


@cache
def _is_untrained(words: str) -> bool:
    return bool(json.loads(words).get("untrained"))


def trained(rows: Iterable[Measurement]) -> list[Measurement]:
    """Those whose scores mean something: of models that were trained, or have no weights."""
    return [row for row in rows if not row.untrained]


def write_shard(folder: Path, rows: Sequence[Measurement]) -> Path:
    """Add rows to a folder of results, all or none of them.

    Raises:
        FileError: They cannot be written.
    """
    parquet = optional_import("pyarrow.parquet", extra="benchmark", purpose="write results")
    make_folder(folder / _ROWS)
    path = folder / _ROWS / f"{uuid4().hex}.parquet"
    atomically(path, lambda part: parquet.write_table(_table(rows), part))
    return path


def read_results(folder: str | Path) -> list[Measurement]:
    """All rows of a folder of results, each once, in an order that depends on nothing else.

    Two starts at once, or one that was killed and another, may have measured a case twice: the
    numbers are the same, and one of them is taken.

    Raises:
        FileError: A shard is damaged.
    """
    groups: dict[Key, list[Measurement]] = {}
    for shard in shards(Path(folder)):
        here: dict[Key, dict[int, Measurement]] = {}
        for row in shard:
            here.setdefault(row.key, {})[row.label] = row
        for key, labelled in here.items():
            rows = list(labelled.values())
            before = groups.get(key)
            # A case that failed before may have been measured since.
            if before is None or (before[0].status != "ok" and rows[0].status == "ok"):
                groups[key] = rows
    found = [row for rows in groups.values() for row in rows]
    return sorted(found, key=lambda r: (r.model, r.protocol, r.case, r.label, r.model_key))


def shards(folder: Path) -> Iterator[list[Measurement]]:
    """The rows of each shard, oldest name first."""
    if not (folder / _ROWS).is_dir():
        return
    parquet = optional_import("pyarrow.parquet", extra="benchmark", purpose="read results")
    for path in sorted((folder / _ROWS).glob("[!.]*.parquet")):
        try:
            with reading(path, "results (Parquet)"):
                table = parquet.read_table(path)
        except FileError as error:
            msg = f"{error} Delete it, and `run` measures its cases again."
            raise FileError(msg) from error
        version = (table.schema.metadata or {}).get(b"medsegany_results", b"").decode()
        if version != _VERSION:
            msg = f"{path} holds no results of this version ({_VERSION})."
            raise FileError(msg)
        with reading(path, "results (Parquet)"):
            rows = [Measurement(**row) for row in table.to_pylist()]
        yield rows


def _table(rows: Sequence[Measurement]) -> Any:  # noqa: ANN401 -- pyarrow has no types
    arrow = optional_import("pyarrow", extra="benchmark", purpose="write results")
    kinds: Mapping[Any, Any] = {int: arrow.int64(), float: arrow.float64(), str: arrow.string()}
    schema = arrow.schema(
        [
            (name, arrow.list_(arrow.float64()) if name == "box" else kinds.get(a.type, kinds[str]))
            for name, a in fields_dict(Measurement).items()
        ],
        metadata={"medsegany_results": _VERSION},
    )
    return arrow.Table.from_pylist([asdict(row) for row in rows], schema=schema)
