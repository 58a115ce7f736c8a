"""`python -m medsegany`: the command line."""

from medsegany.cli import main

main()
