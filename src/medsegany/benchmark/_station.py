"""Where cases are measured: the next one is read, and the last one scored, while a model works."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from importlib.metadata import version
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from attrs import asdict, evolve, field, frozen

from medsegany.benchmark._manifest import Case
from medsegany.benchmark._measure import Found, Opened, opened, scored, segmented
from medsegany.benchmark._model import Identity, Model, device_of
from medsegany.benchmark._protocol import Protocol
from medsegany.benchmark._results import Measurement, Status
from medsegany.errors import MedSegAnyError
from medsegany.io._files import atomically, make_folder
from medsegany.protocols import Segmenter
from medsegany.types import Mask

_AHEAD = 2  # cases read before they are needed: their arrays wait in memory


def _as_path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


@frozen
class Job:
    """A case under a protocol.

    Attributes:
        case: What the manifest says of it.
        path: Where its file lies.
        protocol: How it is measured.
        masks: A folder for the masks; None for not keeping them.
    """

    case: Case
    path: Path = field(converter=Path)
    protocol: Protocol
    masks: Path | None = field(default=None, converter=_as_path)

    def to_json(self) -> str:
        """As one line."""
        case = {**asdict(self.case, recurse=False), "labels": dict(self.case.labels)}
        masks = None if self.masks is None else str(self.masks)
        parts = {"case": case, "path": str(self.path), "protocol": asdict(self.protocol)}
        return json.dumps({**parts, "masks": masks})

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """What `to_json` wrote."""
        said = json.loads(text)
        return cls(Case(**said["case"]), said["path"], Protocol(**said["protocol"]), said["masks"])


class Station:
    """One model, and the threads beside it.

    Args:
        segmenter: The model.
        who: What results call it. Models that a protocol names beside this one, initializers, are
            on its device, and untrained where it is.
    """

    def __init__(self, segmenter: Segmenter, who: Identity) -> None:
        self._segmenter, self._who = segmenter, who
        self._device = device_of(segmenter)
        _forget_peak(self._device)
        asked = Model.from_json(who.words)
        self._initializers = cache(
            lambda name: Model(name, device=asked.device, untrained=asked.untrained).open()
        )

    def measure(
        self, jobs: Iterable[Job], on_begin: Callable[[Job], object] = lambda _: None
    ) -> Iterator[tuple[Job, list[Measurement]]]:
        """Measure cases in order; each comes back with its rows, or with one that says why not.

        Args:
            jobs: The cases.
            on_begin: Told of each before the model sees it.
        """
        waiting = iter(jobs)
        ahead: list[tuple[Job, Future[Opened]]] = []
        behind: list[tuple[Job, Future[list[Measurement]]]] = []
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as judge:
            while True:
                while len(ahead) < _AHEAD and (job := next(waiting, None)) is not None:
                    ahead.append((job, reader.submit(opened, job.case, job.path)))
                if not ahead:
                    break
                job, reading = ahead.pop(0)
                on_begin(job)
                try:
                    what = reading.result()
                    found = segmented(what, self._segmenter, job.protocol, self._initializers)
                except Exception as error:  # noqa: BLE001 -- one case must not stop the others
                    behind.append((job, judge.submit(self._why, job, error)))
                else:
                    behind.append((job, judge.submit(self._rows, job, what, found)))
                while behind and (behind[0][1].done() or len(behind) > _AHEAD):
                    job, rows = behind.pop(0)
                    yield job, self._result(job, rows)
            for job, rows in behind:
                yield job, self._result(job, rows)

    def _result(self, job: Job, rows: "Future[list[Measurement]]") -> list[Measurement]:
        try:
            return rows.result()
        except Exception as error:  # noqa: BLE001 -- of the metrics or of writing masks
            return self._why(job, error)

    def _rows(self, job: Job, what: Opened, found: Found) -> list[Measurement]:
        if job.masks is not None:
            write_masks(job, found)
        plain = evolve(blank(job, self._who), seconds=found.seconds,
                       peak_bytes=peak(self._device), device=self._device)  # fmt: skip
        return [
            evolve(
                plain,
                label=score.asked.label,
                name=job.case.labels.get(score.asked.label, ""),
                dsc=score.dsc,
                nsd=score.nsd,
                voxels=score.voxels,
                found_voxels=score.found_voxels,
                box=tuple(float(v) for v in score.asked.box.as_array()),
                index=score.asked.index,
                first=score.asked.first,
                last=score.asked.last,
            )
            for score in scored(what, found, job.protocol)
        ]

    def _why(self, job: Job, error: Exception) -> list[Measurement]:
        words = (
            str(error) if isinstance(error, MedSegAnyError) else f"{type(error).__name__}: {error}"
        )
        return [failed(job, self._who, "failed", words)]


def blank(job: Job, who: Identity) -> Measurement:
    """A row in which everything is said but the result."""
    case, protocol = job.case, job.protocol
    return Measurement(
        case.id, case.key, case.patient, case.modality, case.kind, who.name, who.key, who.words,
        protocol.name, protocol.key, protocol.to_json(), version=_version(),
    )  # fmt: skip


@cache
def _version() -> str:
    return version("medsegany")  # reads files


def failed(job: Job, who: Identity, status: Status, reason: str) -> Measurement:
    """The row of a case without a result."""
    return evolve(blank(job, who), status=status, reason=" ".join(reason.split())[:500])


def write_masks(job: Job, found: Found) -> Path:
    """Masks of a case as an npz: one bool array for each label, named by it."""
    assert job.masks is not None
    make_folder(job.masks)
    path = job.masks / f"{job.case.id}.npz"
    atomically(path, lambda part: _save(part, found.masks))
    return path


def _save(path: Path, masks: Mapping[int, Mask]) -> None:
    """As `numpy.savez_compressed` does, which would need all masks at once.

    Masks are small however little effort is made, and this is the thread beside the model.
    """
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        for label, mask in masks.items():
            with archive.open(f"{label}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, mask, allow_pickle=False)


def _forget_peak(device: str) -> None:
    """Memory is counted anew for every model, where it can be."""
    torch = sys.modules.get("torch")
    if torch is not None and device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)


def peak(device: str) -> int:
    """The most bytes held so far: on a GPU by torch for this model, else by this process."""
    torch = sys.modules.get("torch")
    if torch is not None and device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource  # noqa: PLC0415 -- Windows has none
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
