import pyarrow as pa
import pyarrow.parquet
import pytest
from attrs import evolve
from benchmark_makers import manifest_of

from medsegany.benchmark import Manifest, joined
from medsegany.errors import FileError, InvalidInput


@pytest.fixture
def manifest(tmp_path):
    return manifest_of(tmp_path)


def test_what_is_written_is_read(manifest, tmp_path):
    manifest.write(tmp_path / "again.parquet")
    again = Manifest.read(tmp_path / "again.parquet")
    assert again.cases == manifest.cases
    assert again.folder == tmp_path
    assert Manifest.read(tmp_path / "data") == manifest


def test_a_case_says_all_that_is_known(manifest):
    case = next(case for case in manifest if case.id == "ct-1")
    assert (case.patient, case.modality, case.kind) == ("bert", "CT", "3d")
    assert case.shape == (6, 40, 48)
    assert case.spacing_mm == (3.0, 1.0, 1.0)
    assert dict(case.labels) == {1: ""}
    assert manifest.path(case).is_file()


def test_two_cases_of_one_name_are_refused(manifest):
    with pytest.raises(InvalidInput, match="Two cases are called 'flat-1'"):
        evolve(manifest, cases=(*manifest.cases, manifest.cases[0]))


def test_every_case_is_in_one_shard(manifest):
    parts = [manifest.shard(k, 3) for k in range(3)]
    assert sorted(case.id for part in parts for case in part) == sorted(c.id for c in manifest)
    with pytest.raises(InvalidInput, match="one of 0 to 2 of 3, got 3"):
        manifest.shard(3, 3)


def test_its_key_knows_the_cases_and_not_their_order(manifest):
    turned = evolve(manifest, cases=manifest.cases[::-1])
    assert turned.key == manifest.key
    assert manifest.where(lambda case: case.kind == "3d").key != manifest.key


def test_the_key_of_a_case_follows_what_changes_a_score(manifest):
    case = manifest.cases[0]
    assert evolve(case, patient="another", licence="MIT").key == case.key
    for change in ({"sha256": "0"}, {"spacing_mm": (2, 2)}, {"labels": {2: ""}}, {"id": "x"}):
        assert evolve(case, **change).key != case.key


def test_manifests_of_several_folders_are_one(manifest, tmp_path):
    other = tmp_path / "elsewhere"
    other.mkdir()
    ids = iter("abcd")
    second = evolve(manifest, cases=[evolve(case, id=next(ids)) for case in manifest])
    both = joined([manifest, second], other)
    assert len(both) == 8
    assert all(both.path(case).is_file() for case in both)
    with pytest.raises(InvalidInput, match="Two cases"):
        joined([manifest, manifest], other)


def test_another_parquet_is_no_manifest(tmp_path):
    pa.parquet.write_table(pa.table({"a": [1]}), tmp_path / "manifest.parquet")
    with pytest.raises(FileError, match="no manifest of this version"):
        Manifest.read(tmp_path)
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(FileError, match=r"manifest \(Parquet\)"):
        Manifest.read(tmp_path)
    with pytest.raises(FileError, match="no file"):
        Manifest.read(tmp_path / "nowhere")
