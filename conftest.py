"""Examples in the docs, the README and docstrings are tests; they run in an empty folder."""

import os
import warnings
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers import markdown, myst

# NumPy and torch print numbers in their own ways from version to version: examples assert instead.


@pytest.fixture(scope="module")
def _elsewhere(tmp_path_factory):
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("docs"))
    with warnings.catch_warnings():
        yield
    os.chdir(before)


pytest_collect_file = (
    Sybil(
        parsers=[markdown.PythonCodeBlockParser(), markdown.SkipParser()],
        patterns=["README.md"],
        fixtures=["_elsewhere"],
    )
    + Sybil(
        parsers=[myst.PythonCodeBlockParser(), myst.SkipParser()],
        patterns=["*.md"],
        path=str(Path(__file__).parent / "docs"),
        fixtures=["_elsewhere"],
    )
).pytest()
