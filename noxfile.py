"""The tasks of medsegany: `uv run nox -l` lists them, `uv run nox -s tests` runs one."""

import os
import tempfile
from pathlib import Path

import nox

# uv owns the one environment, .venv; nox only gives the tasks their names.
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "tests", "docs"]


def uv(session: nox.Session, *arguments: str) -> None:
    session.run("uv", *arguments, external=True)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the plain suite; arguments after `--` go to pytest."""
    uv(session, "run", "--extra", "test", "pytest", *session.posargs)


@nox.session
def tests_slow(session: nox.Session) -> None:
    """Run the tests that build a model at its real size."""
    uv(session, "run", "--extra", "test", "pytest", "-m", "slow", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff."""
    uv(session, "run", "--extra", "dev", "ruff", "check")
    uv(session, "run", "--extra", "dev", "ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types inside, with mypy, and those that users see, with mypy and pyright."""
    uv(session, "run", "--extra", "dev", "mypy")
    uv(session, "run", "--extra", "dev", "python", "typing_tests/check.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the docs into docs/_build/html; a warning is an error."""
    sphinx = ["sphinx-build", "-n", "-W", "--keep-going", "-b", "html"]
    uv(session, "run", "--extra", "docs", *sphinx, *session.posargs, "docs", "docs/_build/html")


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist and the wheel into dist/."""
    uv(session, "build")


@nox.session
def wheel(session: nox.Session) -> None:
    """Install the wheel alone into a fresh environment, and see that it answers."""
    with tempfile.TemporaryDirectory() as folder:
        uv(session, "build", "--wheel", "--out-dir", folder)
        [built] = Path(folder).glob("*.whl")
        venv = Path(folder) / "venv"
        uv(session, "venv", str(venv))
        # Still inside the checkout: uv reads from pyproject.toml how sam2 is to be built.
        uv(session, "pip", "install", "--python", str(venv), str(built))
        programs = venv / ("Scripts" if os.name == "nt" else "bin")
        with session.chdir(folder):  # outside the checkout, only the wheel can answer
            ask = "import medsegany; print(medsegany.__version__, medsegany.metrics.is_compiled())"
            session.run(str(programs / "python"), "-c", ask, external=True)
            session.run(str(programs / "medsegany"), "--version", external=True)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure how long `import medsegany` takes."""
    uv(session, "run", "python", "benchmarks/import_time.py", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the demo: a box becomes a mask, and the mask crosses a volume."""
    uv(session, "run", "medsegany", "demo", *session.posargs)
