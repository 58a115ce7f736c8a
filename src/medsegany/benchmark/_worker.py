"""A process that holds one model: jobs come in on standard input, a line each, and rows go out.

Started by `_serial` as `python -m medsegany.benchmark._worker`. Whatever a model prints goes to
standard error, so that lines on standard output are ours alone.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator
from queue import Queue
from typing import TextIO

from attrs import asdict

from medsegany.benchmark._model import Model
from medsegany.benchmark._station import Job, Station


def main() -> None:
    """Load the model of the first line, then measure the jobs of the others."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # prints of packages and of C code, too

    def say(**message: object) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    try:
        model = Model.from_json(sys.stdin.readline())
        segmenter = model.open()
        who = model.identity(segmenter)
    except Exception as error:  # noqa: BLE001 -- said by the process that asked
        say(kind="unusable", error=type(error).__name__, reason=str(error))
        return
    say(kind="ready", who=asdict(who))
    station = Station(segmenter, who)
    for job, rows in station.measure(
        _jobs(sys.stdin), lambda job: say(kind="begun", case=job.case.id, protocol=job.protocol.key)
    ):
        said = [asdict(row) for row in rows]
        say(kind="done", case=job.case.id, protocol=job.protocol.key, rows=said)


def _jobs(lines: TextIO) -> Iterator[Job]:
    """Until an empty line. Where the input ends without one, nobody is left to be told anything."""
    waiting: Queue[str] = Queue()

    def listen() -> None:
        for line in iter(lines.readline, ""):
            waiting.put(line.strip())
            if not line.strip():
                return
        os._exit(1)  # even in the middle of a case that never ends

    threading.Thread(target=listen, daemon=True).start()
    while line := waiting.get():
        yield Job.from_json(line)


if __name__ == "__main__":
    main()
