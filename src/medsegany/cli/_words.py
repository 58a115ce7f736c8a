"""What the library says, in the words of the command line."""

import re

# The library names arguments and functions; somebody at a terminal has options and commands.
_ALIKE = [
    (
        r"say which (with series=(\S+), or )?with\n.*?\.files\)\n",
        r"say which, such as --stack 0.\n",
    ),
    (r"found\[(\d+)\]: ", r"--stack \1: "),
    (r"window= one of (.*?), or preprocess\.Window\(level, width\)\.", r"--window \1 or 40,400."),
    (r"load\((\"[^\"]+\"), checkpoint=(\"[^\"]+\")\)", r"--model \1 --checkpoint \2"),
    (r"^load\((\"[^\"]+\")\)", r"--model \1"),
    (
        r"\bio\.read_frames reads it, and segmenter\.track_video takes it",
        "medsegany track takes it",
    ),
    (r"\bio\.read_frames\b", "medsegany track"),
    (r"\bio\.read_image reads it", "Give it as a picture"),
    (r"\bio\.read_image\b", "give it that ending"),
    (r": io\.read_volume\(list_of_files(?:, \.\.\.)?\)", " from a folder of its own"),
    (r"\b(window|frame|series|device|checkpoint|reference|init)=(?=[\"\'\w])", r"--\1 "),
    (r"\bimage_size=(?=\w)", "--image-size "),
    (r"\boption image_size\b", "option --image-size"),
    (r"\boption crop\b", "option --crop"),
    (r"crop is a number from 1 \(the box itself\), None or \"auto\"", "--crop is a number from 1"),
    (r"\"(\w+)\" needs tolerance_mm: .*", r"\1 needs --tolerance, such as 2."),
    (r"\btolerance_mm\b", "--tolerance"),
    (r'preset="medsam"', "--preset medsam"),
    (r", and overwrite=False", ": --overwrite replaces it"),
]


def on_the_command_line(message: str) -> str:
    """A message of the library with options in place of arguments."""
    for ours, theirs in _ALIKE:
        message = re.sub(ours, theirs, message, flags=re.DOTALL | re.MULTILINE)
    return message
