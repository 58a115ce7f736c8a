"""Put trained weights into the package, as float16, and say what the card has to say of them.

uv run python scripts/nano/ship.py runs/nano/stage-5/best.safetensors
    --before runs/nano/stage-4/best.safetensors --keep 0.25 -o runs/nano/mixed-5.safetensors
"""

import argparse
from pathlib import Path

from safetensors.torch import save_file
from weights import read

import medsegany
from medsegany.checkpoints import sha256
from medsegany.training._weights import between

_PLACE = Path(medsegany.__file__).parent / "weights" / "nano.safetensors"


def main() -> None:
    """Convert, and print the lines of the card."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("weights", type=Path)
    options.add_argument("--before", type=Path, help="Weights of the stage before, to be mixed in.")
    options.add_argument("--keep", type=float, default=0.0, help="The part of those.")
    options.add_argument("-o", "--output", type=Path, default=_PLACE, help="Not the package.")
    given = options.parse_args()
    state = read(given.weights)
    if given.before is not None:
        state = between(state, read(given.before), given.keep)
    path: Path = given.output
    path.parent.mkdir(exist_ok=True)
    save_file({name: value.half() for name, value in state.items()}, path)
    path.chmod(0o644)
    print(f"bytes={path.stat().st_size},\nsha256={sha256(path)!r},")


if __name__ == "__main__":
    main()
