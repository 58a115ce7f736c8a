import numpy as np
import pytest
import torch
from attrs import evolve
from benchmark_makers import evil_manifest, install_evil, manifest_of, write_case

from medsegany.benchmark import (
    CLEAN,
    PAPER,
    EllipseSegmenter,
    Inline,
    Manifest,
    Model,
    Protocol,
    Serial,
    Source,
    corrected,
    prepare,
    read_results,
    run,
)
from medsegany.benchmark._model import device_of
from medsegany.benchmark._results import write_shard
from medsegany.benchmark._serial import _Worker
from medsegany.benchmark._station import Job
from medsegany.errors import FileError, InvalidInput, UnknownModel
from medsegany.metrics import dsc
from medsegany.testing import phantoms
from medsegany.testing.fakes import FakeSegmenter


@pytest.fixture
def manifest(tmp_path):
    return manifest_of(tmp_path)


def numbers(folder):
    """All that must not depend on where and when it was measured."""
    return [
        evolve(row, seconds=0.0, peak_bytes=0, device="") for row in read_results(folder)
    ]  # fmt: skip


def same(one, other):
    return len(one) == len(other) and all(str(a) == str(b) for a, b in zip(one, other, strict=True))


def test_a_row_says_what_is_needed_to_repeat_it(manifest, tmp_path):
    ran = run(manifest, ["ellipse"], tmp_path / "out", protocols=[evolve(CLEAN, seed=3)])
    assert (ran.measured, ran.skipped, ran.without) == (4, 0, {})
    rows = read_results(tmp_path / "out")
    assert len(rows) == 5  # objects
    row = next(row for row in rows if row.case == "ct-1")
    case = next(case for case in manifest if case.id == "ct-1")
    assert row.case_key == case.key
    assert Protocol.from_json(row.protocol_json) == evolve(CLEAN, seed=3)
    assert Model.from_json(row.model_json) == Model("ellipse")
    assert row.version
    assert row.seconds > 0
    assert row.peak_bytes > 1e6
    assert len(row.box) == 4


def test_a_second_start_does_what_is_missing(manifest, tmp_path):
    fake = FakeSegmenter()
    run(manifest.shard(0, 2), [fake], tmp_path)
    seen = len(fake.seen)
    ran = run(manifest, [fake, "ellipse"], tmp_path)
    assert (ran.measured, ran.skipped) == (6, 2)
    assert len(fake.seen) > seen
    ran = run(manifest, [fake, "ellipse"], tmp_path)
    assert (ran.measured, ran.skipped) == (0, 8)


def test_another_protocol_is_another_result(manifest, tmp_path):
    run(manifest, ["ellipse"], tmp_path, protocols=["clean", "paper"])
    rows = read_results(tmp_path)
    assert {row.protocol for row in rows} == {"clean", "paper"}
    assert run(manifest, ["ellipse"], tmp_path, protocols=[PAPER]).skipped == 4


def test_shards_of_any_number_give_the_same(manifest, tmp_path):
    run(manifest, ["ellipse"], tmp_path / "one")
    for k in range(3):
        run(manifest.shard(k, 3), ["ellipse"], tmp_path / "three")
    assert same(numbers(tmp_path / "one"), numbers(tmp_path / "three"))


def test_another_process_gives_the_same(manifest, tmp_path):
    run(manifest, ["ellipse", "classical"], tmp_path / "here")
    run(manifest, ["ellipse", "classical"], tmp_path / "there", engine=Serial())
    assert same(numbers(tmp_path / "here"), numbers(tmp_path / "there"))


def test_masks_are_those_that_were_measured(manifest, tmp_path):
    run(manifest, ["ellipse"], tmp_path, masks=True)
    for row in read_results(tmp_path):
        case = next(case for case in manifest if case.id == row.case)
        with (
            np.load(tmp_path / "masks" / "ellipse" / "clean" / f"{row.case}.npz") as found,
            np.load(manifest.path(case)) as truth,
        ):
            mask, reference = found[str(row.label)], truth["gts"] == row.label
        begin = row.first if row.kind == "video" else 0
        assert dsc(mask[begin:], reference[begin:]) == row.dsc


def test_masks_that_were_not_kept_are_made_when_they_are_wanted(manifest, tmp_path):
    run(manifest, ["ellipse"], tmp_path)
    before = numbers(tmp_path)
    assert run(manifest, ["ellipse"], tmp_path, masks=True).measured == 4
    assert len(list(tmp_path.rglob("masks/ellipse/clean/*.npz"))) == 4
    assert same(numbers(tmp_path), before)
    next(tmp_path.rglob("masks/ellipse/clean/*.npz")).unlink()
    assert run(manifest, ["ellipse"] * 2, tmp_path, masks=True).measured == 1
    assert run(manifest, ["ellipse"], tmp_path, masks=True).measured == 0


def test_one_protocol_has_one_name(manifest, tmp_path):
    """Of a second name only what the first has not would be measured."""
    loose = Protocol(name="loose", jitter_share=0.1)
    again = evolve(loose, name="other")
    with pytest.raises(InvalidInput, match="'other' is that of 'loose'"):
        run(manifest, ["ellipse"], tmp_path, protocols=[loose, again])
    assert run(manifest, ["ellipse"], tmp_path, protocols=[loose, loose]).measured == 4
    with pytest.raises(InvalidInput, match="'other' is that of 'loose'"):
        run(manifest, ["ellipse"], tmp_path, protocols=[again])


def test_a_case_that_fails_is_a_row_with_the_reason(tmp_path, monkeypatch):
    install_evil(tmp_path / "package", monkeypatch)
    manifest = evil_manifest(tmp_path).where(lambda case: case.id in {"case-0", "case-1"})
    ran = run(manifest, ["evil"], tmp_path, engine=Inline())
    assert ran.without == {"failed": 1}
    failed = next(row for row in read_results(tmp_path) if row.status != "ok")
    assert (failed.case, failed.reason) == ("case-1", "RuntimeError: no such organ")
    assert run(manifest, ["evil"], tmp_path).measured == 0
    assert run(manifest, ["evil"], tmp_path, again=["failed"]).measured == 1


def test_one_that_hangs_or_kills_takes_nothing_with_it(tmp_path, monkeypatch):
    install_evil(tmp_path / "package", monkeypatch)
    manifest = evil_manifest(tmp_path)
    ran = run(manifest, ["evil"], tmp_path, engine=Serial(timeout_s=3))
    assert ran.measured == 6
    assert ran.without == {"failed": 1, "hung": 1, "killed": 1}
    status = {row.case: row.status for row in read_results(tmp_path)}
    assert status == {
        "case-0": "ok",
        "case-1": "failed",
        "case-2": "hung",
        "case-3": "ok",
        "case-4": "killed",
        "case-5": "ok",
    }
    killed = next(row for row in read_results(tmp_path) if row.status == "killed")
    assert "exit code 9" in killed.reason


def test_who_dies_late_is_not_held_against_the_next(tmp_path, monkeypatch):
    install_evil(tmp_path / "package", monkeypatch)
    monkeypatch.setenv("EVIL_FILE", str(tmp_path / "died"))
    cases = []
    for n, brightness in enumerate((254, 250, 200)):  # the first kills while the second is seen
        mask = phantoms.disc((32, 32), (16, 16), 5 + n)
        image = np.where(mask, brightness, 20).astype(np.uint8)
        path = write_case(tmp_path / "source", f"case-{n}", mask.astype(np.uint8), image)
        cases.append(Source(f"case-{n}", f"patient-{n}", "CT", path))
    manifest = prepare(cases, tmp_path / "data").manifest
    ran = run(manifest, ["evil"], tmp_path / "out", engine=Serial())
    assert (tmp_path / "died").exists()
    assert (ran.measured, ran.without) == (3, {})


def test_progress_tells_the_mean_so_far(manifest, tmp_path):
    told = []
    run(manifest, ["ellipse"], tmp_path, on_progress=told.append)
    assert [(p.done, p.total) for p in told] == [(n, 4) for n in range(1, 5)]
    mean = np.mean([row.dsc for row in read_results(tmp_path)])
    assert told[-1].stage == f"ellipse (DSC {mean:.3f})"


def test_a_wrong_question_is_refused_before_anything_runs(manifest, tmp_path):
    with pytest.raises(InvalidInput, match="one of them is empty"):
        run(manifest, [], tmp_path)
    with pytest.raises(InvalidInput, match="one of them is empty"):
        run(Manifest((), tmp_path), ["ellipse"], tmp_path)
    with pytest.raises(UnknownModel):
        run(manifest, ["elipse"], tmp_path, engine=Serial())
    with pytest.raises(InvalidInput, match="an object of this process"):
        run(manifest, [FakeSegmenter()], tmp_path, engine=Serial())
    assert not (tmp_path / "rows").exists()


@pytest.mark.parametrize("engine", [None, Serial()])
def test_what_is_asked_for_twice_is_measured_once(manifest, tmp_path, engine):
    twice = evolve(CLEAN, name="clean")
    ran = run(manifest, ["ellipse"] * 2, tmp_path, protocols=[CLEAN, twice], engine=engine)
    assert (ran.measured, ran.skipped) == (4, 4)
    assert len(read_results(tmp_path)) == 5


def test_rows_that_stand_twice_in_a_shard_count_once(manifest, tmp_path):
    run(manifest, ["ellipse"], tmp_path / "once")
    rows = read_results(tmp_path / "once")
    write_shard(tmp_path / "twice", [*rows, *rows])
    assert read_results(tmp_path / "twice") == rows


def test_a_name_stands_for_one_thing(manifest, tmp_path):
    class Other(FakeSegmenter):
        pass

    run(manifest, [FakeSegmenter()], tmp_path)
    with pytest.raises(InvalidInput, match="results of another 'fake', of other weights or code"):
        run(manifest, [Other()], tmp_path)
    with pytest.raises(InvalidInput, match="Two protocols are called 'clean', and differ"):
        run(manifest, [FakeSegmenter()], tmp_path, protocols=[evolve(CLEAN, seed=3)])
    with pytest.raises(InvalidInput, match="Two models are called 'nano', and are loaded other"):
        run(manifest, [Model("nano"), Model("nano", crop=None)], tmp_path / "new")
    cases = [evolve(case, spacing_mm=(2.0,) * len(case.shape)) for case in manifest]
    with pytest.raises(InvalidInput, match="results of another case 'flat-1'"):
        run(Manifest(cases, manifest.folder), [FakeSegmenter()], tmp_path)
    assert len(read_results(tmp_path)) == 5
    assert not (tmp_path / "new" / "rows").exists()


def test_one_model_has_one_name(manifest, tmp_path):
    run(manifest, [Model("nano", name="a")], tmp_path)
    with pytest.raises(InvalidInput, match="'b' is measured already, as 'a'"):
        run(manifest, [Model("nano", name="b")], tmp_path)


def test_corrected_patients_count_without_a_new_run(manifest, tmp_path):
    run(manifest, ["ellipse"], tmp_path)
    cases = [evolve(case, patient="anna", modality="X") for case in manifest]
    now = Manifest(cases, manifest.folder)
    with pytest.warns(UserWarning, match="4 cases, such as 'flat-1', have another patient"):
        assert run(now, ["ellipse"], tmp_path).measured == 0
    rows = corrected(read_results(tmp_path), now)
    assert {(row.patient, row.modality) for row in rows} == {("anna", "X")}
    assert corrected(rows, manifest) == read_results(tmp_path)


def test_rows_say_where_the_weights_were():
    class OnAnotherDevice:
        upstream = torch.nn.Linear(2, 2, device="meta")

    assert device_of(OnAnotherDevice()) == "meta"
    assert device_of(EllipseSegmenter()) == "cpu"


def test_a_score_takes_the_place_of_a_failure(manifest, tmp_path):
    run(manifest, ["ellipse"], tmp_path / "out")
    good = read_results(tmp_path / "out")
    bad = [evolve(row, status="killed", reason="x", label=0) for row in good]
    for order in ([bad, good], [good, bad], [good, good]):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for rows in order:
            write_shard(folder, rows)
        assert same(read_results(folder), good)


def test_a_damaged_shard_is_named(manifest, tmp_path):
    run(manifest, ["ellipse"], tmp_path)
    shard = next((tmp_path / "rows").iterdir())
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(FileError, match=shard.name):
        read_results(tmp_path)


class Versioned(FakeSegmenter):
    def __init__(self, version=""):
        super().__init__()
        self.version = version


def test_what_nothing_tells_apart_is_said_when_it_is_skipped(manifest, tmp_path):
    run(manifest, [Versioned()], tmp_path / "r")
    with pytest.warns(UserWarning, match="4 cases of fake were there before"):
        run(manifest, [Versioned()], tmp_path / "r")
    with pytest.raises(InvalidInput, match="fake"):
        run(manifest, [Versioned("2")], tmp_path / "r")


def test_a_module_of_any_name_tells_a_model_apart(manifest, tmp_path):
    class Learnt(FakeSegmenter):
        def __init__(self, weight, dtype=torch.float32):
            super().__init__()
            self.net = torch.nn.Linear(1, 1).to(dtype)
            torch.nn.init.constant_(self.net.weight, weight)
            torch.nn.init.zeros_(self.net.bias)

    keys = [Model("fake").identity(Learnt(*how)).key for how in
            ((1.0,), (1.0,), (2.0,), (1.0, torch.bfloat16))]  # fmt: skip
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_the_ellipse_refuses_what_it_does_not_have(manifest, tmp_path):
    with pytest.raises(InvalidInput, match="ellipse has no option crop"):
        run(manifest, [Model("ellipse", crop=1.5)], tmp_path / "r")


def test_a_worker_does_not_outlive_who_asked(tmp_path, monkeypatch):
    """Its input ends without a last line, in the middle of a case that hangs."""
    install_evil(tmp_path / "package", monkeypatch)
    manifest = evil_manifest(tmp_path)
    hangs = next(case for case in manifest if case.id == "case-2")
    worker = _Worker(Model("evil"))
    job = Job(hangs, manifest.path(hangs), CLEAN)
    for _ in range(2):  # it reads ahead
        assert worker.send(job.to_json())
    assert worker.receive(60)[1]["kind"] == "begun"
    worker._process.stdin.close()
    assert worker._process.wait(30) == 1
    worker.stop()
