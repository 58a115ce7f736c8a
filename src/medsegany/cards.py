"""Every model that `load` knows by name: one table of addresses, sizes and hashes.

Hashes: SAM and SAM 2 files agree between at least two independent public listings. MedSAM's comes
from one; of MedSAM2 none is published.
"""

from pathlib import Path
from typing import Literal, TypeAlias

from attrs import frozen

from medsegany.errors import InvalidInput

Family: TypeAlias = Literal["classical", "sam1", "sam2", "medsam"]

NANO = "sam2.1/medsegany_nano"
"""The architecture of a small SAM 2.1 of medsegany's own."""

_SHIPPED = Path(__file__).parent / "weights"

_APACHE = "Apache-2.0"
_SAM1 = "https://dl.fbaipublicfiles.com/segment_anything/"
_SAM2 = "https://dl.fbaipublicfiles.com/segment_anything_2/072824/"
_SAM21 = "https://dl.fbaipublicfiles.com/segment_anything_2/092824/"


@frozen
class ModelCard:
    """What there is to know of a model before loading it.

    Attributes:
        name: What `load` calls it.
        family: The backend that runs it.
        architecture: What the official package calls its shape; empty without weights.
        parameters: Number of weights.
        image_size: Side in pixels of the square it looks at; None where it looks at the image.
        licence: Of the weights.
        url: Where the weights are published; None where there are none.
        bytes: Size of the file; None where it is not published.
        sha256: Of the file; None where it is not published.
        path: Where the file lies on this machine; None where it does not.
        box_hint: Whether it was trained to get each box as an ellipse, too.
        crop: The sides of what it looks at for one object, in terms of the object's box; None
            where it looks at the whole image.
        zooms: Whether it can look from nearer, too: then it looks for what a click means at every
            size, and in tiles at what is large and thin.
    """

    name: str
    family: Family
    architecture: str
    parameters: int
    image_size: int | None
    licence: str
    url: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    path: Path | None = None
    box_hint: bool = False
    crop: float | None = None
    zooms: bool = False

    @property
    def file_name(self) -> str | None:
        """The published name of the file."""
        return None if self.url is None else self.url.rsplit("/", 1)[-1]

    @property
    def here(self) -> bool:
        """Whether it can be loaded without downloading anything."""
        return self.url is None or self.path is not None


def crop_times(value: object) -> float | None:
    """How much of an image a model looks at, in terms of an object's box; None for all of it.

    Raises:
        InvalidInput: It is neither None nor a number from 1 to below 100.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value < 100:
        msg = f'crop is a number from 1 (the box itself), None or "auto", got {value!r}.'
        raise InvalidInput(msg)
    return float(value)


CARDS = (
    ModelCard(
        "nano",
        "sam2",
        NANO,
        6_472_258,
        224,
        "CC-BY-SA-4.0",
        bytes=12_992_420,
        sha256="0ba79906f3885fc9d741d459d0015079320d435a8970be22848fe191e057cbbb",
        path=_SHIPPED / "nano.safetensors",
        box_hint=True,
        crop=1.5,
        zooms=True,
    ),
    ModelCard("classical", "classical", "", 0, None, _APACHE),
    ModelCard(
        "sam1-b",
        "sam1",
        "vit_b",
        93_735_472,
        1024,
        _APACHE,
        _SAM1 + "sam_vit_b_01ec64.pth",
        375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    ModelCard(
        "sam1-l",
        "sam1",
        "vit_l",
        312_342_832,
        1024,
        _APACHE,
        _SAM1 + "sam_vit_l_0b3195.pth",
        1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    ModelCard(
        "sam1-h",
        "sam1",
        "vit_h",
        641_090_608,
        1024,
        _APACHE,
        _SAM1 + "sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
    ModelCard(
        "sam2-t",
        "sam2",
        "sam2/sam2_hiera_t",
        38_945_986,
        1024,
        _APACHE,
        _SAM2 + "sam2_hiera_tiny.pt",
        155_906_050,
        "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125",
    ),
    ModelCard(
        "sam2-s",
        "sam2",
        "sam2/sam2_hiera_s",
        46_043_842,
        1024,
        _APACHE,
        _SAM2 + "sam2_hiera_small.pt",
        184_309_650,
        "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3",
    ),
    ModelCard(
        "sam2-b",
        "sam2",
        "sam2/sam2_hiera_b+",
        80_833_666,
        1024,
        _APACHE,
        _SAM2 + "sam2_hiera_base_plus.pt",
        323_493_298,
        "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071",
    ),
    ModelCard(
        "sam2-l",
        "sam2",
        "sam2/sam2_hiera_l",
        224_430_130,
        1024,
        _APACHE,
        _SAM2 + "sam2_hiera_large.pt",
        897_952_466,
        "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b",
    ),
    ModelCard(
        "sam2.1-t",
        "sam2",
        "sam2.1/sam2.1_hiera_t",
        38_962_498,
        1024,
        _APACHE,
        _SAM21 + "sam2.1_hiera_tiny.pt",
        156_008_466,
        "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
    ),
    ModelCard(
        "sam2.1-s",
        "sam2",
        "sam2.1/sam2.1_hiera_s",
        46_060_354,
        1024,
        _APACHE,
        _SAM21 + "sam2.1_hiera_small.pt",
        184_416_285,
        "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
    ),
    ModelCard(
        "sam2.1-b",
        "sam2",
        "sam2.1/sam2.1_hiera_b+",
        80_850_178,
        1024,
        _APACHE,
        _SAM21 + "sam2.1_hiera_base_plus.pt",
        323_606_802,
        "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
    ),
    ModelCard(
        "sam2.1-l",
        "sam2",
        "sam2.1/sam2.1_hiera_l",
        224_446_642,
        1024,
        _APACHE,
        _SAM21 + "sam2.1_hiera_large.pt",
        898_083_611,
        "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
    ),
    ModelCard(
        "medsam",
        "medsam",
        "vit_b",
        93_735_472,
        1024,
        _APACHE,
        "https://zenodo.org/records/10689643/files/medsam_vit_b.pth",
        375_049_145,
        "34b34b78c1d18cb8c6bf84cf9c00e135d6d6c965699f3c0e31ef1bc9dcb5be74",
    ),
    ModelCard(
        "medsam2",
        "sam2",
        "sam2.1/sam2.1_hiera_t",
        38_962_498,
        512,
        "CC-BY-SA-4.0",
        "https://huggingface.co/wanglab/MedSAM2/resolve/main/MedSAM2_latest.pt",
    ),
)
"""All of them: the small model that comes along, the weightless baseline, SAM, SAM 2 and MedSAM."""

BY_NAME = {card.name: card for card in CARDS}
