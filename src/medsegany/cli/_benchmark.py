"""`medsegany benchmark`: cases prepared, models measured on them, tables and a report."""

import typer

from medsegany.cli._benchmark_prepare import prepare, recipes
from medsegany.cli._benchmark_results import compare, report, status
from medsegany.cli._benchmark_run import run
from medsegany.cli._finetune import table5

app = typer.Typer(help="Measure models as the paper does.", no_args_is_help=True)
for command in (prepare, recipes, run, status, report, compare, table5):
    app.command()(command)


@app.callback()
def benchmark() -> None:
    """Measure models as the paper does."""
