"""`python -m medsegany.cli`, for where the script is not on the path."""

from medsegany.cli._main import main

main()
