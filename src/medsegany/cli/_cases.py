"""Which files are meant, and where their results go."""

from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from medsegany.cli._common import NotUnderstood
from medsegany.errors import FileError, InvalidInput
from medsegany.io import PICTURES, VIDEOS, VOLUMES, dicom_series, ending, read_volume, stem
from medsegany.io._dicom_header import NAMED_SO
from medsegany.io._files import by_stem
from medsegany.io._labels import WRITTEN
from medsegany.preprocess import AnyWindow
from medsegany.volume import Volume


@frozen
class Case:
    """One input.

    Attributes:
        source: A file, or a folder of DICOM.
        target: Where its result goes.
        reference: Its label map, if any.
        in_folder: Whether the user named the folder of results and not this one: it is made.
        missing: Why it cannot be done, where that is known before.
    """

    source: Path
    target: Path
    reference: Path | None = None
    in_folder: bool = False
    missing: str = ""

    @property
    def name(self) -> str:
        """For tables."""
        return self.source.name


def find_cases(
    inputs: Sequence[Path],
    output: Path,
    reference: Path | None,
    *,
    kinds: frozenset[str],
    written: str | None = None,
) -> list[Case]:
    """The cases of a command; one when the output is a file, else one for each input.

    Args:
        inputs: Files and folders as given. A folder with files of these kinds stands for all of
            them, any other folder is one case of DICOM.
        output: A file for one case, a folder for several.
        reference: A file for one case, a folder with files of the same names for several.
        kinds: Endings of inputs.
        written: Ending of results; None for that of the source, or the nearest that is written.

    Raises:
        FileError: There is nothing to do, or two inputs would have one result.
        NotUnderstood: Several inputs and one output, or an output that cannot be one.
    """
    sources = [source for path in inputs for source in _expanded(path, kinds)]
    if ending(output) in WRITTEN and not output.is_dir():
        if len(sources) > 1:
            msg = f"There are {len(sources)} inputs, and {output} is one file: give a folder."
            raise NotUnderstood(msg)
        if ending(output) == ".png" and ending(sources[0]) not in PICTURES:
            msg = f"-o {output}: a PNG holds one slice. For a volume .nii.gz, .seg.nrrd, .mha, ..."
            raise NotUnderstood(msg)
        return [_case(sources[0], output, reference, in_folder=False)]
    _refuse_no_folder(output, inputs)
    cases = []
    for source in sources:
        kind = _result_kind(source) if written is None else written
        target = output / f"{stem(source)}{kind}"
        cases.append(_case(source, target, reference, in_folder=True))
    seen: dict[Path, Case] = {}
    for case in cases:
        other = seen.setdefault(case.target, case)
        if other is not case:
            msg = f"{other.name} and {case.name} would both be written to {case.target}."
            raise FileError(msg)
    return cases


def volume_of(
    path: Path,
    *,
    window: AnyWindow | None,
    frame: int | None,
    series: str | None,
    stack: int | None,
) -> Volume:
    """A volume by the options of the command line.

    Raises:
        NotUnderstood: Both a series and a stack, or a stack that is not there.
    """
    if stack is None:
        number = int(series) if series is not None and series.isdecimal() else series
        return read_volume(path, window=window, frame=frame, series=number)
    if series is not None:
        msg = "--series and --stack both say which images are meant: give one of them."
        raise NotUnderstood(msg)
    found = dicom_series(path)
    if not 0 <= stack < len(found):
        listed = "".join(f"\n  --stack {n}: {one}" for n, one in enumerate(found))
        msg = f"{path} has no stack {stack}. There is{listed}"
        raise NotUnderstood(msg)
    return read_volume(found[stack].files, window=window, frame=frame)


def _refuse_no_folder(output: Path, inputs: Sequence[Path]) -> None:
    known = PICTURES | VIDEOS | VOLUMES | {".json", ".csv", ".dcm", ".gz"}
    if not output.is_dir() and ending(output) in known:
        msg = (
            f"-o {output}: label maps are written as {', '.join(sorted(WRITTEN))}; any other name "
            "is that of a folder."
        )
        raise NotUnderstood(msg)
    if any(path.is_dir() and path.resolve() == output.resolve() for path in inputs):
        msg = f"-o {output} is the folder of the inputs: results need a folder of their own."
        raise NotUnderstood(msg)


def _case(source: Path, target: Path, reference: Path | None, *, in_folder: bool) -> Case:
    if reference is None or not reference.is_dir():
        return Case(source, target, reference, in_folder)
    found = by_stem(p for p in label_maps(reference) if stem(p) == stem(source))
    if found:
        return Case(source, target, found[stem(source)], in_folder)
    msg = f"The folder {reference} has no label map named as {source.name}."
    return Case(source, target, None, in_folder, missing=msg)


def label_maps(folder: Path) -> list[Path]:
    """The label maps of a folder, by name."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and ending(path) in {*WRITTEN, ".nhdr"} and path.name[0] != "."
    ]


def _expanded(path: Path, kinds: frozenset[str]) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            msg = f"There is no file or folder {path}."
            raise FileError(msg)
        return [path]
    inside = sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != ".")
    found = [p for p in inside if ending(p) in kinds]
    if found and any(p.suffix.lower() in NAMED_SO for p in inside):
        msg = (
            f"{path} holds DICOM and other files, such as {found[0].name}: give the files, or "
            "put the DICOM into a folder of its own."
        )
        raise InvalidInput(msg)
    return found or [path]


def _result_kind(source: Path) -> str:
    kind = ending(source)
    if kind in PICTURES:
        return ".png"
    return kind if kind in WRITTEN else ".nii.gz"


IMAGES = frozenset(PICTURES | set(VOLUMES))
FILMS = frozenset(VIDEOS | {".npz", ".gif"})
