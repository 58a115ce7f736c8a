"""One other process on this machine: what hangs or dies there is a row, and the others go on."""

import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty, Queue
from time import monotonic
from typing import Any

from medsegany import errors
from medsegany.benchmark._model import Identity, Model, loadable
from medsegany.benchmark._results import Measurement, Status
from medsegany.benchmark._station import Job, failed
from medsegany.errors import MedSegAnyError
from medsegany.protocols import Segmenter

_IN_FLIGHT = 4  # enough for the one that works, two that are read, and one that is scored


class Serial:
    """A worker of its own for each model, one at a time.

    When it dies or hangs, what it had is measured again, each case with a worker of its own: what
    takes that one with it, too, is noted so.

    Args:
        timeout_s: How long one case may take; None for any time.
    """

    def __init__(self, timeout_s: float | None = None) -> None:
        self._timeout_s = timeout_s
        self._worker: _Worker | None = None

    def identity(self, model: Model | Segmenter) -> Identity:
        """See `Engine`."""
        return self._started(model).who

    def measure(
        self, model: Model | Segmenter, jobs: Sequence[Job]
    ) -> Iterator[tuple[Job, list[Measurement]]]:
        """See `Engine`."""
        waiting, flying = deque(jobs), deque[Job]()
        suspects = 0  # of those that wait, the first: one of them took a worker with it
        while waiting:
            worker = self._started(model)
            since, most = monotonic(), 1 if suspects else _IN_FLIGHT
            while waiting or flying:
                while waiting and len(flying) < most and worker.send(waiting[0].to_json()):
                    flying.append(waiting.popleft())
                if suspects or not waiting:
                    worker.end()  # or it would wait for more before it says the last results
                status, message = worker.receive(self._left(since))
                if status != "ok":
                    words = worker.last_words(status, self._timeout_s)
                    self._stop()
                    if len(flying) == 1:
                        suspects = max(0, suspects - 1)
                        job = flying.popleft()
                        yield job, [failed(job, worker.who, status, words)]
                    break
                since = monotonic()
                if message["kind"] == "begun":
                    continue
                job = next(j for j in flying if _is(j, message))
                flying.remove(job)
                yield job, [Measurement(**row) for row in message["rows"]]
                if suspects:  # the next one gets a worker that it shares with nobody
                    suspects -= 1
                    break
            # What was on its way goes again, alone: one is read and one scored while the model
            # has a third, so nobody knows whose fault it was.
            suspects = max(suspects, len(flying))
            waiting.extendleft(reversed(flying))
            flying.clear()

    def close(self) -> None:
        """See `Engine`: ends the worker."""
        self._stop()

    def _left(self, since: float) -> float | None:
        return None if self._timeout_s is None else max(0.0, since + self._timeout_s - monotonic())

    def _started(self, model: Model | Segmenter) -> "_Worker":
        model = loadable(model)
        if self._worker is None or self._worker.model != model or not self._worker.takes_jobs():
            self._stop()
            self._worker = _Worker(model)
        return self._worker

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()
        self._worker = None


def _is(job: Job, message: dict[str, Any]) -> bool:
    return (job.case.id, job.protocol.key) == (message["case"], message["protocol"])


class _Worker:
    """The process and its lines."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._process = subprocess.Popen(
            [sys.executable, "-m", "medsegany.benchmark._worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._lines: Queue[str | None] = Queue()
        self._said: deque[str] = deque(maxlen=20)
        for stream, use in (
            (self._process.stdout, self._lines.put),
            (self._process.stderr, self._note),
        ):
            threading.Thread(target=_forward, args=(stream, use), daemon=True).start()
        self.send(model.to_json())
        status, message = self.receive(None)
        if status != "ok":
            self.stop()
            words = self.last_words(status, None)
            msg = f"The worker of {model.load} died while it loaded. {words}"
            raise MedSegAnyError(msg)
        if message["kind"] == "unusable":
            self.stop()
            kind = getattr(errors, message["error"], None)
            if kind is None:
                msg = f"{model.load} cannot be loaded. {message['error']}: {message['reason']}"
                raise MedSegAnyError(msg)
            raise kind(message["reason"])
        self.who = Identity(**message["who"])

    def takes_jobs(self) -> bool:
        """Whether it lives, and was not told that there are no more."""
        assert self._process.stdin is not None
        return self._process.poll() is None and not self._process.stdin.closed

    def send(self, line: str) -> bool:
        """Whether it could be sent; a worker that died takes nothing."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # it is gone, or was told that there are no more
            return False
        return True

    def end(self) -> None:
        """There are no more jobs."""
        self.send("")
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def receive(self, seconds: float | None) -> tuple[Status, dict[str, Any]]:
        try:
            line = self._lines.get(timeout=seconds)
        except Empty:
            return "hung", {}
        return ("killed", {}) if line is None else ("ok", json.loads(line))

    def last_words(self, status: Status, timeout_s: float | None) -> str:
        """How it ended, and what it said last."""
        said = " ".join(self._said)[-300:]
        if status == "hung":
            return f"It took longer than {timeout_s:g} s. {said}"
        return f"The worker ended with exit code {self._process.wait()}. {said}"

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _note(self, line: str | None) -> None:
        if line is not None:
            self._said.append(line.strip())


def _forward(stream: Any, use: Any) -> None:  # noqa: ANN401 -- a pipe and a function
    """Every line to a function, and None at the end."""
    with suppress(ValueError):  # closed by `stop`
        for line in stream:
            use(line)
    use(None)
