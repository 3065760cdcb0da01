"""``labelnext strategies``: what there is to choose by."""

import json
from typing import Annotated

import typer

STRATEGIES_HELP = (
    "List the strategies that --strategy takes, what each needs of a pool, and its paper."
)


def strategies(
    *,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="As JSON.")] = False,
) -> None:
    """List the strategies."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from labelnext.strategies import about

    if as_json:
        records = [each._asdict() for each in about()]
        typer.echo(json.dumps(records, ensure_ascii=False, indent=1))
        return
    rows = [(a.name, ", ".join(a.needs) or "nothing", a.summary, a.paper) for a in about()]
    console = Console()
    if not console.is_terminal:
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for *first, last in rows:
            line = "  ".join(text.ljust(width) for text, width in zip(first, widths, strict=True))
            typer.echo(f"{line}  {last}".rstrip())
        return
    table = Table(box=SIMPLE_HEAD)
    table.add_column("name", no_wrap=True, style="bold")
    table.add_column("needs", max_width=15)
    table.add_column("what it does, and its paper")
    for name, needs, summary, paper in rows:
        table.add_row(name, needs, f"{summary}\n[dim]{paper}[/]" if paper else summary)
    console.print(table)
