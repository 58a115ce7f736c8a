"""Put trained weights into the package, as float16, and say what the card has to say of them.

uv run python scripts/nano/ship.py runs/nano/stage-3/best.safetensors
"""

import argparse
from pathlib import Path

from safetensors.torch import load_file, save_file

import medsegany
from medsegany.checkpoints import sha256

_PLACE = Path(medsegany.__file__).parent / "weights" / "nano.safetensors"


def main() -> None:
    """Convert, and print the lines of the card."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("weights", type=Path)
    given = options.parse_args()
    state = {name: value.half() for name, value in load_file(given.weights).items()}
    _PLACE.parent.mkdir(exist_ok=True)
    save_file(state, _PLACE)
    _PLACE.chmod(0o644)
    print(f"bytes={_PLACE.stat().st_size},\nsha256={sha256(_PLACE)!r},")


if __name__ == "__main__":
    main()
