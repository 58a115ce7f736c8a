"""The driver killed without warning, again and again: nothing is lost, doubled or different."""

import subprocess
import sys
import time

import numpy as np
import pytest
from attrs import evolve
from benchmark_makers import manifest_of

from medsegany.benchmark import EllipseSegmenter, read_results, run

SCRIPT = """
import sys
import time
import medsegany.benchmark._run as module
from medsegany.benchmark import EllipseSegmenter, Manifest, run

module._EVERY_S = 0.05  # a shard every few cases
class Slow(EllipseSegmenter):
    def embed(self, image):
        time.sleep(0.01)
        return super().embed(image)
Slow.__module__, Slow.__qualname__ = EllipseSegmenter.__module__, EllipseSegmenter.__qualname__
run(Manifest.read(sys.argv[1]), [Slow()], sys.argv[2])
"""


def shards(folder):
    return len(list(folder.glob("rows/[!.]*")))


@pytest.mark.slow
def test_a_driver_that_is_killed_ten_times_loses_nothing(tmp_path):
    manifest = manifest_of(tmp_path)
    cases = [evolve(case, id=f"{case.id}-{n}") for n in range(100) for case in manifest]
    many = evolve(manifest, cases=cases)
    many.write(manifest.folder)
    results = tmp_path / "results"
    rng = np.random.default_rng(0)
    counts = [0]
    for _ in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(manifest.folder), str(results)],
        ) as driver:
            before = shards(results)
            while shards(results) == before and driver.poll() is None:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.15))
            driver.kill()
        counts.append(len(read_results(results)))  # every shard that is there is whole
        assert counts[-1] >= counts[-2]
    assert 0 < counts[-1] < 500
    run(many, [EllipseSegmenter()], results)
    run(many, [EllipseSegmenter()], tmp_path / "at once")

    def numbers(folder):
        rows = read_results(folder)
        return [str(evolve(row, seconds=0.0, peak_bytes=0)) for row in rows]

    assert numbers(results) == numbers(tmp_path / "at once")
    assert len(numbers(results)) == 500
