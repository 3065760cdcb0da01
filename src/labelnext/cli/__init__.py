"""The command ``labelnext``: its help, its version, and errors as one line."""

import io
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from labelnext._version import __version__
from labelnext.cli._convert import CONVERT_HELP, convert
from labelnext.cli._demo import DEMO_HELP, demo
from labelnext.cli._errors import InputError
from labelnext.cli._loop import app as loop_commands
from labelnext.cli._select import SELECT_HELP, STRATEGIES_HELP, select, strategies
from labelnext.cli._simulate import SIMULATE_HELP, simulate
from labelnext.cli._terminal import say
from labelnext.utils.text import one_line

__all__ = ["app", "main"]


class OneLineErrors(TyperGroup):
    """A group of commands that reports every mistake of the user's in one line, exit code 2."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> Any:
        extra["standalone_mode"] = False  # so that errors come here
        if isinstance(sys.stdout, io.TextIOWrapper):  # help has letters that ASCII lacks
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            code = super().main(args, *more, **extra)
            if sys.stdout is not None:
                sys.stdout.flush()
        except (typer.Abort, KeyboardInterrupt):
            code = 130
        except InputError as error:
            code = _complain(one_line(error))
        except OSError as error:
            # What could not be written there would be tried once more at the end.
            self._stdout, sys.stdout = sys.stdout, io.StringIO()
            code = 1 if isinstance(error, BrokenPipeError) else _complain(_reason(error))
        except Exception as error:
            # typer carries its own copy of click in some versions and uses click in others:
            # its usage errors have no public base class in common, but all have this method.
            if not hasattr(error, "format_message"):
                raise
            command = getattr(getattr(error, "ctx", None), "command_path", "labelnext")
            message = one_line(error.format_message()).replace("Value error, ", "")
            if "unexpected extra argument" in message:
                message += "; options such as --force take no value"
                if command.endswith(" select"):
                    message += ", and files are named by what they hold: -p PROBA -f FEATURES"
            see = " See" if message.endswith("?") else "; see"
            code = _complain(f"{message}{see} {command} --help")
        sys.exit(code or 0)


def _reason(error: OSError) -> str:
    reason = one_line(error.strerror or error)
    if error.filename is not None:
        return f"{error.filename}: {reason}"
    if isinstance(error, FileNotFoundError):
        return "the current folder is gone; change to another"
    return f"standard output: {reason}; write to another place"


def _complain(message: str) -> int:
    say(message)
    return 2


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"labelnext {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=OneLineErrors,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Which samples should people label next?\n\n"
    "[bold]labelnext select[/] chooses a batch, with BADGE or another of the [bold]labelnext "
    "strategies[/]: samples that the model is unsure about and that differ from each other. "
    "[bold]labelnext demo[/] shows on handwritten digits how many labels that saves, "
    "[bold]labelnext simulate[/] how strategies compare on your data. [bold]labelnext convert[/] "
    "makes a folder of pools larger than memory, to choose from.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _frame(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Show the help if there is no command."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command(help=SELECT_HELP)(select)
app.command(help=STRATEGIES_HELP)(strategies)
app.command(help=CONVERT_HELP)(convert)
app.command(help=SIMULATE_HELP)(simulate)
app.command(help=DEMO_HELP)(demo)
app.add_typer(loop_commands, name="loop")


def main() -> None:
    """Run the command ``labelnext``."""
    app(prog_name="labelnext")
