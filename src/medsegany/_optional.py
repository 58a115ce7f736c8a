"""Optional packages: imported when first needed, with the command that installs a missing one."""

from importlib import import_module
from types import ModuleType

from medsegany.errors import MissingDependency


def optional_import(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a module that only some users have.

    Args:
        module: Dotted name of the module.
        extra: The extra of medsegany that installs it.
        purpose: What it is needed for, as the end of the sentence "... is needed to".

    Raises:
        MissingDependency: It is not installed. The original ImportError is its cause.
    """
    try:
        return import_module(module)
    except ImportError as error:
        msg = f"{module} is needed to {purpose}. Install it with: pip install 'medsegany[{extra}]'"
        raise MissingDependency(msg) from error
