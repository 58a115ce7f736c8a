"""The paper's public data sets: where each is to be had, and how its folder becomes cases."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from attrs import evolve, field, frozen

from medsegany.benchmark._preparation import PAPER, Preparation
from medsegany.benchmark._sources import Source, sources
from medsegany.errors import FileError, InvalidInput
from medsegany.io import ending, stem
from medsegany.io._files import is_folder


@frozen
class DataRecipe:
    """A data set of the paper (Ma et al., 2024, section 2), as it comes from its authors.

    Attributes:
        name: For `medsegany benchmark prepare --recipe`.
        title: What it is.
        tables: Of the paper that are measured on it.
        where: The page that it is to be had from; most ask for a registration.
        licence: As far as it can be said here; the page says what you may do.
        layout: How its folder has to look, unpacked and otherwise untouched.
        find: Finds the cases in a folder.
        labels: Label -> name.
        preparation: As the paper's released scripts prepare it.
    """

    name: str
    title: str
    tables: tuple[int, ...]
    where: str
    licence: str
    layout: str
    find: Callable[["DataRecipe", Path], Iterator[Source]] = field(repr=False, eq=False)
    labels: Mapping[int, str] = field(factory=dict, repr=False)
    preparation: Preparation = field(factory=Preparation)

    def sources(self, folder: str | Path) -> list[Source]:
        """Its cases, for `prepare`.

        Raises:
            FileError: There is no such folder, or it does not look as `layout` says.
            InvalidInput: A file's name does not say what it has to.
        """
        folder = Path(folder)
        if not is_folder(folder):
            msg = f"There is no folder {folder}. {self.title}: {self.where}"
            raise FileError(msg)
        found = sorted(self.find(self, folder), key=lambda source: source.id)
        if not found:
            msg = f"{folder} does not look like {self.title}, which has {self.layout}."
            raise FileError(msg)
        return found


# As folders and files of the challenge spell them, in lower case and without hyphens.
_MODALITIES = {
    "ct": "CT",
    "cxr": "XRay",
    "dermoscopy": "Dermoscopy",
    "endoscopy": "Endoscopy",
    "fundus": "Fundus",
    "mammo": "Mammography",
    "mammography": "Mammography",
    "microscope": "Microscopy",
    "microscopy": "Microscopy",
    "mr": "MR",
    "oct": "OCT",
    "pet": "PET",
    "us": "US",
    "xray": "XRay",
}


def _challenge(recipe: DataRecipe, folder: Path) -> Iterator[Source]:
    """Files with their own labels, or with those of the npz of that name in `gts`."""
    files = [path for path in sorted(folder.rglob("[!.]*.npz")) if path.parent.name != "gts"]
    names = Counter(map(stem, files))
    for path in files:
        beside = path.parent.parent / "gts" / path.name
        inside = path.relative_to(folder).parent.parts
        words = [*inside, *stem(path).split("_"), folder.resolve().name]
        spelt = [word.lower().replace("-", "") for word in words]
        modality = next((_MODALITIES[word] for word in spelt if word in _MODALITIES), None)
        if modality is None:
            msg = f"Neither {path.name} nor its folder names a modality, as 2DBox_MR_0001.npz does."
            raise InvalidInput(msg)
        # One name in two folders: they are told apart.
        name = stem(path) if names[stem(path)] == 1 else "-".join([*inside, stem(path)])
        yield Source(name, name, modality, path, beside if beside.exists() else None,
                     dataset=recipe.title, licence=recipe.licence)  # fmt: skip


def _flare22(recipe: DataRecipe, folder: Path) -> Iterator[Source]:
    for images in folder.glob("**/images"):
        labels = images.with_name("labels")
        if is_folder(labels):
            yield from sources(images, "CT", labels=labels, kind="3d", names=recipe.labels,
                               dataset=recipe.title, licence=recipe.licence)  # fmt: skip


def _camus(recipe: DataRecipe, folder: Path) -> Iterator[Source]:
    for path in folder.glob("**/patient*/patient*_half_sequence.nii*"):
        truth = path.with_name(f"{stem(path)}_gt{ending(path)}")
        name = stem(path).removesuffix("_half_sequence")
        yield Source(name, path.parent.name, "US", path, truth, "video", recipe.labels,
                     recipe.title, recipe.licence)  # fmt: skip


def _sun_seg(recipe: DataRecipe, folder: Path) -> Iterator[Source]:
    for path in folder.glob("**/Frame/*"):
        if is_folder(path):
            truth = path.parent.parent / "GT" / path.name
            # case12_3 is the third clip of the twelfth polyp.
            polyp = re.sub(r"_\d+$", "", path.name)
            part = "-".join(path.relative_to(folder).parts[:-2])
            yield Source(f"{part}-{path.name}" if part else path.name, polyp, "Endoscopy", path,
                         truth, "video", recipe.labels, recipe.title,
                         recipe.licence)  # fmt: skip


_ORGANS = ("liver", "right kidney", "spleen", "pancreas", "aorta", "inferior vena cava",
           "right adrenal gland", "left adrenal gland", "gallbladder", "esophagus", "stomach",
           "duodenum", "left kidney")  # fmt: skip

RECIPES: Mapping[str, DataRecipe] = {
    recipe.name: recipe
    for recipe in (
        DataRecipe(
            "cvpr24",
            "CVPR 2024: Segment Anything in Medical Images on Laptop",
            (1, 2, 3),
            "https://www.codabench.org/competitions/1847/",
            "each of its data sets has its own",
            "npz named by modality, such as 2DBox_MR_0001.npz, or in folders named so; labels in "
            "the same file or in gts/ beside imgs/",
            _challenge,
        ),
        DataRecipe(
            "camus",
            "CAMUS",
            (4,),
            "https://www.creatis.insa-lyon.fr/Challenge/camus/",
            "see its page",
            "patient0001/patient0001_2CH_half_sequence.nii.gz, and the same with _gt",
            _camus,
            {1: "left ventricle", 2: "myocardium", 3: "left atrium"},
        ),
        DataRecipe(
            "sun-seg",
            "SUN-SEG",
            (4,),
            "https://github.com/GewelsJI/VPS/blob/main/docs/DATA_PREPARATION.md",
            "for research, on request",
            "Frame/case1_1/*.jpg and GT/case1_1/*.png, in TestEasyDataset/Seen and so on",
            _sun_seg,
            {1: "polyp"},
        ),
        DataRecipe(
            "flare22",
            "FLARE22",
            (5,),
            "https://flare22.grand-challenge.org/",
            "see its page",
            "images/FLARE22_Tr_0001_0000.nii.gz and labels/FLARE22_Tr_0001.nii.gz",
            _flare22,
            dict(enumerate(_ORGANS, 1)),
            # The duodenum is left out by the released script.
            evolve(PAPER, window="abdomen", remove_labels=(12,)),
        ),
    )
}
"""By name. The released scripts read the challenge's npz for Tables 1 to 3, CAMUS and SUN-SEG for
Table 4, and FLARE22 for Table 5."""
