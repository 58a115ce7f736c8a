"""Small things to train on."""

import nibabel
import numpy as np

from medsegany.testing.phantoms import disc, image_of
from medsegany.training import Clip


def moving_disc(frames=1, *, seed=0, size=(40, 50)):
    """A disc that moves to the right, one pixel a frame."""
    masks = np.stack([disc(size, centre=(15 + t, 18), radius=7) for t in range(frames)])
    return Clip(np.stack([image_of(mask, seed=seed + t) for t, mask in enumerate(masks)]), masks)


class Discs:
    """Twelve clips of discs, as `Clips` wants them; `bad` is the number of one that is spoilt."""

    def __init__(self, *, frames_seen=None):
        self.numbers = [] if frames_seen is None else frames_seen

    def __len__(self):
        return 12

    def clip(self, number, frames):
        self.numbers.append(number)
        return moving_disc(frames, seed=number % 12)


def write_nnunet(root, cases=6):
    """Volumes of six slices in nnU-Net's layout: a disc, and a second one on slices 3 and 4."""
    (root / "imagesTr").mkdir(parents=True)
    (root / "labelsTr").mkdir()
    for n in range(cases):
        truth = np.zeros((6, 32, 40), np.uint8)
        for k in range(1, 6):
            truth[k][disc((32, 40), centre=(12 + k, 14 + n % 3), radius=6)] = 1
        truth[3:5, disc((32, 40), centre=(30, 22), radius=4)] = 2
        images = np.stack([image_of(part > 0, seed=n) for part in truth])
        for name, array, kind in (
            (f"case_{n}_0000", images, "imagesTr"),
            (f"case_{n}", truth, "labelsTr"),
        ):
            file = nibabel.Nifti1Image(array.transpose(2, 1, 0), np.diag([1.0, 1.0, 2.0, 1.0]))
            nibabel.save(file, root / kind / f"{name}.nii.gz")
    return root
