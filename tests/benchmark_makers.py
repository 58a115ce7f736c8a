"""Small cases whose scores can be worked out by hand, and models that misbehave."""

import textwrap

import numpy as np

from medsegany.benchmark import Source, prepare
from medsegany.testing import phantoms


def shown(mask):
    """Bright where the object is: `FakeSegmenter` finds all of it."""
    return np.where(mask, 200, 20).astype(np.uint8)


def write_case(folder, name, truth, image=None, **arrays):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.npz"
    image = shown(truth > 0) if image is None else image
    np.savez_compressed(path, imgs=image, gts=truth, **arrays)
    return path


def discs(count):
    """Masks of a disc that grows."""
    return [phantoms.disc((40, 48), (20, 18), 6 + n) for n in range(count)]


def three_kinds(folder):
    """Two images of one patient, a volume and a film."""
    image = discs(1)[0].astype(np.uint8)
    two = image.copy()
    two[30:38, 38:46] = 2
    stack = np.stack(discs(4)).astype(np.uint8)
    empty = np.zeros_like(stack[:1])
    volume = np.concatenate([empty, stack, empty])
    return [
        Source("flat-1", "anna", "Endoscopy", write_case(folder, "flat-1", image), labels={1: "a"}),
        Source("flat-2", "anna", "Endoscopy", write_case(folder, "flat-2", two)),
        Source("ct-1", "bert", "CT", write_case(folder, "ct-1", volume, spacing=(1.0, 1.0, 3.0))),
        Source("film-1", "cleo", "US", write_case(folder, "film-1", volume), kind="video"),
    ]


def manifest_of(folder):
    return prepare(three_kinds(folder / "source"), folder / "data").manifest


EVIL = """
import os, threading, time
from pathlib import Path
import numpy as np
from medsegany.testing.fakes import FakeSegmenter

class Evil(FakeSegmenter):
    version = "1"

    def embed(self, image):
        what = int(np.max(image))
        if what == 251:
            raise RuntimeError("no such organ")
        if what == 252:
            time.sleep(60)
        if what == 253:
            os._exit(9)
        if what == 254 and not Path(os.environ["EVIL_FILE"]).exists():
            Path(os.environ["EVIL_FILE"]).touch()
            threading.Timer(0.5, os._exit, [9]).start()
        if what == 250:
            time.sleep(1.5)
        return super().embed(image)

def evil(*, checkpoint=None, device=None, dtype=None):
    return Evil()
"""


def install_evil(folder, monkeypatch):
    """A package with a model that fails, hangs or dies on images of a certain brightness."""
    about = folder / "evil_model-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "evil_model.py").write_text(textwrap.dedent(EVIL))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: evil-model\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[medsegany.backends]\nevil = evil_model:evil\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(folder)


def evil_manifest(folder):
    """Six images; the second fails, the third hangs, the fifth kills."""
    cases = []
    for n, brightness in enumerate((200, 251, 252, 200, 253, 200)):
        mask = phantoms.disc((32, 32), (16, 16), 5 + n)
        image = np.where(mask, brightness, 20).astype(np.uint8)
        path = write_case(folder / "source", f"case-{n}", mask.astype(np.uint8), image)
        cases.append(Source(f"case-{n}", f"patient-{n}", "CT", path))
    return prepare(cases, folder / "data").manifest
