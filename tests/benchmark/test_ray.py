"""Ray's workers: the same rows as anywhere else, whatever dies."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from benchmark_makers import evil_manifest, install_evil, manifest_of

from medsegany.benchmark import Model, Ray, read_results, run
from medsegany.errors import InvalidInput, UnknownModel
from medsegany.testing.fakes import FakeSegmenter

# Ray's own sockets and log files are closed by its processes, after ours have asked.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def _cluster(tmp_path_factory):
    """One for all tests: it takes a while to start, and knows the package of that moment."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        install_evil(tmp_path_factory.mktemp("package"), patch)
        ray.init(logging_level="error", log_to_driver=False)
        yield
        ray.shutdown()


def numbers(folder):
    rows = [evolve(row, seconds=0.0, peak_bytes=0) for row in read_results(folder)]
    return [str(row) for row in rows]


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_gives_the_same(tmp_path, workers):
    manifest = manifest_of(tmp_path)
    run(manifest, ["ellipse", "classical"], tmp_path / "here")
    run(manifest, ["ellipse", "classical"], tmp_path / "there", engine=Ray(workers))
    assert numbers(tmp_path / "here") == numbers(tmp_path / "there")


def test_what_hangs_or_kills_is_a_row(tmp_path):
    manifest = evil_manifest(tmp_path)
    ran = run(manifest, ["evil"], tmp_path, engine=Ray(2, timeout_s=4))
    assert ran.measured == 6
    assert ran.without == {"failed": 1, "hung": 1, "killed": 1}
    status = [row.status for row in read_results(tmp_path)]
    assert status == ["ok", "failed", "hung", "ok", "killed", "ok"]


def test_workers_that_are_killed_ten_times_cost_nothing(tmp_path):
    manifest = manifest_of(tmp_path)
    cases = [evolve(case, id=f"{case.id}-{n}") for n in range(60) for case in manifest]
    many = evolve(manifest, cases=cases)
    run(many, ["ellipse"], tmp_path / "here")
    rng = np.random.default_rng(0)
    moments = sorted(rng.choice(np.arange(1, 200), 10, replace=False).tolist())
    killed = []

    def kill(progress):
        while moments and progress.done >= moments[0] and (worker := _a_worker(killed)):
            moments.pop(0)
            killed.append(worker)

    ran = run(many, ["ellipse"], tmp_path / "there", engine=Ray(2), on_progress=kill)
    assert len(set(killed)) == 10
    assert ran.without == {}
    assert numbers(tmp_path / "here") == numbers(tmp_path / "there")


def _a_worker(killed):
    """Kill one of Ray's processes that holds a model, which may take a moment to be gone."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if words.startswith(b"ray::_Holder") and int(process.name) not in killed:
            os.kill(int(process.name), signal.SIGKILL)
            return int(process.name)
    return None


def test_what_cannot_be_loaded_is_said_at_once(tmp_path):
    manifest = manifest_of(tmp_path)
    with pytest.raises(UnknownModel):
        run(manifest, ["elipse"], tmp_path, engine=Ray())
    with pytest.raises(InvalidInput, match="an object of this process"):
        run(manifest, [FakeSegmenter()], tmp_path, engine=Ray())
    with pytest.raises(InvalidInput, match="workers"):
        Ray(0)
    assert Model("ellipse").open().name == "ellipse"
