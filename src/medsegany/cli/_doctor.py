"""`medsegany doctor`: what works on this machine, what does not, and why."""

import importlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import typer
from rich.table import Table

import medsegany
from medsegany import checkpoints
from medsegany.cli import _common as common
from medsegany.cli._common import out
from medsegany.cli._report import versions

_IMPORTS = ("torch", "torchvision", "sam2", "segment_anything", "SimpleITK", "nibabel", "pydicom",
            "nrrd", "av", "skimage")  # fmt: skip

Check = tuple[str, str, bool]
"""What was looked at, what was found, and whether it is well."""


def doctor(as_json: common.AsJson = False) -> None:
    """Look at versions, devices, weights and folders; exit code 1 when something is broken."""
    checks = [*_packages(), *_devices(), *_weights(), *_decoders(), _metrics()]
    if as_json:
        common.print_json(
            {
                "versions": versions(),
                "checks": [{"what": w, "found": f, "ok": ok} for w, f, ok in checks],
            }
        )
    else:
        table = Table("package", "version")
        for name, version in versions().items():
            table.add_row(name, version)
        out.print(table)
        shown = Table("", "what", "found")
        for what, found, ok in checks:
            shown.add_row("[green]ok[/]" if ok else "[red]no[/]", what, _plain(found))
        out.print(shown)
    if not all(ok for *_, ok in checks):
        raise typer.Exit(common.FAILED)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def _packages() -> list[Check]:
    return [(f"import {name}", *_tried(partial(_imported, name))) for name in _IMPORTS]


def _imported(name: str) -> str:
    if name == "sam2":  # which sets up a global hydra: in its own home that is undone
        importlib.import_module("medsegany.backends.sam2")
    else:
        importlib.import_module(name)
    return "works"


def _tried(work: Callable[[], str]) -> tuple[str, bool]:
    """What came of it, or the original error."""
    try:
        return work(), True
    except Exception as error:  # noqa: BLE001 -- a broken package raises anything
        return f"{type(error).__name__}: {error}", False


def _devices() -> list[Check]:
    return [
        ("devices", *_tried(_device_words)),
        ("threads", *_tried(_thread_words)),
        ("bfloat16", *_tried(_bfloat16_words)),
    ]


def _device_words() -> str:
    torch: Any = importlib.import_module("torch")
    found = []
    for n in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        memory = torch.cuda.get_device_properties(n).total_memory / 2**30
        found.append(f"cuda:{n} {torch.cuda.get_device_name(n)}, {memory:.0f} GiB")
    if torch.backends.mps.is_available():
        found.append("mps")
    if found:
        return "; ".join([*found, "cpu"])
    built = "with" if torch.version.cuda else "without"
    return (
        f"cpu only (this torch is built {built} CUDA). Learnt models are slow: seconds for an "
        "image, minutes for a volume. Smaller models, and --image-size 512, help."
    )


def _bfloat16_words() -> str:
    device = importlib.import_module("medsegany.backends._device")
    words = {True: "this CPU computes in it", False: "slow on this CPU: leave dtype as it is"}
    return words.get(device.computes_in_bfloat16(), "not known whether this CPU computes in it")


def _thread_words() -> str:
    torch: Any = importlib.import_module("torch")
    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    slow = f", of {cores} cores: OMP_NUM_THREADS limits it" if threads < cores // 2 else ""
    return f"{threads}{slow}"


def _weights() -> list[Check]:
    folder = checkpoints.home() / "checkpoints"
    here = [card.name for card in medsegany.models() if card.path is not None]
    words = ", ".join(here) or "none: `medsegany models pull NAME` fetches some"
    offline = "yes: nothing is downloaded" if checkpoints.offline() else "no"
    proxies = [n for n in ("HTTPS_PROXY", "https_proxy") if os.environ.get(n)]
    return [
        ("weights here", words, True),
        ("weights folder", *_tried(lambda: _writable(folder))),
        ("MEDSEGANY_OFFLINE", offline, True),
        ("proxy", f"taken from {proxies[0]}" if proxies else "none", True),
    ]


def _writable(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder):
        return f"{folder}, writable"


def _metrics() -> Check:
    from medsegany import metrics  # noqa: PLC0415 -- scipy's statistics are slow to import

    words = "compiled"
    if not metrics.is_compiled():
        words = "numpy and scipy: the same values, 7 to 90 times slower. There was no C compiler"
    return "surface metrics", words, True


def _decoders() -> list[Check]:
    return [("compressed DICOM", *_tried(_decoder_words))]


def _decoder_words() -> str:
    from pydicom.pixels.decoders.base import get_decoder  # noqa: PLC0415 -- slow, and only here
    from pydicom.uid import (  # noqa: PLC0415
        JPEG2000Lossless,
        JPEGBaseline8Bit,
        JPEGLosslessSV1,
        JPEGLSLossless,
        RLELossless,
    )

    kinds = {
        "RLE": RLELossless,
        "JPEG": JPEGBaseline8Bit,
        "JPEG lossless": JPEGLosslessSV1,
        "JPEG-LS": JPEGLSLossless,
        "JPEG 2000": JPEG2000Lossless,
    }
    can = [name for name, uid in kinds.items() if get_decoder(uid).is_available]
    lacks = [name for name in kinds if name not in can]
    words = f"reads {', '.join(can)}"
    return f"{words}; not {', '.join(lacks)}: pip install 'medsegany[dicom]'" if lacks else words
