"""The command line."""

from medsegany.cli._main import app, main

__all__ = ["app", "main"]
