"""Which images, whose they are, and which are kept apart."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from medsegany.errors import FileError, InvalidInput
from medsegany.training import Split, TrainingCase, find_cases, split_cases
from medsegany.training._store import count, store


def test_nnunets_layout_is_read_as_it_is(folder):
    """`imagesTr/case_0_0000.nii.gz` belongs to `labelsTr/case_0.nii.gz`."""
    cases = find_cases(folder)
    assert [case.name for case in cases] == [f"case_{n}" for n in range(6)]
    assert cases[0].image.name == "case_0_0000.nii.gz"
    assert cases[0].labels.name == "case_0.nii.gz"
    assert cases[0].patient == "case_0"


def test_of_several_channels_the_first_is_taken(tmp_path):
    """`_0001` is the same patient in another sequence, and no case."""
    for name in ("imagesTr", "labelsTr"):
        (tmp_path / name).mkdir()
    for name in (
        "imagesTr/a_0000",
        "imagesTr/a_0001",
        "labelsTr/a",
        "imagesTr/b_2024",
        "labelsTr/b_2024",
    ):
        (tmp_path / f"{name}.nii.gz").touch()
    assert [(c.name, c.image.name) for c in find_cases(tmp_path)] == [
        ("a", "a_0000.nii.gz"),
        ("b_2024", "b_2024.nii.gz"),
    ]


def test_frames_with_numbers_are_cases_and_no_channels(tmp_path):
    """`frame_0001.png` has a mask of its own name, so it is no second channel of the first."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        for n in range(3):
            (tmp_path / name / f"frame_{n:04d}.png").touch()
    assert len(find_cases(tmp_path)) == 3


def test_an_image_without_labels_is_named(tmp_path):
    """Leaving it out silently would be worse."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "images" / "a.png")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "masks" / "b.png")
    with pytest.raises(FileError, match=r"a\.png has no label map of its name in .*masks"):
        find_cases(tmp_path)


def test_a_folder_with_nothing_says_what_was_looked_for(tmp_path):
    """Pairs of folders, or npz files."""
    with pytest.raises(FileError, match=r"no pair of folders \(imagesTr and labelsTr.* and no npz"):
        find_cases(tmp_path)
    with pytest.raises(FileError, match="There is no folder"):
        find_cases(tmp_path / "nowhere")


def test_patients_come_from_a_table(folder, tmp_path):
    """Two cases of one patient stay together."""
    table = tmp_path / "patients.csv"
    table.write_text("case,patient\n" + "".join(f"case_{n},p{n // 2}\n" for n in range(6)))
    assert [case.patient for case in find_cases(folder, patients=table)] == [
        "p0", "p0", "p1", "p1", "p2", "p2",
    ]  # fmt: skip


def test_a_table_that_leaves_a_case_out_is_refused(folder):
    """With the case, and with the name that was probably meant."""
    known = {f"case_{n}": "p" for n in range(5)} | {"case-5": "p"}
    with pytest.raises(InvalidInput, match="1 of 6 cases, such as case_5; it names case-5"):
        find_cases(folder, patients=known)


def test_a_table_with_a_line_that_says_nothing_is_refused(folder, tmp_path):
    """A case without a patient, and one of two."""
    table = tmp_path / "patients.csv"
    table.write_text("case,patient\ncase_0,p0\ncase_1\n")
    with pytest.raises(FileError, match="a line without a patient: 'case_1'"):
        find_cases(folder, patients=table)
    table.write_text("case,patient\ncase_0,p0\ncase_0,p1\n")
    with pytest.raises(FileError, match="'case_0' that it is of 'p0', and of 'p1'"):
        find_cases(folder, patients=table)


def test_two_files_of_one_name_are_no_cases(tmp_path):
    """Without nnU-Net's number both are called a."""
    for name in ("a", "a_0000"):
        np.savez(tmp_path / f"{name}.npz", imgs=np.zeros((2, 2), np.uint8))
    with pytest.raises(FileError, match=r"a\.npz and a_0000\.npz have one name"):
        find_cases(tmp_path)


@pytest.mark.parametrize("content", ['{"train": null}', '{"train": 5}', '{"patients": []}', "[1]"])
def test_what_is_no_split_is_refused(folder, tmp_path, content):
    """With the file, whatever was written by hand."""
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(FileError, match=r"split\.json"):
        Split.read(tmp_path / "split.json", find_cases(folder))


@given(
    whose=st.lists(st.integers(0, 12), min_size=6, max_size=40).filter(lambda x: len(set(x)) > 3),
    seed=st.integers(0, 5),
)
def test_no_patient_is_on_two_sides(tmp_path_factory, whose, seed):
    """Whatever the numbers of cases; and every case is somewhere."""
    cases = [
        TrainingCase(f"c{n}", f"p{p}", tmp_path_factory.getbasetemp()) for n, p in enumerate(whose)
    ]
    split = split_cases(cases, seed=seed)
    patients = {case.name: case.patient for case in cases}
    sides = [{patients[n] for n in side} for side in (split.train, split.validation, split.test)]
    assert all(sides)
    assert sum(map(len, sides)) == len(set(whose))
    assert sorted((*split.train, *split.validation, *split.test)) == sorted(patients)


def test_a_split_does_not_depend_on_the_order_of_files(folder):
    """The same seed and patients give the same sides; another seed others."""
    cases = find_cases(folder)
    assert split_cases(cases, seed=1) == split_cases(cases[::-1], seed=1)
    assert len({split_cases(cases, seed=seed) for seed in range(8)}) > 1


def test_flare22s_split():
    """Fifty patients, a fifth of them for the test: forty and ten, as in the paper."""
    cases = [TrainingCase(f"FLARE22_Tr_{n:04d}", f"{n}", None) for n in range(1, 51)]
    split = split_cases(cases, validation=0, test=0.2)
    assert (len(split.train), len(split.validation), len(split.test)) == (40, 0, 10)


def test_too_few_patients_are_too_few(folder):
    """Two cannot be three."""
    with pytest.raises(InvalidInput, match="2 patients cannot be divided"):
        split_cases(find_cases(folder)[:2])


def test_a_split_is_written_and_read(folder, tmp_path):
    """And checked when it is read."""
    cases = find_cases(folder)
    split = split_cases(cases)
    split.write(tmp_path / "split.json")
    assert Split.read(tmp_path / "split.json", cases) == split
    (tmp_path / "other.json").write_text('{"train": ["case_0"], "val": ["case_1"]}')
    with pytest.raises(FileError, match="has 'val'; a split has train, validation, test"):
        Split.read(tmp_path / "other.json", cases)
    with pytest.raises(InvalidInput, match="names the case 'case_5', which is not there"):
        Split(("case_5",), (), ()).check(cases[:5])
    with pytest.raises(InvalidInput, match="'case_0' is in both train and test"):
        Split(("case_0",), (), ("case_0",)).check(cases)


def test_a_split_remembers_whose_cases_are(folder, tmp_path):
    """So that a table that is made later, without the list of patients, still knows them."""
    whose = {f"case_{n}": f"p{n // 2}" for n in range(6)}
    split_cases(find_cases(folder, patients=whose)).write(tmp_path / "split.json")
    assert Split.read(tmp_path / "split.json", find_cases(folder)).patients == whose
    other = whose | {"case_0": "p2"}
    with pytest.raises(InvalidInput, match="'case_0' was of 'p0', and now of 'p2'"):
        Split.read(tmp_path / "split.json", find_cases(folder, patients=other))


def test_what_is_left_out_is_counted(folder, tmp_path):
    """Six volumes: slice 0 is empty, the second disc (about 49 px) is on two slices of six."""
    stored = store(find_cases(folder), tmp_path, window=None)
    counts, labels = count(stored, None, smallest_px=60)
    assert labels == [1, 2]
    assert counts.cases == 6
    assert counts.slices == 36
    assert counts.empty_slices == 6
    assert counts.objects == 30
    assert counts.too_small == 12
    assert counts.absent == {1: 0, 2: 0}


def test_a_label_that_nobody_has_is_refused(folder, tmp_path):
    """With those that there are."""
    stored = store(find_cases(folder)[:1], tmp_path, window=None)
    with pytest.raises(InvalidInput, match=r"No case has the label 7\. There is 1, 2\."):
        count(stored, [1, 7], smallest_px=1)


def test_cases_are_read_once(folder, tmp_path):
    """And again when the window is another one."""
    cases = find_cases(folder)[:1]
    store(cases, tmp_path, window=None)
    before = (tmp_path / "case_0" / "images.npy").stat().st_mtime_ns
    store(cases, tmp_path, window=None)
    assert (tmp_path / "case_0" / "images.npy").stat().st_mtime_ns == before
    store(cases, tmp_path, window="percentile")
    assert (tmp_path / "case_0" / "images.npy").stat().st_mtime_ns > before


def test_pictures_and_challenge_files_are_cases_too(tmp_path):
    """A PNG beside its mask; an npz with `imgs` and `gts`."""
    for name in ("images", "masks", "npz"):
        (tmp_path / name).mkdir()
    mask = np.zeros((8, 9), np.uint8)
    mask[2:5, 3:7] = 1
    Image.fromarray(np.full((8, 9, 3), 7, np.uint8)).save(tmp_path / "images" / "a.png")
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    np.savez(tmp_path / "npz" / "b.npz", imgs=mask * 100, gts=mask)
    [picture] = store(find_cases(tmp_path), tmp_path / "s", window=None)
    [case] = store(find_cases(tmp_path / "npz"), tmp_path / "t", window=None)
    assert picture.images.shape == (1, 8, 9, 3)
    assert picture.areas[1].tolist() == case.areas[1].tolist() == [12]
