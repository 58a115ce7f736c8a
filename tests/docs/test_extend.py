"""The backend on the page "extend" keeps the contract, as the page says."""

import re
from pathlib import Path

from medsegany.testing import SegmenterContract

PAGE = Path(__file__).parents[2] / "docs" / "extend.md"


class TestTheBackendOfThePage(SegmenterContract):
    def make_segmenter(self):
        code = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL).group(1)
        names = {}
        exec(code, names)
        classes = [v for v in names.values() if isinstance(v, type) and hasattr(v, "embed")]
        return next(c for c in classes if c.__module__ == "builtins")()


def test_it_has_about_thirty_lines():
    code = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL).group(1)
    lines = [line for line in code.splitlines() if line.strip()]
    assert 20 <= len(lines) <= 60
