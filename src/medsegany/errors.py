"""Every error that medsegany raises on purpose.

A message says what came, what was needed and, where one is likely, the slip behind it.
"""


class MedSegAnyError(Exception):
    """The base of all errors that medsegany raises on purpose."""


class InvalidInput(MedSegAnyError, ValueError):
    """An argument has a wrong value, shape or type."""


class InvalidImage(InvalidInput):
    """An image, stack or volume is not what the verbs take."""


class InvalidPrompt(InvalidInput):
    """A prompt is malformed, misses the image, or contradicts another one."""


class InvalidGeometry(InvalidInput):
    """An affine or a spacing does not describe a grid in space."""


class PromptNotSupported(MedSegAnyError, NotImplementedError):
    """The model does not take this kind of prompt (see `Segmenter.accepts`)."""


class PropagationNotSupported(MedSegAnyError, NotImplementedError):
    """The model cannot cross a stack in this way."""


class OutOfMemory(MedSegAnyError, MemoryError):
    """A device has not enough memory for this."""


class TrainingDiverged(MedSegAnyError, ArithmeticError):
    """The loss of a training became infinite or no number."""


class UnknownModel(MedSegAnyError, LookupError):
    """No model or backend has this name."""


class CheckpointError(MedSegAnyError):
    """A file of weights is missing, broken, or belongs to another model."""


class DownloadError(CheckpointError):
    """A file of weights cannot be fetched: no connection, a server that refuses, a full disk."""


class FileError(MedSegAnyError):
    """A file cannot be read or written, or holds something else than expected."""


class MissingDependency(MedSegAnyError, ImportError):
    """An optional package is needed for this and is not installed."""
