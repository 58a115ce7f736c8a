import json
import sys

import pytest

from medsegany import cli
from medsegany.cli import _common


class Done:
    """How a command ended.

    Attributes:
        code: Its exit code.
        out: Standard output.
        err: Standard error, on one line.
    """

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, " ".join(err.split())

    def json(self):
        return json.loads(self.out)


@pytest.fixture
def run(monkeypatch, capsys):
    """The command line, in this process: what a user sees and the code that a shell gets."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["medsegany", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "250")
        for name, stderr in (("out", False), ("err", True)):
            console = getattr(_common, name)
            monkeypatch.setattr(console, "_width", 250)
            monkeypatch.setattr(console, "_file", None)
            monkeypatch.setattr(console, "stderr", stderr)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return Done(ended.value.code or 0, out, err)

    return run
