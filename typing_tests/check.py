"""Hold the public types to their promise, with mypy and with pyright.

Files in `passes` have no errors. In `fails` just the lines marked `# error` have one.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
Lines = set[tuple[str, int]]


def mypy(folder: Path) -> Lines:
    done = run("mypy", "--strict", "--no-error-summary", "--show-error-codes", str(folder))
    found = re.findall(r"^(.+?):(\d+): error:", done, re.MULTILINE)
    return {(Path(file).name, int(line)) for file, line in found}


def pyright(folder: Path) -> Lines:
    report = json.loads(run("pyright", "--outputjson", str(folder)))
    if not report["summary"]["filesAnalyzed"]:
        sys.exit(f"pyright looked at no file in {folder}")
    return {
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1)
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    }


def run(*command: str) -> str:
    done = subprocess.run(  # noqa: S603 -- our own words
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE.parent,
    )
    if done.stderr.strip() and not done.stdout.strip():
        sys.exit(done.stderr)
    return done.stdout


def marked(folder: Path) -> Lines:
    return {
        (path.name, number)
        for path in sorted(folder.glob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if line.endswith("# error")
    }


def main() -> None:
    wrong = 0
    for checker in (mypy, pyright):
        for folder in (HERE / "passes", HERE / "fails"):
            found, expected = checker(folder), marked(folder)
            for file, line in sorted(found ^ expected):
                wrong += 1
                said = "an error that nobody expected" if (file, line) in found else "no error"
                print(f"{checker.__name__}: {folder.name}/{file}:{line}: {said}")
            print(f"{checker.__name__}: {folder.name}: {len(found)} errors")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
