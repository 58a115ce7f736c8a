"""Examples in the docs, the README and docstrings are tests; they run in an empty folder."""

import os
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers import markdown, myst


@pytest.fixture(scope="module")
def _elsewhere(tmp_path_factory):
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("docs"))
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
        excludes=["_build/**", "auto_examples/**"],
        fixtures=["_elsewhere"],
    )
).pytest()
