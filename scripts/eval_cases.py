"""Turn the manifest of the real cases into a table that `medsegany benchmark prepare` takes.

uv run python scripts/eval_cases.py ../shared/data/eval cases.csv
uv run medsegany benchmark prepare cases.csv -o bench/
"""

import argparse
import csv
import json
import os
from pathlib import Path


def main() -> None:
    """Write the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path, help="The folder with manifest.json.")
    options.add_argument("table", type=Path)
    given = options.parse_args()
    cases = json.loads((given.data / "manifest.json").read_text("utf-8"))["cases"]
    # "*" names instances, whose labels are many.
    labels = sorted({int(n) for case in cases for n in case["labels"] if n.isdecimal()})
    head = ["case", "patient", "modality", "kind", "image", "dataset", "licence", "synthetic"]
    with given.table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*head, *labels])
        for case in cases:
            path = os.path.relpath(given.data / case["npz"], given.table.parent)
            synthetic = "motion" if "synthetic_motion" in case["flags"] else ""
            writer.writerow([
                case["case"], case["patient"], case["modality"].split("_")[0], case["kind"], path,
                case["dataset"], case["licence"], synthetic,
                *(case["labels"].get(str(label), "") for label in labels),
            ])  # fmt: skip


if __name__ == "__main__":
    main()
