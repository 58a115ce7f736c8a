"""Names that stand in the source stand in nothing that is written, printed or raised."""

import gzip
import logging
import pickle
import zlib

import numpy as np
import pytest

from medsegany import Box, errors, io
from medsegany.testing import FakeSegmenter

SECRETS = ["Mustermann", "19610412", "Geheimstrasse", "KH-4711", "Dr. Proktor", "Unfallklinik"]
TAGS = {
    "PatientName": "Mustermann^Erika",
    "PatientID": "KH-4711",
    "PatientBirthDate": "19610412",
    "PatientAddress": "Geheimstrasse 3",
    "ReferringPhysicianName": "Dr. Proktor",
    "InstitutionName": "Unfallklinik",
    "StudyDescription": "Mustermann Abdomen",
    "SeriesDescription": "Erika Mustermann venous",
    "ImageComments": "Mustermann, geb. 19610412",
    "StudyID": "KH-4711",
}


@pytest.fixture
def study(tmp_path, dicom, rng):
    voxels = rng.integers(0, 900, (5, 12, 14)).astype(np.uint16)
    dicom.series(tmp_path / "study", voxels, dicom.places(5), **TAGS)
    return tmp_path / "study"


def assert_clean(content: bytes, where: str):
    unpacked = [content]
    if content[:2] == b"\x1f\x8b":
        unpacked.append(gzip.decompress(content))
    for start in range(len(content) - 2):  # what is packed inside, as in MetaImage and PNG
        if content[start : start + 2] in (b"\x78\x9c", b"\x78\xda", b"\x78\x5e", b"\x78\x01"):
            try:
                unpacked.append(zlib.decompressobj().decompress(content[start:]))
            except zlib.error:
                continue
    for secret in SECRETS:
        for text in (secret.encode(), secret.encode("utf-16-le")):
            assert not any(text in part for part in unpacked), f"{secret} in {where}"


def test_the_secrets_are_in_the_source(study):
    content = b"".join(p.read_bytes() for p in study.iterdir())
    assert all(secret.encode() in content for secret in SECRETS)


def test_nothing_written_names_the_patient(tmp_path, study):
    volume = io.read_volume(study)
    out = FakeSegmenter().segment_volume(volume, Box(1, 1, 9, 9).at(2))
    folder = tmp_path / "out"
    folder.mkdir()
    for ending in (".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha", ".npz"):
        io.write_labels(folder / f"a{ending}", out.labels(), like=volume)
    io.write_labels(folder / "a.png", out.labels()[2], like=volume.voxels[2])
    tracking = FakeSegmenter().track_video(volume.voxels, Box(1, 1, 9, 9))
    io.write_video(folder / "video", tracking, like=volume.voxels)
    written = [p for p in folder.rglob("*") if p.is_file()]
    assert len(written) == 7 + 5 + 1
    for path in written:
        assert_clean(path.read_bytes(), path.name)


def test_nothing_said_names_the_patient(tmp_path, study, dicom, rng, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    volume = io.read_volume(study)
    assert_clean(repr(volume).encode() + pickle.dumps(volume), "the volume")
    assert_clean(repr(io.dicom_series(study)).encode(), "the list of series")
    assert_clean("".join(map(str, io.dicom_series(study))).encode(), "the list of series")
    voxels = rng.integers(0, 900, (5, 12, 14)).astype(np.uint16)
    dicom.series(tmp_path / "study" / "b", voxels, dicom.places(5), **TAGS, Modality="CT")
    said = []
    files = sorted(study.glob("*.dcm"))
    for wrong in (
        lambda: io.read_volume(study),
        lambda: io.read_volume(study, series=99),
        lambda: io.read_volume(study / "b"),
        lambda: io.read_volume(files[:2] + files[3:]),
        lambda: io.read_volume([*files, files[0]]),
        lambda: io.read_volume(files[0], frame=3),
    ):
        with pytest.raises(errors.MedSegAnyError) as caught:
            wrong()
        said.append(str(caught.value))
    for cut in range(200, files[0].stat().st_size, 40):
        (tmp_path / "cut.dcm").write_bytes(files[0].read_bytes()[:cut])
        try:
            io.read_volume(tmp_path / "cut.dcm")
        except errors.MedSegAnyError as error:
            said.append(str(error))
    assert_clean("\n".join(said).encode(), "an error")
    assert_clean(caplog.text.encode(), "the log")
    assert_clean("".join(capfd.readouterr()).encode(), "what was printed")
