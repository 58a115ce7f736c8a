"""The cases of a benchmark: which files, whose, of what, and how they came to be."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

from attrs import asdict, evolve, field, frozen

from medsegany._optional import optional_import
from medsegany._validate import one_of
from medsegany.errors import FileError, InvalidInput
from medsegany.io._files import atomically, existing, reading

Kind: TypeAlias = Literal["2d", "3d", "video"]
"""What a case is: an image, a volume, or frames in time."""

KINDS: Mapping[Kind, str] = {"2d": "Images", "3d": "Volumes", "video": "Videos"}
"""Their names above tables."""

NAME = "manifest.parquet"
_VERSION = "1"


def _frozen_names(value: Mapping[Any, str]) -> Mapping[int, str]:
    return MappingProxyType({int(label): str(name) for label, name in sorted(value.items())})


def _numbers(value: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if value is None else tuple(float(v) for v in value)


def _words(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


def _whole_numbers(value: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(v) for v in value)


@frozen
class Case:
    """One image, volume or video with its reference.

    Attributes:
        id: Its name; no other case of the manifest has it.
        patient: Whose it is: what is drawn by the bootstrap. A case's own id where nobody knows.
        modality: Such as "CT"; rows of tables.
        kind: "2d", "3d" or "video".
        file: The npz with `imgs` and `gts`, relative to the manifest.
        sha256: Of that file.
        labels: Label -> name of every object that is measured.
        shape: Of the image: `(H, W)`, `(D, H, W)` or `(T, H, W)`, without colour.
        spacing_mm: Millimetres along each axis that is space: (z, y, x) or (y, x); None where they
            are not known, and distances are counted in pixels.
        dataset: Where it is from.
        licence: Of the data.
        steps: What was done to the source, in order, as JSON objects.
        synthetic: What of it is no patient's: "" for nothing, or words such as "motion".
    """

    id: str
    patient: str
    modality: str
    kind: Kind = field(validator=one_of(*get_args(Kind)))
    file: str
    sha256: str
    labels: Mapping[int, str] = field(converter=_frozen_names, hash=False)
    shape: tuple[int, ...] = field(converter=_whole_numbers)
    spacing_mm: tuple[float, ...] | None = field(default=None, converter=_numbers)
    dataset: str = ""
    licence: str = ""
    steps: tuple[str, ...] = field(default=(), converter=_words)
    synthetic: str = ""

    @property
    def key(self) -> str:
        """A hash of the pixels, the labels and the spacing, by which results know the case."""
        parts = [self.id, self.kind, self.sha256, sorted(self.labels), self.spacing_mm]
        return sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _cases(value: Iterable[Case]) -> tuple[Case, ...]:
    return tuple(value)


@frozen
class Manifest:
    """Cases, in order; nothing in it changes once it is written.

    Attributes:
        cases: All of them.
        folder: What their files are relative to.
    """

    cases: tuple[Case, ...] = field(converter=_cases)
    folder: Path = field(converter=Path)

    @cases.validator
    def _no_name_twice(self, _: object, value: tuple[Case, ...]) -> None:
        seen: set[str] = set()
        for case in value:
            if case.id in seen:
                msg = f"Two cases are called {case.id!r}; a result could not tell them apart."
                raise InvalidInput(msg)
            seen.add(case.id)

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    @property
    def key(self) -> str:
        """A hash of the keys of all cases, whatever their order."""
        return sha256("".join(sorted(case.key for case in self.cases)).encode()).hexdigest()[:16]

    def path(self, case: Case) -> Path:
        """Where the file of a case lies."""
        return self.folder / case.file

    def where(self, wanted: Callable[[Case], bool]) -> "Manifest":
        """The cases for which this holds."""
        return evolve(self, cases=tuple(case for case in self.cases if wanted(case)))

    def shard(self, number: int, of: int) -> "Manifest":
        """Every `of`-th case, from `number` on, counted from 0.

        Raises:
            InvalidInput: `number` is none of `of` shards.
        """
        if not 0 <= number < of:
            msg = f"A shard is one of 0 to {of - 1} of {of}, got {number}."
            raise InvalidInput(msg)
        return evolve(self, cases=self.cases[number::of])

    def write(self, path: str | Path) -> Path:
        """Write Parquet; a folder gets `manifest.parquet`.

        Raises:
            FileError: It cannot be written.
        """
        path = Path(path) / NAME if Path(path).is_dir() else Path(path)
        parquet = _parquet()
        atomically(path, lambda part: parquet.write_table(_table(self.cases), part))
        return path

    @classmethod
    def read(cls, path: str | Path) -> "Manifest":
        """Read what `write` wrote; a folder is looked into.

        Raises:
            FileError: There is none, or it is damaged.
        """
        path = Path(path) / NAME if Path(path).is_dir() else Path(path)
        if path.suffix.lower() == ".csv":
            msg = f"{path} is a table of cases: `prepare` makes a folder with a manifest of it."
            raise FileError(msg)
        parquet = _parquet()
        with reading(existing(path), "a manifest (Parquet)"):
            table = parquet.read_table(path)
            version = (table.schema.metadata or {}).get(b"medsegany_manifest", b"").decode()
            if version != _VERSION:
                said = f"of version {version}" if version else "none"
                msg = f"{path} is no manifest of this version ({_VERSION}): it is {said}."
                raise FileError(msg)
            rows = table.to_pylist()
            return cls(tuple(Case(**{**row, "labels": dict(row["labels"])}) for row in rows),
                       path.parent)  # fmt: skip


def joined(manifests: Iterable[Manifest], folder: str | Path) -> Manifest:
    """Several manifests as one, whose files are found from another folder.

    Raises:
        InvalidInput: Two cases have one name.
    """
    folder = Path(folder)
    cases = []
    for manifest in manifests:
        for case in manifest:
            file = manifest.path(case).resolve()
            cases.append(evolve(case, file=relative(file, folder)))
    return Manifest(tuple(cases), folder)


def relative(file: Path, folder: Path) -> str:
    """A path from a folder to a file, as manifests hold it: with forward slashes."""
    # pathlib's own way upward comes with Python 3.12
    return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()


def _parquet() -> Any:  # noqa: ANN401 -- pyarrow has no types
    return optional_import("pyarrow.parquet", extra="benchmark", purpose="read and write manifests")


def _table(cases: Sequence[Case]) -> Any:  # noqa: ANN401
    arrow = optional_import("pyarrow", extra="benchmark", purpose="read and write manifests")
    text = arrow.string()
    schema = arrow.schema(
        [
            ("id", text),
            ("patient", text),
            ("modality", text),
            ("kind", text),
            ("file", text),
            ("sha256", text),
            ("labels", arrow.map_(arrow.int64(), text)),
            ("shape", arrow.list_(arrow.int64())),
            ("spacing_mm", arrow.list_(arrow.float64())),
            ("dataset", text),
            ("licence", text),
            ("steps", arrow.list_(text)),
            ("synthetic", text),
        ],
        metadata={"medsegany_manifest": _VERSION},
    )
    rows = [{**asdict(case, recurse=False), "labels": list(case.labels.items())} for case in cases]
    return arrow.Table.from_pylist(rows, schema=schema)
