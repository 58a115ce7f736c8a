"""Many cases, several models: what is missing is measured, and nothing twice."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Protocol as Contract, Self
from warnings import warn

from attrs import define, frozen

from medsegany.benchmark._manifest import Manifest
from medsegany.benchmark._model import Identity, Model
from medsegany.benchmark._names import Names
from medsegany.benchmark._protocol import CLEAN, Protocol, protocol_of
from medsegany.benchmark._results import (
    Key,
    Measurement,
    Status,
    read_results,
    trained,
    write_shard,
)
from medsegany.benchmark._station import Job, Station
from medsegany.errors import InvalidInput
from medsegany.progress import OnProgress, Progress, no_progress
from medsegany.protocols import Segmenter

_EVERY_S = 10.0  # how long finished cases wait in memory before a shard is written
_EVERY = 2000  # or how many rows


class Engine(Contract):
    """Where the work is done: in this process, in others, on other machines."""

    def measure(
        self, model: Model | Segmenter, jobs: Sequence[Job]
    ) -> Iterator[tuple[Job, list[Measurement]]]:
        """Measure every job, in any order; whatever happens to it, each comes back once."""

    def identity(self, model: Model | Segmenter) -> Identity:
        """Which model it is."""

    def close(self) -> None:
        """Let go of models and processes; the next call starts them again."""


class Inline:
    """This process: nothing is started, and nothing protects from a case that hangs."""

    def __init__(self) -> None:
        self._open: tuple[Model | Segmenter, Segmenter, Identity] | None = None

    def identity(self, model: Model | Segmenter) -> Identity:
        """See `Engine`."""
        return self._opened(model)[1]

    def close(self) -> None:
        """See `Engine`."""
        self._open = None

    def measure(
        self, model: Model | Segmenter, jobs: Sequence[Job]
    ) -> Iterator[tuple[Job, list[Measurement]]]:
        """See `Engine`."""
        segmenter, who = self._opened(model)
        yield from Station(segmenter, who).measure(jobs)

    def _opened(self, model: Model | Segmenter) -> tuple[Segmenter, Identity]:
        if self._open is None or self._open[0] is not model:
            if isinstance(model, Model):
                segmenter, words = model.open(), model
            else:
                segmenter, words = model, Model(model.name)
            self._open = (model, segmenter, words.identity(segmenter))
        return self._open[1:]


@frozen
class Ran:
    """What `run` did.

    Attributes:
        measured: Cases, counted for each model and protocol.
        skipped: Those that had been measured before.
        without: Those without a score, by status.
    """

    measured: int
    skipped: int
    without: dict[Status, int]


def run(
    manifest: Manifest,
    models: Iterable[Model | Segmenter | str],
    folder: str | Path,
    *,
    protocols: Iterable[Protocol | str] = (CLEAN,),
    engine: Engine | None = None,
    masks: bool = False,
    again: Iterable[Status] = (),
    on_progress: OnProgress = no_progress,
) -> Ran:
    """Measure models on the cases of a manifest; what the folder has already is not done again.

    Args:
        manifest: The cases.
        models: What to measure; a segmenter as it is only works with the engine in this process.
        folder: Of results; made when it is not there.
        protocols: How; each model is measured under each.
        engine: Where; None for this process.
        masks: Whether masks are kept, in `masks/<model>/<protocol>/<case>.npz`; cases that were
            measured without are then measured again.
        again: Cases without a score to be tried once more, such as "failed".
        on_progress: Told of cases, and of the mean DSC of the objects so far.

    Raises:
        InvalidInput: There is nothing to measure, or the folder has results of another model,
            protocol or case of the same name: tables know them by nothing else.
        CheckpointError: A model's weights are missing; `UnknownModel`, likewise.
        FileError: Results cannot be written or read.
    """
    folder, engine = Path(folder).resolve(), engine or Inline()  # workers may be elsewhere
    wanted = list({(p.name, p.key): p for p in map(protocol_of, protocols)}.values())
    asked = [Model(model) if isinstance(model, str) else model for model in models]
    if not len(manifest) or not asked or not wanted:
        msg = "A benchmark needs cases, models and protocols; one of them is empty."
        raise InvalidInput(msg)
    rows = read_results(folder)
    names = Names(rows)
    names.check(manifest, wanted, asked)
    retried = set(again)
    before = {row.key for row in rows if row.status not in retried}
    scored = {row.key for row in rows if row.status == "ok"}
    each, measured, skipped = len(manifest) * len(wanted), 0, 0
    without: dict[Status, int] = {}
    try:
        for model in asked:
            who = engine.identity(model)
            names.add(who)
            jobs = []
            for protocol in wanted:
                where = folder / "masks" / who.name / protocol.name if masks else None
                for case in manifest:
                    key = Key(case.key, who.key, protocol.key)
                    # Masks that were not kept then, and are wanted now, are made again.
                    kept = where is None or (where / f"{case.id}.npz").exists()
                    if key not in before or (key in scored and not kept):
                        jobs.append(Job(case, manifest.path(case).resolve(), protocol, where))
                        before.add(key)  # the same model may be asked for twice
            here, scores = each - len(jobs), _Mean()
            skipped += here
            if here and not who.known:
                warn(
                    f"{here} cases of {who.name} were there before. Nothing but its name and its "
                    "class tells it apart: if it does something else now, give it an attribute "
                    "`version`, or take another name or folder.",
                    stacklevel=2,
                )
            with _Shards(folder) as shards:
                for _, rows in engine.measure(model, jobs):
                    shards.add(rows)
                    here, measured = here + 1, measured + 1
                    if rows[0].status != "ok":
                        without[rows[0].status] = without.get(rows[0].status, 0) + 1
                    scores.add(rows)
                    on_progress(Progress(f"{who.name} (DSC {scores.mean:.3f})", here, each))
    finally:
        engine.close()
    return Ran(measured, skipped, without)


@define
class _Mean:
    """Of the DSC of the objects so far, for a bar."""

    total: float = 0.0
    count: int = 0

    def add(self, rows: list[Measurement]) -> None:
        scores = [row.dsc for row in trained(rows) if row.status == "ok"]
        self.total, self.count = self.total + sum(scores), self.count + len(scores)

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else float("nan")


class _Shards:
    """Rows that wait for their shard; it is written now and then, and at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[Measurement] = []
        self._last = monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def add(self, rows: list[Measurement]) -> None:
        self._rows += rows
        if len(self._rows) >= _EVERY or monotonic() - self._last > _EVERY_S:
            self._write()

    def _write(self) -> None:
        if self._rows:
            write_shard(self._folder, self._rows)
        self._rows, self._last = [], monotonic()
