import numpy as np
import pytest
from attrs import evolve
from benchmark_makers import discs, manifest_of, shown, write_case

from medsegany.benchmark import CLEAN, PAPER, EllipseSegmenter, Source, prepare
from medsegany.benchmark._measure import asked, opened, scored, segmented
from medsegany.errors import FileError, InvalidInput
from medsegany.metrics import dsc, nsd
from medsegany.testing.fakes import FakeSegmenter


@pytest.fixture
def open_case(tmp_path):
    manifest = manifest_of(tmp_path)

    def of(name):
        case = next(case for case in manifest if case.id == name)
        return opened(case, manifest.path(case))

    return of


def scores(what, segmenter, protocol=CLEAN, **more):
    found = segmented(what, segmenter, protocol, **more)
    return scored(what, found, protocol)


def test_who_finds_everything_has_one(open_case):
    for name, objects in (("flat-1", 1), ("flat-2", 2), ("ct-1", 1), ("film-1", 1)):
        what = open_case(name)
        found = scores(what, FakeSegmenter(), evolve(CLEAN, range_known=True))
        assert len(found) == objects
        # a box that is carried grows by as much as the mask did, one slice late
        assert all(score.dsc == 1 or what.case.kind != "2d" for score in found)
        assert all(0.8 < score.dsc <= 1 for score in found)


def test_every_image_is_encoded_once(open_case):
    fake = FakeSegmenter()
    segmented(open_case("flat-2"), fake, CLEAN)
    assert len(fake.seen) == 1


def test_the_ellipse_of_an_image_by_hand(open_case):
    what = open_case("flat-1")
    (score,) = scores(what, EllipseSegmenter())
    mask = EllipseSegmenter().segment_2d(what.image, CLEAN.box(what.truth == 1, "", 1)).mask
    assert score.dsc == dsc(mask, what.truth)
    assert score.nsd == nsd(mask, what.truth, spacing_mm=(1, 1), tolerance_mm=2)
    assert (score.voxels, score.found_voxels) == (what.truth.sum(), mask.sum())


def test_a_volume_is_prompted_in_its_middle_and_measured_in_millimetres(open_case):
    what = open_case("ct-1")
    (one,) = asked(what.case, what.truth, CLEAN)
    assert (one.index, one.first, one.last) == (2, 1, 4)
    (upper,) = asked(what.case, what.truth, PAPER)
    assert upper.index == 3
    (score,) = scores(what, EllipseSegmenter(), PAPER)
    box = PAPER.box(what.truth[3] == 1, "", 1)
    carried = np.zeros(what.truth.shape, bool)
    carried[1:5] = EllipseSegmenter().segment_2d(what.image[3], box).mask
    assert score.dsc == dsc(carried, what.truth)
    assert score.nsd == nsd(carried, what.truth, spacing_mm=(3, 1, 1), tolerance_mm=2)


def test_without_the_range_the_ellipse_goes_to_the_ends(open_case):
    what = open_case("ct-1")
    found = segmented(what, EllipseSegmenter(), CLEAN)
    assert found.masks[1].any((1, 2)).all()
    known = segmented(what, EllipseSegmenter(), evolve(CLEAN, range_known=True))
    assert known.masks[1].any((1, 2)).tolist() == [False, True, True, True, True, False]


def test_the_true_mask_of_the_middle_is_a_beginning(open_case):
    what = open_case("ct-1")
    found = segmented(what, EllipseSegmenter(), evolve(CLEAN, init="gt"))
    assert (found.masks[1][2] == (what.truth[2] == 1)).all()


def test_another_model_may_make_the_first_mask(open_case):
    what, named = open_case("ct-1"), []

    def named_model(name):
        named.append(name)
        return FakeSegmenter()

    protocol = evolve(CLEAN, init="medsam", initializer="fake")
    found = segmented(what, EllipseSegmenter(), protocol, named_model)
    assert named == ["fake"]
    assert (found.masks[1][2] == (what.truth[2] == 1)).all()  # what the fake finds


def test_frames_of_a_film_are_compared_one_by_one(open_case):
    what = open_case("film-1")
    (score,) = scores(what, EllipseSegmenter())
    first = EllipseSegmenter().segment_2d(what.image[1], CLEAN.box(what.truth[1] == 1, "", 1)).mask
    assert score.asked.index == 1
    each = [nsd(first, what.truth[t], spacing_mm=(1, 1), tolerance_mm=2) for t in range(1, 5)]
    assert score.nsd == pytest.approx(np.mean(each))
    assert score.dsc == dsc(np.stack([first] * 5), what.truth[1:])  # the empty last frame counts


def test_later_objects_take_pixels_where_the_paper_lets_them(tmp_path):
    one, two = np.zeros((30, 30), bool), np.zeros((30, 30), bool)
    one[5:20, 5:20] = True
    two[12:26, 12:26] = True
    truth = np.where(two, 2, one).astype(np.uint8)
    path = write_case(tmp_path, "two", truth, shown(one | two))
    manifest = prepare([Source("two", "p", "CT", path)], tmp_path / "out").manifest
    what = opened(manifest.cases[0], manifest.path(manifest.cases[0]))
    alone = segmented(what, FakeSegmenter(), CLEAN).masks
    over = segmented(what, FakeSegmenter(), PAPER).masks
    assert (alone[1] & alone[2]).any()
    assert not (over[1] & over[2]).any()
    assert (over[2] == alone[2]).all()


def test_what_is_too_small_is_not_asked_for(open_case):
    what = open_case("flat-2")
    assert [one.label for one in asked(what.case, what.truth, CLEAN)] == [1, 2]
    large = evolve(CLEAN, smallest_px=65)
    assert [one.label for one in asked(what.case, what.truth, large)] == [1]
    with pytest.raises(InvalidInput, match="no object of 999 pixels"):
        segmented(what, FakeSegmenter(), evolve(CLEAN, smallest_px=999))


def test_a_file_of_another_size_is_not_the_case(tmp_path):
    manifest = manifest_of(tmp_path)
    case = manifest.cases[0]
    np.savez(manifest.path(case), imgs=discs(1)[0], gts=np.zeros((3, 3), np.uint8))
    with pytest.raises(FileError, match="not the file that the manifest knows"):
        opened(case, manifest.path(case))


def test_a_volume_of_one_slice_has_a_border_and_no_faces(tmp_path):
    mask = discs(1)[0]
    path = write_case(tmp_path, "flat", mask[None].astype(np.uint8), spacing=(1.0, 1.0, 5.0))
    manifest = prepare([Source("flat", "p", "CT", path, kind="3d")], tmp_path / "out").manifest
    (case,) = manifest
    what = opened(case, manifest.path(case))
    wide = {1: np.roll(mask, 4, axis=1)[None]}
    found = evolve(segmented(what, EllipseSegmenter(), CLEAN), masks=wide)
    (score,) = scored(what, found, CLEAN)
    assert score.nsd == float(nsd(wide[1][0], mask, spacing_mm=(1, 1), tolerance_mm=2))
    assert score.nsd < 0.7
