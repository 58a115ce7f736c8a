"""What was done, so that somebody else can do it again: `--report run.json`.

No path and no name of a file stands in it, for both often name a patient; inputs are known by their
sha256. `--report-paths` adds the paths.
"""

import hashlib
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
from medsegany.cli._prompts import Asked, path_and_slice
from medsegany.errors import FileError
from medsegany.io._files import atomically, make_folder
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


def model_of(name: str, checkpoint: Path | None) -> dict[str, Any]:
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
    """Prompts in the words of the command line; a mask by its hash and its slice."""
    found: list[dict[str, Any]] = []
    for one in asked:
        said: dict[str, Any] = {"object": one.name, one.kind.removeprefix("--"): one.text}
        if one.kind == "--mask":
            path, k = path_and_slice(one.text)
            said |= {"mask": str(path) if paths else "a file", "slice": k}
            said["sha256"] = hash_of(path)
        found.append(said)
    return found


def hash_of(path: Path | None) -> str | None:
    """The sha256 of a file; of a folder that of the hashes of its files, whatever their names."""
    if path is None or not path.exists():
        return None
    if path.is_file():
        return checkpoints.sha256(path)
    files = [p for p in path.rglob("*") if p.is_file() and p.name[0] != "."]
    hashes = sorted(checkpoints.sha256(p) for p in files)
    return hashlib.sha256("".join(hashes).encode("ascii")).hexdigest()


SETTINGS = "medsegany-run.json"
"""In a folder of results: with what they were made."""


def agree(command: str, said: dict[str, Any], cases: Sequence[Case], *, overwrite: bool) -> None:
    """A run that goes on does what it did before; otherwise one folder would hold two kinds.

    Raises:
        FileError: The results that are there were made by another model or other prompts.
    """
    folders = {case.target.parent for case in cases if case.in_folder}
    said = {"command": command, **said}
    said["model"] = {k: v for k, v in said["model"].items() if k != "device"}
    text = json.dumps(said, indent=2) + "\n"
    now = json.loads(text)
    for folder in folders:
        note = folder / SETTINGS
        there = any(case.target.exists() for case in cases if case.target.parent == folder)
        before = _settings(note) if there and not overwrite else None
        if before is not None:
            _refuse_others(folder, before, now)
        elif overwrite or not all(case.target.exists() for case in cases):
            make_folder(folder)
            atomically(note, lambda path: _write(path, text))


def _refuse_others(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    for key, value in now.items():
        if before.get(key) != value:
            msg = (
                f"The results in {folder} were made with another {key}: "
                f"{json.dumps(before.get(key))}, and now it is {json.dumps(value)}. Give another "
                "folder, or --overwrite to make them again."
            )
            raise FileError(msg)


def _settings(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


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
