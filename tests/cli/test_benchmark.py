"""`medsegany benchmark`: from files to tables, on the command line."""

import json

import pytest
from attrs import evolve
from benchmark_makers import evil_manifest, install_evil, three_kinds

from medsegany.benchmark import CLEAN, Manifest, read_results


@pytest.fixture
def cases(tmp_path, run):
    """A folder of images, prepared."""
    three_kinds(tmp_path / "in")
    (tmp_path / "in" / "film-1.npz").unlink()
    done = run("benchmark", "prepare", tmp_path / "in", "-o", tmp_path / "bench",
               "--modality", "CT", "--names", "1=liver")  # fmt: skip
    assert done.code == 0, done.err
    return tmp_path / "bench"


@pytest.fixture
def results(cases, run, tmp_path):
    done = run("benchmark", "run", cases, "-o", tmp_path / "results", "-m", "ellipse",
               "-m", "classical", "--engine", "inline")  # fmt: skip
    assert done.code == 0, done.err
    assert "6 measured, 0 were there before" in done.out
    return tmp_path / "results"


def test_a_folder_becomes_a_manifest(cases):
    manifest = Manifest.read(cases)
    assert {case.id for case in manifest} == {"flat-1", "flat-2", "ct-1"}
    assert all(case.modality == "CT" for case in manifest)
    assert manifest.cases[0].labels[1] == "liver"


def test_a_table_is_understood_and_what_is_broken_left_out(tmp_path, run):
    three_kinds(tmp_path)
    (tmp_path / "broken.npz").write_bytes(b"no")
    (tmp_path / "cases.csv").write_text(
        "case,patient,modality,image,kind\n"
        "a,anna,Endoscopy,flat-1.npz,\n"
        "b,bert,Endoscopy,broken.npz,\n"
        "c,cleo,US,film-1.npz,video\n"
    )
    done = run("benchmark", "prepare", tmp_path / "cases.csv", "-o", tmp_path / "out", "--json")
    assert done.code == 3
    assert done.json()["cases"] == 2
    assert set(done.json()["left_out"]) == {"b"}
    assert "b is left out" in done.err


@pytest.mark.parametrize("option", ["--licence", "--dataset", "--kind", "--modality"])
def test_what_a_table_says_is_no_option(tmp_path, run, option):
    (tmp_path / "cases.csv").write_text("case,modality,image\na,CT,a.npz\n")
    value = "video" if option == "--kind" else "x"
    done = run(
        "benchmark", "prepare", tmp_path / "cases.csv", "-o", tmp_path / "out", option, value
    )
    assert done.code == 2
    assert "options are for folders" in done.err


def test_the_papers_data_sets_are_listed_and_taken_as_they_are(tmp_path, run):
    done = run("benchmark", "recipes")
    assert "https://www.creatis.insa-lyon.fr/Challenge/camus/" in done.out
    assert [one["name"] for one in run("benchmark", "recipes", "--json").json()] == [
        "cvpr24", "camus", "sun-seg", "flare22"
    ]  # fmt: skip
    three_kinds(tmp_path / "MR")
    prepare = ("benchmark", "prepare", tmp_path, "-o", tmp_path / "out", "--recipe")
    done = run(*prepare, "cvpr24")
    assert done.code == 0, done.err
    assert {case.modality for case in Manifest.read(tmp_path / "out")} == {"MR"}
    assert "'cvpr24', 'camus', 'sun-seg', 'flare22'" in run(*prepare, "cvpr").err
    assert "only -o and --json go with" in run(*prepare, "cvpr24", "--window", "lung").err


def test_the_same_again_measures_nothing(cases, results, run):
    again = ("benchmark", "run", cases, "-o", results, "-m", "ellipse", "--engine", "inline")
    assert "0 measured, 3 were there before" in run(*again).out


def test_shards_together_are_the_whole(cases, results, run, tmp_path):
    for shard in ("1/2", "2/2"):
        done = run("benchmark", "run", cases, "-o", tmp_path / "two", "-m", "ellipse",
                   "--engine", "inline", "--shard", shard)  # fmt: skip
        assert done.code == 0
    here = [row.dsc for row in read_results(results) if row.model == "ellipse"]
    assert [row.dsc for row in read_results(tmp_path / "two")] == here


def test_protocols_by_name_by_file_and_by_beginning(cases, run, tmp_path):
    path = tmp_path / "loose.json"
    path.write_text(evolve(CLEAN, name="loose", jitter_px=3, seed=7).to_json())
    done = run("benchmark", "run", cases, "-o", tmp_path / "r", "-m", "ellipse", "--engine",
               "inline", "--protocol", "paper", "--protocol", path, "--init", "gt")  # fmt: skip
    assert done.code == 0, done.err
    assert {row.protocol for row in read_results(tmp_path / "r")} == {"paper-gt", "loose-gt"}


def test_names_of_models_and_protocols(cases, run, tmp_path):
    path = tmp_path / "other-seed.json"
    path.write_text('{"seed": 3}')  # it says no name: it has the file's
    to = ("benchmark", "run", cases, "-o", tmp_path / "r", "--engine", "inline")
    assert run(*to, "-m", "ellipse", "--protocol", path).code == 0
    assert run(*to, "-m", "classical", "--name", "a contour").code == 0
    named = {(row.model, row.protocol) for row in read_results(tmp_path / "r")}
    assert named == {("ellipse", "other-seed"), ("a contour", "clean")}
    done = run(*to, "-m", "ellipse", "-m", "classical", "--name", "x")
    assert done.code == 2
    assert "--name x is for one model; 2 are asked for" in done.err
    path.write_text('{"seed": 4}')
    assert "Two protocols are called 'other-seed'" in run(*to, "-m", "ellipse", "--protocol",
                                                          path).err  # fmt: skip


def test_patients_that_were_corrected_count_in_a_comparison(cases, results, run, tmp_path):
    (tmp_path / "p.csv").write_text("case,patient\nflat-1,a\nflat-2,a\nct-1,a\n")
    run("benchmark", "prepare", tmp_path / "in", "-o", tmp_path / "again", "--modality", "CT",
        "--patients", tmp_path / "p.csv")  # fmt: skip
    pair = ("benchmark", "compare", results, "ellipse", "classical", "--json")
    before = {test["kind"]: test["patients"] for test in run(*pair).json()}
    now = run(*pair, "--manifest", tmp_path / "again").json()
    assert before == {"2d": 2, "3d": 1}
    assert {test["kind"]: test["patients"] for test in now} == {"2d": 1, "3d": 1}


def test_status_counts_what_is_there_and_what_is_missing(cases, results, run):
    done = run("benchmark", "status", results, "--manifest", cases, "--json").json()
    assert [entry["model"] for entry in done["runs"]] == ["classical", "ellipse"]
    assert [(e["cases"], e["objects"], e["missing"]) for e in done["runs"]] == [(3, 4, 0)] * 2
    assert done["without"] == []
    assert "ellipse" in run("benchmark", "status", results).out


def test_a_case_without_a_score_is_said_and_the_code_is_partial(tmp_path, monkeypatch, run):
    install_evil(tmp_path / "package", monkeypatch)
    evil_manifest(tmp_path)
    cases = [tmp_path / "data", "-o", tmp_path / "r", "-m", "evil"]
    done = run("benchmark", "run", *cases, "--shard", "2/6", "--engine", "inline", "--json")
    assert done.code == 3
    assert done.json()["without"] == {"failed": 1}
    done = run("benchmark", "status", tmp_path / "r")
    assert "fake, case-1: failed. RuntimeError: no such organ" in done.out


def test_two_models_are_compared_by_patients(results, run):
    pair = ("benchmark", "compare", results, "classical", "ellipse")
    images, volumes = run(*pair, "--json").json()
    assert (images["one"], images["other"], images["patients"]) == ("classical", "ellipse", 2)
    assert (images["kind"], volumes["kind"]) == ("2d", "3d")
    assert run(*pair, "--kind", "2d", "--json").json() == [images]
    assert "have no videos" in run(*pair, "--kind", "video").err
    assert (
        "--protocol paper: there are results under clean" in run(*pair, "--protocol", "paper").err
    )
    rows = read_results(results)
    assert "classical" in run("benchmark", "compare", results, "classical", "ellipse").out
    assert json.dumps(len(rows)) == "8"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shard", "4/3"], "--shard 4/3: which one of how many"),
        (["--shard", "2"], "--shard 2: which one of how many"),
        (["--protocol", "papper"], "--protocol papper is none of clean, paper"),
        (["--only", "MR"], "--only MR: the manifest has cases of CT"),
        (["--workers", "2"], "--workers 2 is for --engine ray; serial has one"),
        (["--engine", "inline", "--timeout", "3"], "--timeout needs a process"),
        (["-m", "elipse"], "elipse"),
    ],
)
def test_a_slip_is_explained_with_code_2(cases, run, tmp_path, words, said):
    given = words if "-m" in words else [*words, "-m", "ellipse"]
    if "--engine" not in given and "--workers" not in given:
        given += ["--engine", "inline"]
    done = run("benchmark", "run", cases, "-o", tmp_path / "r", *given)
    assert done.code == 2
    assert said in done.err


def test_other_slips(tmp_path, cases, results, run):
    done = run("benchmark", "prepare", tmp_path / "in", "-o", tmp_path / "x")
    assert done.code == 2
    assert "--modality is needed for a folder" in done.err
    done = run("benchmark", "status", cases)
    assert done.code == 1
    assert "holds no results" in done.err
    done = run("benchmark", "compare", results, "nano", "ellipse")
    assert done.code == 2
    assert "'nano' has no results under 'clean'; there is classical, ellipse" in done.err
    (tmp_path / "wrong.json").write_text('{"jitter": 3}')
    done = run("benchmark", "run", cases, "-o", tmp_path / "x", "-m", "ellipse", "--protocol",
               tmp_path / "wrong.json")  # fmt: skip
    assert "wrong.json is no protocol" in done.err
