"""How long `import medsegany` takes, beside what it stands on, each in a fresh interpreter.

Prints the best of several runs; nothing is asserted. The goal is below 0.3 s.
"""

import statistics
import subprocess
import sys
import time

RUNS = 7
STATEMENTS = ("pass", "import numpy", "import attrs", "import medsegany", "import torch")


def seconds(statement: str) -> float:
    """One fresh interpreter."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print a table: best and median of several runs, less the bare interpreter's best."""
    seconds("import medsegany, torch")  # compiled files and the disk's cache
    times = {statement: [seconds(statement) for _ in range(RUNS)] for statement in STATEMENTS}
    bare = min(times["pass"])
    print(f"{'statement':<20}{'best, s':>10}{'median, s':>12}")
    for statement, found in times.items():
        best, median = min(found) - bare, statistics.median(found) - bare
        print(f"{statement:<20}{best:>10.3f}{median:>12.3f}")


if __name__ == "__main__":
    main()
