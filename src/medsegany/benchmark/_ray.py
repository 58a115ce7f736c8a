"""Ray: workers on one machine or on many, each of which holds one model."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any, cast

from attrs import asdict, define, field

from medsegany._optional import optional_import
from medsegany._validate import whole
from medsegany.benchmark._model import Identity, Model, loadable, with_whole_paths
from medsegany.benchmark._results import Measurement, Status
from medsegany.benchmark._station import Job, Station, failed
from medsegany.errors import MedSegAnyError
from medsegany.protocols import Segmenter

_AT_ONCE = 8  # jobs of one call: within it the next case is read and the last one scored
_TRIES = 3  # in a batch, alone, and alone once more: a worker may also die of something else


@define(eq=False)
class _Batch:
    """Jobs that are with a worker.

    Attributes:
        jobs: In order.
        tries: How often they have been given to a worker, this time included.
        worker: That one.
        since: When.
    """

    jobs: list[Job]
    tries: int
    worker: Any = None
    since: float = field(factory=monotonic)


class _Died(MedSegAnyError):
    """A worker ended while it loaded its model."""


class Ray:
    """Ray Core actors; this machine, or the cluster that RAY_ADDRESS names.

    Files of cases must have the same paths on all machines. A worker that dies is started again,
    and what it had is measured once more; what dies three times, twice of them alone, or hangs
    when it is alone, is noted so.

    Args:
        workers: How many; each loads the model. With GPUs in the cluster each takes one.
        timeout_s: How long one case may take; None for any time.
    """

    def __init__(self, workers: int = 1, timeout_s: float | None = None) -> None:
        self._count = whole(workers, 1, "workers")
        self._timeout_s = timeout_s
        self._ray: Any = None
        self._ours = False
        self._model: Model | None = None
        self._who: Identity | None = None
        self._workers: list[Any] = []
        self._starting: dict[Any, Any] = {}  # what was asked of a worker -> the worker
        self._died = 0  # workers in a row that ended while they loaded

    def identity(self, model: Model | Segmenter) -> Identity:
        """See `Engine`."""
        model = loadable(model)
        if self._who is None or model != self._model:
            self._let_go()
            self._model = model
            self._start()
            while self._who is None:
                (asked,) = self._starting
                self._up(asked)
        return self._who

    def measure(
        self, model: Model | Segmenter, jobs: Sequence[Job]
    ) -> Iterator[tuple[Job, list[Measurement]]]:
        """See `Engine`."""
        who = self.identity(model)
        while len(self._workers) < self._count:
            self._start()
        size = max(1, min(_AT_ONCE, len(jobs) // (2 * self._count)))
        waiting = deque(_Batch(list(jobs[k : k + size]), 1) for k in range(0, len(jobs), size))
        free = deque(w for w in self._workers if w not in self._starting.values())
        flying: dict[Any, _Batch] = {}
        while waiting or flying:
            while waiting and free:
                batch = waiting.popleft()
                batch.worker, batch.since = free.popleft(), monotonic()
                texts = [job.to_json() for job in batch.jobs]
                flying[batch.worker.measure.remote(texts)] = batch
            ready, _ = self._ray.wait([*flying, *self._starting], timeout=self._patience(flying))
            for answer in ready:
                if answer in self._starting:
                    free.extend(self._up(answer))
                    continue
                batch = flying.pop(answer)
                try:
                    every = self._ray.get(answer)
                except self._ray.exceptions.RayError as error:
                    lost = self._lost(batch, "killed", f"The worker ended. {error}", who, waiting)
                    self._replace(batch.worker)
                    yield from lost
                    continue
                free.append(batch.worker)
                for job, rows in zip(batch.jobs, every, strict=True):
                    yield job, [Measurement(**row) for row in rows]
            for answer, batch in list(flying.items()):
                if self._is_late(batch):
                    del flying[answer]
                    self._replace(batch.worker)
                    yield from self._lost(batch, "hung", "It took too long.", who, waiting)

    def close(self) -> None:
        """See `Engine`: ends the workers, and Ray where it was started here."""
        self._let_go()
        if self._ours:
            self._ray.shutdown()
        self._ray, self._ours = None, False

    def _lost(
        self,
        batch: _Batch,
        status: Status,
        words: str,
        who: Identity,
        waiting: deque[_Batch],
    ) -> Iterator[tuple[Job, list[Measurement]]]:
        """Give jobs back to be tried alone, or say that one cannot be measured."""
        if batch.tries >= _TRIES or (status == "hung" and len(batch.jobs) == 1):
            yield from ((job, [failed(job, who, status, words)]) for job in batch.jobs)
        else:
            waiting.extendleft(_Batch([job], batch.tries + 1) for job in reversed(batch.jobs))

    def _is_late(self, batch: _Batch) -> bool:
        limit = self._timeout_s
        return limit is not None and monotonic() - batch.since > limit * len(batch.jobs)

    def _patience(self, flying: dict[Any, _Batch]) -> float | None:
        if self._timeout_s is None or not flying:
            return None
        ends = [batch.since + self._timeout_s * len(batch.jobs) for batch in flying.values()]
        return max(0.01, min(ends) - monotonic() + 0.01)

    def _up(self, asked: Any) -> list[Any]:  # noqa: ANN401
        """A worker that has its model; none where it died while it loaded, and another starts."""
        worker = self._starting[asked]
        try:
            self._who = self._answer(asked)
        except _Died:
            self._died += 1
            if self._died >= _TRIES:
                raise
            self._replace(worker)
            return []
        self._died = 0
        return [worker]

    def _answer(self, asked: Any) -> Identity:  # noqa: ANN401
        """What a worker that was started says when its model is there."""
        del self._starting[asked]
        assert self._model is not None
        model = self._model
        try:
            return cast("Identity", self._ray.get(asked))
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, MedSegAnyError):
                raise cause from None
            msg = f"{model.load} cannot be loaded. {type(cause).__name__}: {cause}"
            raise MedSegAnyError(msg) from error
        except self._ray.exceptions.RayError as error:
            msg = f"The worker of {model.load} died while it loaded. {error}"
            raise _Died(msg) from error

    def _start(self) -> None:
        """One more worker, that is of use once its model is loaded."""
        if self._ray is None:
            self._ray = optional_import("ray", extra="ray", purpose="measure with Ray")
            self._ours = not self._ray.is_initialized()
            if self._ours:
                self._ray.init(
                    os.environ.get("RAY_ADDRESS"), logging_level="error", log_to_driver=False
                )
        assert self._model is not None
        gpus = self._ray.cluster_resources().get("GPU", 0) and self._model.device != "cpu"
        actor = self._ray.remote(num_cpus=1, num_gpus=1 if gpus else 0)(_Holder)
        worker = actor.remote(with_whole_paths(self._model).to_json())
        self._workers.append(worker)
        self._starting[worker.identity.remote()] = worker

    def _replace(self, worker: Any) -> None:  # noqa: ANN401
        self._workers.remove(worker)
        self._ray.kill(worker)
        self._start()

    def _let_go(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker)
        self._workers, self._starting, self._model, self._who = [], {}, None, None
        self._died = 0


class _Holder:
    """In a process of Ray: one model, loaded when it is first asked for."""

    def __init__(self, model: str) -> None:
        self._model = Model.from_json(model)
        self._open: tuple[Segmenter, Identity] | None = None

    def identity(self) -> Identity:
        """Which model it is."""
        if self._open is None:
            segmenter = self._model.open()
            self._open = segmenter, self._model.identity(segmenter)
        return self._open[1]

    def measure(self, jobs: list[str]) -> list[list[dict[str, Any]]]:
        """The rows of every job, in order."""
        who = self.identity()
        assert self._open is not None
        station = Station(self._open[0], who)
        found = station.measure([Job.from_json(text) for text in jobs])
        return [[asdict(row) for row in rows] for _, rows in found]
