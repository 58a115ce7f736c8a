"""What was done, so that somebody else can do it again: `--report run.json`.

No path and no name of a file stands in it, for both often name a patient; inputs are known by their
sha256. `--report-paths` adds the paths.
"""

import json
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from medsegany import checkpoints
from medsegany.cards import BY_NAME
from medsegany.cli._cases import Case
from medsegany.cli._prompts import Asked
from medsegany.errors import FileError
from medsegany.io._files import atomically
from medsegany.volume import Volume

PACKAGES = (
    "medsegany", "torch", "torchvision", "sam2", "segment-anything", "numpy", "scipy",
    "scikit-image", "nibabel", "SimpleITK", "pydicom", "av",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Of Python and of the packages that numbers may depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def model_of(name: str, checkpoint: Path | None, device: str) -> dict[str, Any]:
    """Which weights were used, by their hash; without the path of a user's own file."""
    path = checkpoint
    if path is None:
        given = Path(name)
        if name in BY_NAME:
            path = checkpoints.find(BY_NAME[name])
        elif given.is_dir():
            path = given / "model.safetensors"
        elif given.is_file():
            path = given
    known = name in BY_NAME
    return {
        "name": name if known else Path(name).name,
        "sha256": checkpoints.sha256(path) if path is not None and path.is_file() else None,
        "device": device,
    }


def geometry_of(volume: Volume) -> dict[str, Any]:
    """The grid of a volume."""
    return {
        "shape": list(volume.shape),
        "spacing_mm": list(volume.spacing_mm),
        "affine_ras_mm": volume.affine.tolist(),
        "preparation": volume.preparation or "as stored",
    }


def prompts_of(asked: Sequence[Asked], *, paths: bool) -> list[dict[str, Any]]:
    """Prompts in the words of the command line; a mask's path only where paths are asked for."""
    return [
        {"object": one.name, one.kind.removeprefix("--"): one.text}
        if one.kind != "--mask" or paths
        else {"object": one.name, "mask": "a file"}
        for one in asked
    ]


def check_report(path: Path | None, cases: Sequence[Case]) -> None:
    """Before the work: the report has a place, and replaces nothing but an older report.

    Raises:
        FileError: There is no such folder, or something else has that name.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        msg = f"--report {path}: there is no folder {path.parent}."
        raise FileError(msg)
    if path.resolve() in {p.resolve() for case in cases for p in (case.source, case.target)}:
        msg = f"--report {path} is an input or a result: the report needs a name of its own."
        raise FileError(msg)
    if path.exists():
        with path.open("rb") as file:
            if not file.read(64).startswith(b'{\n  "command": '):
                msg = f"--report {path}: a file of that name is there, and it is no report."
                raise FileError(msg)


def write_report(path: Path, command: str, content: dict[str, Any], *, paths: bool) -> None:
    """Write the report; it replaces an older one."""
    words: dict[str, Any] = {"command": command, "versions": versions(), **content}
    if paths:
        words["arguments"] = sys.argv[1:]
    text = json.dumps(words, indent=2) + "\n"
    atomically(path, lambda neighbour: _write(neighbour, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
