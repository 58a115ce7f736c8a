"""Voxels with their place in space."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import ArrayLike, NDArray

from medsegany._lps import affine_from_lps
from medsegany._rescale import rescale
from medsegany.errors import InvalidGeometry, InvalidImage
from medsegany.types import Affine

if TYPE_CHECKING:
    import nibabel as nib
    import SimpleITK as sitk


@frozen(eq=False)
class NiftiCodes:
    """What a NIfTI header says beside the affine, kept so that the same grid can be written again.

    Attributes:
        sform_code: Meaning of the sform (0 unknown, 1 scanner, 2 aligned, 3 Talairach, 4 MNI).
        qform_code: The same for the qform.
        qform: The qform's affine in the file's own units, which need not equal the sform's; None
            where it is the volume's own affine.
        units: Units of space and time, as nibabel names them.
    """

    sform_code: int = 1
    qform_code: int = 1
    qform: Affine | None = None
    units: tuple[str, str] = ("mm", "unknown")

    @property
    def mm(self) -> float:
        """How many millimetres the file's unit of space has; an unknown one is taken for mm."""
        return {"meter": 1000.0, "micron": 0.001}.get(self.units[0], 1.0)


def _affine(value: ArrayLike) -> Affine:
    try:
        affine = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = f"An affine is a 4x4 matrix of numbers, got {value!r}."
        raise InvalidGeometry(msg) from error
    if affine.shape != (4, 4):
        msg = f"An affine is a 4x4 matrix, got shape {affine.shape}."
        raise InvalidGeometry(msg)
    if not np.isfinite(affine).all():
        msg = f"The affine holds NaN or infinity:\n{affine}"
        raise InvalidGeometry(msg)
    if not np.allclose(affine[3], (0, 0, 0, 1)):
        msg = (
            f"The last row of an affine is (0, 0, 0, 1), got {tuple(affine[3].tolist())}. "
            "Is the matrix transposed?"
        )
        raise InvalidGeometry(msg)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    with np.errstate(all="ignore"):  # of numbers too small to divide by
        i, j, k = (affine[:3, :3] / spacing).T
        volume = abs(i @ np.cross(j, k))
    if not (spacing > 0).all() or not volume >= 1e-6:
        msg = (
            f"The affine is singular, so voxels have no place of their own:\n{affine}\n"
            "A spacing of zero is the usual reason."
        )
        raise InvalidGeometry(msg)
    affine.setflags(write=False)
    return affine


def _voxels(value: NDArray[Any]) -> NDArray[Any]:
    voxels = np.asarray(value)
    if voxels.ndim != 3 and not (voxels.ndim == 4 and voxels.shape[3] == 3):
        msg = f"A volume's voxels are (D, H, W) or (D, H, W, 3), got shape {voxels.shape}."
        if voxels.ndim == 2:
            msg += " One slice is voxels[None]."
        raise InvalidImage(msg)
    if voxels.dtype.kind not in "biuf":
        msg = f"A volume's voxels are numbers, got {voxels.dtype}."
        if voxels.dtype.kind == "c":
            msg += " Of complex ones take the magnitude: numpy.abs(voxels)."
        raise InvalidImage(msg)
    if 0 in voxels.shape:
        msg = f"The volume is empty: its shape is {voxels.shape}."
        raise InvalidImage(msg)
    return voxels


@frozen(eq=False, repr=False)
class Volume:
    """Voxels and the affine that places them in the patient.

    Nothing is ever reoriented: `voxels[k, j, i]` is the storage order of the file, and a result
    on this grid can be written back beside its source.

    Attributes:
        voxels: `(D, H, W)`, or `(D, H, W, 3)` for colour, axes k (slice), j (row), i (column).
        affine: 4x4; voxel `(i, j, k)` -> millimetres in RAS+. Note the order: the reverse of the
            array's axes.
        nifti: What a NIfTI header said beside the affine, or says in a result that is written as
            NIfTI.
        preparation: What was done to the intensities, in words; empty for values as stored.
        file_id: Device and inode of the file it was read from, if one: results never replace
            their own source. Not its path, which may name a patient.
    """

    voxels: NDArray[Any] = field(converter=_voxels)
    affine: Affine = field(converter=_affine)
    nifti: NiftiCodes = field(factory=NiftiCodes, kw_only=True)
    preparation: str = field(default="", kw_only=True)
    file_id: tuple[int, int] | None = field(default=None, kw_only=True)

    def __repr__(self) -> str:
        spacing = ", ".join(f"{s:.4g}" for s in self.spacing_mm)
        done = f", {self.preparation}" if self.preparation else ""
        return f"<Volume {self.voxels.dtype} {self.voxels.shape}, ({spacing}) mm{done}>"

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along (k, j, i), in millimetres."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return (k, j, i)

    @property
    def is_sheared(self) -> bool:
        """Whether the axes are not at right angles, as after a gantry tilt.

        Within 1e-4 radians or so, which is how precisely files store directions.
        """
        axes = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        return bool(np.abs(axes.T @ axes - np.eye(3)).max() > 1e-4)

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(D, H, W)`."""
        d, h, w = self.voxels.shape[:3]
        return (d, h, w)

    def with_voxels(self, voxels: NDArray[Any], preparation: str = "") -> "Volume":
        """The same grid with other values.

        Args:
            voxels: `(D, H, W)` or `(D, H, W, 3)` of this volume's shape.
            preparation: What was done, in words; added to what had been done before.

        Raises:
            InvalidImage: `voxels` lie on another grid.
        """
        if voxels.shape[:3] != self.shape:
            msg = f"The new voxels are {voxels.shape[:3]}, the volume is {self.shape}."
            raise InvalidImage(msg)
        done = "; ".join(filter(None, [self.preparation, preparation]))
        return evolve(self, voxels=voxels, preparation=done)

    @classmethod
    def from_spacing(cls, voxels: NDArray[Any], spacing_mm: Sequence[float]) -> "Volume":
        """A volume whose axes point along R, A and S, for data that brings a spacing only.

        Args:
            voxels: `(D, H, W)` or `(D, H, W, 3)`.
            spacing_mm: Millimetres between voxels along (k, j, i): array-axis order.
        """
        try:
            steps = np.asarray(spacing_mm, np.float64)
        except (TypeError, ValueError):
            steps = np.zeros(0)
        if steps.shape != (3,):
            msg = f"spacing_mm has one number for each of (k, j, i), got {spacing_mm!r}."
            raise InvalidGeometry(msg)
        if not (np.isfinite(steps) & (steps > 0)).all():
            msg = f"spacing_mm must be above zero, got {tuple(steps.tolist())}."
            raise InvalidGeometry(msg)
        return cls(voxels, np.diag([*steps[::-1].tolist(), 1.0]))

    @classmethod
    def from_nibabel(cls, image: "nib.spatialimages.SpatialImage") -> "Volume":
        """Wrap a nibabel image of three dimensions.

        nibabel indexes `[i, j, k]`; the voxels here are its array transposed, `[k, j, i]`.

        Raises:
            InvalidImage: The image does not have three dimensions.
        """
        if len(image.shape) != 3:
            msg = (
                f"A volume has three dimensions, this image has {len(image.shape)}: "
                f"{image.shape}. Of a 4D image, take one: image.slicer[..., 0]."
            )
            raise InvalidImage(msg)
        codes = _codes(image.header)
        affine = np.array(image.affine, np.float64)
        affine[:3] *= codes.mm
        stored = _stored(image.dataobj)
        if stored.dtype.names in {("R", "G", "B"), ("R", "G", "B", "A")}:
            stored = np.stack([stored[name] for name in "RGB"], axis=-1)
        return cls(np.swapaxes(stored, 0, 2), affine, nifti=codes)

    @classmethod
    def from_sitk(cls, image: "sitk.Image") -> "Volume":
        """Wrap a SimpleITK image of three dimensions, scalar or RGB.

        SimpleITK's physical points are LPS+; the affine here is RAS+.

        Raises:
            InvalidImage: The image does not have three dimensions.
        """
        import SimpleITK as sitk  # noqa: PLC0415 -- heavy, and most users never need it

        if image.GetDimension() != 3:
            msg = f"A volume has three dimensions, this image has {image.GetDimension()}."
            raise InvalidImage(msg)
        direction = np.array(image.GetDirection()).reshape(3, 3)
        steps = direction * np.array(image.GetSpacing())
        return cls(sitk.GetArrayFromImage(image), affine_from_lps(steps, image.GetOrigin()))


def _stored(data: Any) -> NDArray[Any]:  # noqa: ANN401 -- nibabel is published without types
    if not hasattr(data, "get_unscaled"):
        return np.asanyarray(data)
    stored = np.asanyarray(data.get_unscaled())
    values = rescale(stored, data.slope, data.inter)
    if isinstance(values, np.memmap):  # of a file that others can still change
        values = np.array(values)
    return values


def _codes(header: Any) -> NiftiCodes:  # noqa: ANN401 -- nibabel is published without types
    from nibabel.spatialimages import HeaderDataError  # noqa: PLC0415 -- keeps the import fast

    if not hasattr(header, "get_qform"):
        return NiftiCodes()
    try:
        qform, qform_code = header.get_qform(coded=True)
    except (ValueError, HeaderDataError):  # a quaternion that is none, beside a good sform
        qform, qform_code = None, 0
    try:
        units = tuple(header.get_xyzt_units())
    except KeyError:  # a code that the standard does not know
        units = ("unknown", "unknown")
    return NiftiCodes(
        sform_code=int(header["sform_code"]),
        qform_code=int(qform_code),
        qform=None if qform is None else np.array(qform),
        units=units,
    )
