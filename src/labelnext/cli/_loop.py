"""``labelnext loop``: rounds with people, from samples to labels."""

import json
import os
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelnext.cli._errors import InputError, check_output, in_our_words, keep_apart
from labelnext.cli._loop_options import (
    CHANGE,
    CHOICE,
    FOLDER,
    INIT,
    LOOP,
    PAGE,
    TARGET,
    TOOL,
    WHERE,
    Rule,
)
from labelnext.cli._pool import class_names, with_options
from labelnext.cli._rounds import (
    BESIDE,
    FILE,
    check_choice,
    check_own_code,
    command,
    end_with,
    loop_errors,
    names_of,
    open_here,
    own_code,
    same_loop,
    serve_beside,
    step,
    tell_out,
    waits,
)
from labelnext.cli._terminal import counting, say, terminal
from labelnext.utils.text import counted

if TYPE_CHECKING:
    from rich.table import Table

    from labelnext.loop import Loop
    from labelnext.report.told import Point
    from labelnext.samples import Samples

HELP = (
    "Have people label: from samples to rounds of labels.\n\n"
    "A loop is a folder that keeps samples, rounds, and who said what. Stop, or kill, whatever you "
    "like at any time: the same command goes on from there.\n\n"
    "[bold]Examples[/]\n\n"
    "[green]labelnext loop init reviews.csv --text body --labels good,bad --test 200[/]\n\n"
    "[green]labelnext loop label[/]   (the page, in a browser)\n\n"
    "[green]labelnext loop next -k 100[/]\n\n"
    "[green]labelnext loop export labels.csv[/]"
)
FORMATS = ("label-studio", "csv", "jsonl", "prodigy", "cvat", "argilla")
FEW = 3  # samples that could not be sent, of which it is told why
MOST = 5  # endings of files that are named
PAUSE = 0.5  # seconds between two looks at whether people are ready


@with_options(INIT)
def init(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SAMPLES",
            show_default=False,
            help="A .csv, .tsv, .parquet, .jsonl or .json file; a folder of pictures, sounds, "
            "texts, or Parquet files; or what Hugging Face's save_to_disk wrote.",
        ),
    ],
    **options: Any,
) -> None:
    """Make a loop of samples."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        from labelnext import samples
        from labelnext.loop import Loop
        from labelnext.samples.encode import encode, find
        from labelnext.samples.samples import without_names

        given = {name: options[name] for name in ("text", "image", "audio", "html", "id", "group")}
        columns = None if asked.columns is None else names_of(asked.columns)
        labels = class_names(asked.labels, "--labels")
        classes = None if labels is None else [str(name) for name in labels]
        found = samples.read(source, **given, columns=columns, classes=classes)
        if asked.encoder is not None:
            own_code()
            find(asked.encoder, found).load()
        keep_apart({"--loop": asked.loop / FILE}, [source])
        loop = Loop.create(
            asked.loop,
            found,
            classes=classes,
            task=asked.task.value,
            test=asked.test,
            random_state=asked.seed,
            guidelines=_text_in(asked.guidelines),
            overlap=asked.overlap,
        )
        tell_out(f"{found!r}, in the loop {asked.loop}.")
        if found.left_out:
            tell_out(f"Left out {_others(found)}.")
        if found.odd_name is not None:
            hint = without_names(found.odd_name, source)
            tell_out(f"{hint}, remove {asked.loop / FILE}, and init again.")
        guessed = [name for name in found.columns if getattr(asked, name) is None]
        if guessed:
            said = " and ".join(f"{name} from {_column(found.columns[name])}" for name in guessed)
            others = " or ".join(f"--{name}" for name in guessed)
            said = said[0].upper() + said[1:]  # names of columns keep their case
            tell_out(f"{said}; to take others remove {asked.loop / FILE}, and say {others}.")
        for name in found.hidden:
            said = f"'{name}' has only names of classes, so people are not shown it"
            how = f"; else remove {asked.loop / FILE}, and name it in --columns"
            tell_out(f"{said}{how if found.kind == 'row' else ''}.")
        if asked.test:
            tell_out(
                f"Test set: {loop.progress()['test']:,} of them, drawn at random; asked first."
            )
        _tell_missing(found)
        if asked.features or asked.encoder is not None:
            with counting(terminal(), "Features") as progress:
                try:
                    done = encode(
                        found, loop.folder / "features", encoder=asked.encoder, progress=progress
                    )
                except (ValueError, TypeError) as error:
                    again = f"`labelnext loop next{same_loop(asked.loop)}`"
                    raise InputError(
                        f"{in_our_words(error)}. The loop is made, without features: correct it, "
                        f"or choose another --encoder, and go on with {again}"
                    ) from None
            for line in done.told():
                tell_out(line)
    tell_out(f"Next: labelnext loop label{same_loop(asked.loop)}")


def _text_in(file: Path | None) -> str | None:
    """Read a file of text."""
    from labelnext.pools.table import read_text

    return None if file is None else read_text(str(file))


def _others(found: "Samples") -> str:
    """Say which files of a folder are no samples."""
    from labelnext.samples.samples import SAID

    if lines := found.left_out.get("empty lines"):
        return counted(lines, "empty line")
    said = [f"{n:,} {ending or 'without an ending'}" for ending, n in found.left_out.items()]
    more = f" and {counted(len(said) - MOST, 'more ending')}" if len(said) > MOST else ""
    kind = "tables" if found.columns else SAID[found.kind]
    files = counted(sum(found.left_out.values()), "file")
    return f"as no {kind}: {files} ({', '.join(said[:MOST])}{more})"


def _tell_missing(found: "Samples") -> None:
    if missing := found.missing():
        what, how = ("file", "not there") if found.kind in ("image", "audio") else ("text", "empty")
        are = f"{what} is" if len(missing) == 1 else f"{what}s are"
        tell_out(f"{len(missing):,} {are} {how}, the first is {missing[0]}; skip what lacks.")


def _column(name: str | Sequence[str]) -> str:
    """Say what samples were taken from."""
    from labelnext.pools.known import some

    if name == "row":
        return "the number of the row"
    return f"'{name}'" if isinstance(name, str) else some(name)


@with_options({**LOOP, "What changes": CHANGE})
def change(**options: Any) -> None:
    """Change the classes or the guidelines, or say where the files are now."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        if (asked.files, asked.labels, asked.guidelines) == (None, None, None):
            raise InputError("nothing to change: give --files, --labels or --guidelines")
        loop = open_here(asked.loop)
        labels, before = class_names(asked.labels, "--labels"), loop.classes or []
        loop.change(
            root=asked.files,
            classes=None if labels is None else [str(name) for name in labels],
            guidelines=_text_in(asked.guidelines),
        )
        if asked.files is not None:
            found = loop.samples()
            tell_out(f"Files: {len(found):,} in {asked.files}.")
            _tell_missing(found)
        if labels is not None:
            now = loop.classes or []
            new, gone = ([n for n in a if n not in b] for a, b in ((now, before), (before, now)))
            said = [f"{how}: {', '.join(n)}" for how, n in (("new", new), ("gone", gone)) if n]
            tell_out(f"Classes: {', '.join(now)} ({'; '.join(said) or 'none new, none gone'}).")
        if asked.guidelines is not None:
            tell_out(f"Guidelines: {asked.guidelines}.")


@with_options({WHERE: (FOLDER,), "The page": PAGE, "What is chosen": CHOICE})
def label(**options: Any) -> None:
    """Label on a page in the browser; Ctrl-C stops it, and nothing is lost."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        check_choice(asked)
        check_own_code(asked)
        loop = open_here(asked.loop)
        end_with(os.environ.get(BESIDE))
        from labelnext.page import serve

        people = _checked_people(loop, asked)
        if not waits(loop):
            step(loop, asked)
        names = ("strategy", "pool", "classes", "model", "train", "encoder", "callback")
        more = [part for n in names if options[n] is not None for part in (f"--{n}", options[n])]
        more += [] if asked.model_name is None else ["--model-name", asked.model_name]
        serve(
            loop,
            host=asked.host,
            port=asked.port,
            open_browser=not asked.no_browser,
            people=people,
            train=[*command("next", loop), "-k", str(asked.k), *more],
        )


def _checked_people(loop: "Loop", asked: Any) -> list[str] | None:
    """Return who labels on the page; what it would refuse is refused before a round is chosen."""
    if getattr(asked, "no_page", False):
        return None
    from labelnext.page.server import check_people, people_before

    people = None if asked.people is None else names_of(asked.people)
    check_people(people or people_before(loop.folder), asked.host)
    return people


@with_options({**LOOP, "What is chosen": CHOICE})
def next_(**options: Any) -> None:
    """Train on what is labelled, and choose what is labelled next."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        check_choice(asked)
        loop = open_here(asked.loop)
        check_own_code(asked)
        missing = waits(loop)
        step(loop, asked)
        if missing:
            still = counted(missing, "answer")
            say(f"{still} of earlier rounds still missing, and asked for first")


@with_options(
    {
        **LOOP,
        "What is chosen": CHOICE,
        "How it goes on": (
            ("--rounds", "N", int, "Stop after so many rounds; without, when all is labelled."),
            (
                *("--no-page", "", bool, "Serve no page: labels come from elsewhere."),
                {"default": False},
            ),
            *PAGE,
        ),
    }
)
def run(**options: Any) -> None:
    """Label, train, choose, again and again; whenever it is stopped, it goes on from there."""
    asked = SimpleNamespace(**options)
    if asked.rounds is not None and asked.rounds < 1:
        raise InputError(f"--rounds {asked.rounds}: there must be at least one")
    page = None
    try:
        with loop_errors():
            from labelnext.loop import LoopError

            check_choice(asked)
            loop = open_here(asked.loop)
            check_own_code(asked)
            _checked_people(loop, asked)
            while True:
                try:
                    if not waits(loop) and not step(loop, asked, most=asked.rounds):
                        break
                except LoopError:
                    if not waits(loop):
                        raise
                    say("another process has chosen a round; going on with it")
                if page is None and not asked.no_page:
                    page = serve_beside(loop, asked)
                if page is None and (missing := waits(loop)):
                    here = same_loop(asked.loop)
                    say(
                        f"waiting for {counted(missing, 'answer')}: labelnext loop label{here}, or "
                        f"labelnext loop pull FILE{here}"
                    )
                while waits(loop):
                    if page is not None and page.poll() is not None:
                        raise InputError("the page has ended; see above, and run the same again")
                    time.sleep(PAUSE)
            tell_out(f"Done. Labels: labelnext loop export labels.csv{same_loop(asked.loop)}")
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        raise
    finally:
        if page is not None:
            page.terminate()
            page.wait()


@with_options({**LOOP, "How to show it": (("--json", "", bool, "As JSON.", {"default": False}),)})
def status(**options: Any) -> None:
    """Say where the loop stands: rounds, labels, and who is at work."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        from labelnext.report.read import Read
        from labelnext.report.summary import for_terminal, summary
        from labelnext.report.told import newest

        of = Read(open_here(asked.loop))
        at, reached = of.at, newest(of)
        *lines, last = (for_terminal(line, same_loop(asked.loop)) for line in summary(of))
    if asked.json:
        found = {"progress": at, "rounds": of.loop.rounds(), "metrics": of.metrics}
        typer.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    from rich.console import Console

    for line in lines:
        tell_out(line)
    if of.rounds:
        Console().print(_rounds(of.rounds, reached))
    for each in at["people"]:
        done = counted(each["decisions"], "decision")
        tell_out(f"{each['annotator']}: {done}, holds {each['holds']:,}")
    tell_out(last)


@with_options(
    {
        **LOOP,
        "What": (("--round", "N", int, "Which; without, the first open one, the test set last."),),
    }
)
def close(**options: Any) -> None:
    """Close a round: nobody is asked for what is left of it."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        loop = open_here(asked.loop)
        missing = {each["number"]: each["missing"] for each in loop.rounds()}
        closed = loop.close(round=asked.round)
        kind = next(each["kind"] for each in loop.rounds() if each["number"] == closed)
    left = f", without {counted(missing[closed], 'answer')}" if missing[closed] else ""
    here = same_loop(asked.loop)
    what = "The test set" if kind == "test" else f"Round {closed}"
    if left and kind == "test":
        left += ". Only what is labelled of it measures a model; to ask for the rest again: "
        left += f"labelnext loop reopen{here}"
    tell_out(f"{what} is closed{left}. Next: labelnext loop next{here}")


@with_options(LOOP)
def reopen(**options: Any) -> None:
    """Ask again for the test set, after it was closed with answers missing."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        missing = open_here(asked.loop).reopen_test()
    then = "label" if missing else "status"
    still = counted(missing, "answer")
    tell_out(f"Test set: {still} missing. Next: labelnext loop {then}{same_loop(asked.loop)}")


@with_options(
    {
        **LOOP,
        "What to write": (
            (
                *("--rule", "NAME", Rule, "What makes a label where several people label."),
                {"default": Rule.MAJORITY},
            ),
            ("--no-content", "", bool, "Leave texts, paths and rows out.", {"default": False}),
            (
                *("--safe-formulas", "", bool),
                "For spreadsheets: put an apostrophe before cells of a .csv that begin with =, +, "
                "- or @, which changes them.",
                {"default": False},
            ),
            ("--force", "", bool, "Replace a file that exists.", {"default": False}),
        ),
    }
)
def export(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", show_default=False, help="Where to: .csv, .jsonl or .parquet."
        ),
    ],
    **options: Any,
) -> None:
    """Write the labels to a file, with who said what and in which round."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        from labelnext.tools.export import FORMATS
        from labelnext.tools.export import export as write

        check_output(file, "FILE", FORMATS, force=asked.force)
        loop = open_here(asked.loop)
        keep_apart({"FILE": file}, [str(loop.folder / FILE)])
        content = not asked.no_content
        n = write(
            loop,
            file,
            rule=asked.rule.value,
            content=content,
            safe_formulas=asked.safe_formulas,
            overwrite=asked.force,
        )
    tell_out(f"Written: {file} ({counted(n, 'sample')})")


@with_options(
    {
        **LOOP,
        "Where to put it": (
            ("--force", "", bool, "Replace a file that exists.", {"default": False}),
        ),
        "What it takes": (
            (
                *("--features", "", bool),
                "Compute the loop's features, if it has none: for labels saved, when to stop, and "
                "the map.",
                {"default": False},
            ),
        ),
    }
)
def report(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", show_default=False, help="Where to, .html.")
    ] = Path("loop.html"),
    **options: Any,
) -> None:
    """Write a page of what the labels say: curves, labels saved, agreement, when to stop."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        check_output(file, "FILE", [".html"], force=asked.force)
        from labelnext.report.page import write_report
        from labelnext.report.summary import for_terminal

        loop = open_here(asked.loop)
        if asked.features:
            from labelnext.samples.encode import encode

            with counting(terminal(), "Features") as progress:
                done = encode(loop.samples(), loop.folder / "features", progress=progress)
            for line in done.told():
                tell_out(line)
        lines = write_report(loop, file, overwrite=asked.force)
    for line in lines:
        tell_out(for_terminal(line, same_loop(asked.loop)))
    tell_out(f"Written: {file}")


@with_options(
    {
        **LOOP,
        "What to send": (
            ("--round", "N", int, "Which round; without, all that are not closed."),
            (
                "--columns",
                "NAMES",
                str,
                "Columns of the table that people see, too, as author,date.",
            ),
            ("--force", "", bool, "Replace a file that exists.", {"default": False}),
            *TOOL,
        ),
    }
)
def push(target: Annotated[list[str], TARGET], **options: Any) -> None:
    """Ask people in a labelling tool; what is there already is not sent again."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        loop = open_here(asked.loop)
        tool = _tool(target, asked)
        if isinstance(place := getattr(tool, "path", None), Path):
            keep_apart({"TARGET": place}, [str(loop.folder / FILE)])
            n = tool.push(loop, asked.round, overwrite=asked.force)
        else:
            n = tool.push(loop, asked.round)
    if n.left_out:
        which = ", ".join(f"{name} ({why})" for name, why in [*n.left_out.items()][:FEW])
        more = ", ..." * (len(n.left_out) > FEW)
        tell_out(
            f"Left out, as the file cannot be read: {which}{more}. It stays in the loop: put it "
            "back and push again, or say on the page that you cannot tell."
        )
    # A table is filled in where it is; what another tool exports is a file of its own.
    filled = getattr(tool, "format", "csv") in ("csv", "jsonl")
    back = shlex.join(target) if filled else " ".join([*map(shlex.quote, target[:-1]), "EXPORT"])
    then = f"labelnext loop pull {back}{same_loop(asked.loop)}"
    tell_out(f"{counted(n, 'sample')}: {target[-1]}. Then: {then}")


@with_options(
    {
        **LOOP,
        "What to bring": (
            ("--annotator", "NAME", str, "Whose labels a file has, where it does not say so."),
            *TOOL,
        ),
    }
)
def pull(target: Annotated[list[str], TARGET], **options: Any) -> None:
    """Bring labels from a labelling tool; the same ones twice are written once."""
    asked = SimpleNamespace(**options)
    with loop_errors():
        loop = open_here(asked.loop)
        found = _tool(target, asked).pull(loop)
    tell_out(f"{found.said()}.")
    if found.unnamed and asked.annotator is None:
        again = f"labelnext loop pull {shlex.join(target)}{same_loop(asked.loop)}"
        tell_out(f"If they are somebody else's: {again} --annotator NAME")


def _tool(target: list[str], asked: Any) -> Any:
    """Return the labelling tool that is meant."""
    from labelnext.tools import File, LabelStudio

    *kind, place = target
    shared = {"media": asked.media, "guesses": asked.guesses, "label": asked.control}
    if columns := getattr(asked, "columns", None):
        shared["columns"] = names_of(columns)
    if len(kind) > 1 or (kind and kind[0] not in FORMATS):
        raise InputError(
            f"{' '.join(target)}: expected a target, or a tool and a target; tools are "
            f"{', '.join(FORMATS)}"
        )
    if place.startswith(("http://", "https://")):
        if kind not in ([], ["label-studio"]):
            raise InputError(f"{kind[0]} {place}: only Label Studio has an address")
        return LabelStudio(place, asked.project, token=asked.token, **shared)
    for name in ("project", "token"):
        if getattr(asked, name) is not None:
            raise InputError(f"--{name} is for Label Studio's address; leave it out for a file")
    annotator = getattr(asked, "annotator", None)
    return File(place, kind[0] if kind else None, annotator=annotator, **shared)


def _rounds(rounds: list[dict[str, Any]], reached: "dict[str, list[Point]]") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from labelnext.report.summary import chosen_by, headline, state_of, told_as

    measure = headline(reached) if reached else "accuracy"
    tests = {point.round: point.value for point in reached.get(measure, ())}
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    # At 80 columns nothing is cut: what may be long is folded.
    for name in ("round", "chosen by", "state", "picks", "labelled", "missing", told_as(measure)):
        words = name in ("chosen by", "state")
        fixed = name not in ("chosen by", told_as(measure))
        table.add_column(
            Text(name), justify="left" if words else "right", no_wrap=fixed, overflow="fold"
        )
    for each in rounds:
        value = tests.get(each["number"])
        table.add_row(
            str(each["number"]),
            Text(chosen_by(each)),
            state_of(each),
            *(f"{each[name]:,}" for name in ("picks", "labeled", "missing")),
            "" if value is None else f"{value:.3g}",
        )
    return table


COMMANDS: dict[str, Callable[..., None]] = {
    "init": init,
    "label": label,
    "next": next_,
    "status": status,
    "change": change,
    "report": report,
    "close": close,
    "reopen": reopen,
    "export": export,
    "push": push,
    "pull": pull,
    "run": run,
}
app = typer.Typer(help=HELP, rich_markup_mode="rich", no_args_is_help=True)
for _name, _function in COMMANDS.items():
    app.command(_name)(_function)
