"""Loop: the public face of a folder with samples, rounds and labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from labelnext.loop import _events, _rounds, _schema
from labelnext.loop._check import (
    checked_classes,
    checked_metrics,
    flag,
    integer,
    key_of,
    list_of,
    name_of,
    number,
    one_of,
    path_of,
    round_of,
    seed_of,
    share,
    text_of,
    value_checker,
)
from labelnext.loop._choice import Plan, choose
from labelnext.loop._create import create, moved_to, root_of, samples_of
from labelnext.loop._events import ACTIONS, LOOP_TASKS, RULES, VALUED, Action, Event, Labels
from labelnext.pools import Pool
from labelnext.pools.known import plain
from labelnext.report.read import Read
from labelnext.report.shares import ClassCounts, class_counts
from labelnext.samples.samples import Samples, read
from labelnext.utils.given import shown
from labelnext.utils.text import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from labelnext.loop._events import LoopTask, Rule
    from labelnext.loop._rounds import Item
    from labelnext.sampling import Batch

# Which labels `Loop.labels` shows.
SPLITS = {"pool": ("pool",), "test": ("test",), "all": ("pool", "test")}
LEASE = 600.0  # seconds
UNNAMED = "unnamed"  # a model of which nobody has said what it is called


class Loop:
    """
    Samples, rounds, and what people have said of them: a folder with one SQLite file.

    `Loop.create` makes one, `labelnext.open_loop` opens it. Any number of processes and threads may
    work with one loop at once. Whatever a method has returned is on the disk; nothing is kept in
    memory. A loop can be pickled: the other process opens the same folder.

    Parameters
    ----------
    folder : str or path-like
        The folder of a loop.

    Examples
    --------
    >>> import tempfile
    >>> from labelnext.loop import Loop
    >>> folder = tempfile.TemporaryDirectory()
    >>> texts = ["Well made", "Broke at once", "Would buy again"]
    >>> loop = Loop.create(folder.name, texts, classes=["good", "bad"], test=1, random_state=0)
    >>> item = loop.take("ann")[0]
    >>> item.content, item.pick
    ('Would buy again', 'test')
    >>> event = loop.record(item, "label", "good", annotator="ann")
    >>> loop.labels(split="test").y
    array([None, None, 'good'], dtype=object)
    >>> folder.cleanup()
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = path_of("folder", folder)
        self._database = _schema.Database(self.folder / _schema.FILE)

    @classmethod
    def create(
        cls,
        folder: str | os.PathLike[str],
        samples: Any,
        *,
        classes: Sequence[str] | None = None,
        task: LoopTask = "multiclass",
        test: int = 0,
        random_state: int | None = None,
        guidelines: str | None = None,
        overlap: float = 0.0,
    ) -> Self:
        """
        Make a loop; nothing that is there is ever overwritten.

        Parameters
        ----------
        folder : str or path-like
            Where; it is created if it is not there.
        samples : Samples, or whatever `labelnext.samples.read` takes
            What is to be labelled. Of rows of a table people see all columns but ids and what
            holds nothing but names of classes: `labelnext.samples.read` says which to show.
        classes : sequence of str, default=None
            The names of the classes, in the order in which they are shown. None for regression.
        task : {"multiclass", "multilabel", "regression"}, default="multiclass"
            Whether a label is one class, several, or a number.
        test : int, default=0
            How many samples are drawn at random for the test set, which is labelled first and
            never chosen by a strategy. Where samples have groups, whole groups are drawn until
            there are that many.
        random_state : int, default=None
            The seed; None draws one.
        guidelines : str, default=None
            What is shown beside the samples, in Markdown.
        overlap : float, default=0.0
            Which share of the picks two people label, each without seeing the other's label.

        Returns
        -------
        Loop
            The loop.

        Raises
        ------
        ValueError, TypeError
            If an argument cannot be what it should be.
        FileExistsError
            If there is a loop in the folder already.
        LoopError, OSError
            If the folder is on a network file system, or cannot be written.
        """
        where, seed = path_of("folder", folder), seed_of(random_state)
        settings = {
            "task": one_of("task", task, LOOP_TASKS),
            "classes": checked_classes(classes, task),
            "guidelines": guidelines,
            "overlap": share("overlap", overlap),
        }
        if guidelines is not None:
            text_of("guidelines", guidelines)
        if not isinstance(samples, Samples):
            samples = read(samples, classes=settings["classes"])
        create(where, samples, settings, integer("test", test, 0), seed)
        return cls(folder)

    @property
    def task(self) -> LoopTask:
        """What a label is: "multiclass", "multilabel" or "regression"."""
        return self._about("task")  # type: ignore[no-any-return]

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes; None for regression."""
        return self._about("classes")  # type: ignore[no-any-return]

    @property
    def guidelines(self) -> str | None:
        """What is shown beside the samples, in Markdown."""
        return self._about("guidelines")  # type: ignore[no-any-return]

    @property
    def kind(self) -> str:
        """What the samples are: "text", "image", "audio", "row" or "html"."""
        return self._about("kind")  # type: ignore[no-any-return]

    @property
    def root(self) -> Path | None:
        """The folder that paths of files are in; None if there are none."""
        with self._database.reading() as db:
            return root_of(db, self.folder)

    def change(
        self,
        *,
        classes: Sequence[str] | None = None,
        guidelines: str | None = None,
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        """
        Change what people see, or say where the files are now; what was recorded stays.

        Parameters
        ----------
        classes : sequence of str, default=None
            The classes from now on: some may be new, in another order, or missing if nobody has
            ever used them.
        guidelines : str, default=None
            What is shown beside the samples.
        root : str or path-like, default=None
            The folder that pictures or sounds have moved to, with their names as they were.

        Raises
        ------
        ValueError
            If a class would be missing that somebody has used; or if more than half of the files
            are not in `root`, or others than when the loop was made, of a thousand that are
            compared.
        """
        changes: dict[str, Any] = {}
        if classes is not None:
            changes["classes"] = checked_classes(classes, self.task)
        if guidelines is not None:
            changes["guidelines"] = text_of("guidelines", guidelines)
        if root is not None:
            with self._database.reading() as db:
                changes["root"] = moved_to(db, self.folder, path_of("root", root))
        with self._database.writing() as db:
            if classes is not None:
                _events.refuse_unnamed(db, changes["classes"])
            for name, value in changes.items():
                text = json.dumps(value, ensure_ascii=False)
                db.execute("UPDATE about SET value = ? WHERE name = ?", (text, name))

    def samples(self) -> Samples:
        """Return all samples, in the order given; in other columns dates are texts."""
        with self._database.reading() as db:
            return samples_of(db, self.folder)

    def sample(self, sample: str) -> dict[str, Any]:
        """
        Return what is known of a sample.

        Parameters
        ----------
        sample : str
            Its id.

        Returns
        -------
        dict
            Its id, key, kind, content, group, split and extra.
        """
        with self._database.reading() as db:
            row = db.execute(
                'SELECT id, key, kind, content, grp AS "group", split, extra FROM samples '
                "WHERE key = ?",
                (key_of(db, sample),),
            ).fetchone()
        return {**dict(row), "extra": json.loads(row["extra"] or "{}")}

    def next(
        self,
        pool: Any = None,
        k: int = 100,
        *,
        strategy: Any = None,
        random: float = 0.1,
        overlap: float | None = None,
        random_state: int | None = None,
        model: str | None = None,
        **options: Any,
    ) -> Batch:
        """
        Choose the samples that people are asked for next: a new round.

        Left out are those of the test set, those that somebody has answered, and those that a
        round still asks for. A round may be open meanwhile. Where fewer than k are left, all of
        them are chosen.

        Parameters
        ----------
        pool : Pool or fitted classifier, default=None
            What the model makes of the samples: a pool whose ids are those of the loop, all or
            some of them; a classifier that was fitted on the loop's features; or None for the
            default model. What these two reach on the test set is kept, see `score`.
        k : int, default=100
            How many.
        strategy : str or QueryStrategy, default=None
            How to choose, see `labelnext.select`. For a pool None is BADGE where it has what that
            needs, "uncertainty" where it has probabilities only, and "typi-clust" where it has
            features only; for the loop's features what suits features that stay as they are.
        random : float, default=0.1
            Which share of the batch is drawn uniformly from all that may be picked, for honest
            curves; these are mixed into the order.
        overlap : float, default=None
            Which share of the picks two people are asked for; None is what the loop was made with.
        random_state : int, default=None
            The seed; None draws one, which the round keeps.
        model : str, default=None
            What the model is called, see `score`. None is "default" for the default model, the name
            of its class for a classifier, and "unnamed" for a pool.
        **options
            Passed to `labelnext.select`; what limits the strategy, such as `max_per_group`, does
            not limit what is drawn at random, but for `exclude_ids`.

        Returns
        -------
        Batch
            The picks in their order, rows of the pool; numbers that the strategy says of its
            picks are NaN at those drawn at random.

        Raises
        ------
        ValueError
            If ids of the pool are missing or unknown, or nothing is left to be picked.
        LoopError
            If another process has chosen a round meanwhile.
        """
        seed = seed_of(random_state)
        integer("k", k, 1)
        if model is not None:
            name_of("model", model)
        random = share("random", random)
        overlap = self._about("overlap") if overlap is None else share("overlap", overlap)
        if not isinstance(pool, Pool):
            from labelnext.loop.model import fit, strategy_for

            fitted = fit(self, pool)
            model = fitted.model if model is None else model
            if fitted.metrics:
                self.score(fitted.metrics, fitted.labels, model=model)
            pool = fitted.pool
            strategy = strategy_for(pool) if strategy is None else strategy
        plan = Plan(k, strategy, random, overlap, seed, model or UNNAMED, options)
        return choose(self._database, pool, plan)

    def take(self, annotator: str, n: int = 1, *, seconds: float = LEASE) -> list[Item]:
        """
        Lease the next samples to a person.

        What the person holds already comes first, so that asking again after a restart gives the
        same; what was undone comes before all else, what was skipped after it. Nobody else is
        asked for them until they are answered, released, or the time is over.

        Parameters
        ----------
        annotator : str
            Who.
        n : int, default=1
            How many the person is to hold.
        seconds : float, default=600
            For how long.

        Returns
        -------
        list of Item
            At most n, fewer or none if nothing is left for this person.
        """
        integer("n", n, 1)
        seconds = number("seconds", seconds)
        with self._database.writing() as db:
            return _rounds.take(db, name_of("annotator", annotator), n, seconds)

    def release(self, annotator: str) -> int:
        """
        Give back all that a person holds.

        Parameters
        ----------
        annotator : str
            Who.

        Returns
        -------
        int
            How many samples.
        """
        with self._database.writing() as db:
            return _rounds.release(db, name_of("annotator", annotator))

    def record(
        self,
        sample: str | Item,
        action: Action,
        value: Any = None,
        *,
        annotator: str,
        client: str | None = None,
        milliseconds: int | None = None,
        source: str = "python",
        comment: str | None = None,
    ) -> Event:
        """
        Write what a person has decided; it is on the disk when this returns.

        A person's later label or "cannot-tell" of a sample takes the place of the earlier one.

        Parameters
        ----------
        sample : str or Item
            The id of the sample, or what `take` has returned.
        action : {"label", "skip", "cannot-tell", "flag", "comment", "adjudicate"}
            What. "skip" sends the sample to the end of the person's queue; "cannot-tell" is an
            answer, after which this person is not asked again; "adjudicate" decides for all.
        value : str, list of str or float, default=None
            With "label" and "adjudicate" the class, the classes, or the number.
        annotator : str
            Who.
        client : str, default=None
            A unique text by which a retry is known: the same twice writes once, and returns the
            event of the first time.
        milliseconds : int, default=None
            How long the person took.
        source : str, default="python"
            Where it comes from.
        comment : str, default=None
            What the person wrote.

        Returns
        -------
        Event
            What was written.

        Raises
        ------
        ValueError, TypeError
            If the sample or the class is unknown, or an argument cannot be what it should be.
        """
        one_of("action", action, ACTIONS)
        name_of("annotator", annotator)
        name_of("source", source)
        if client is not None:
            name_of("client", client)
        if milliseconds is not None:
            integer("milliseconds", milliseconds, 0)
        if comment is not None or action == "comment":
            name_of("comment", comment)
        if action not in VALUED and value is not None:
            raise ValueError(f"action {action!r} takes no value, got {shown(value)}; leave it out.")
        name: Any = getattr(sample, "id", sample)
        with self._database.writing() as db:
            found = _events.sent_before(db, client, annotator, action, name)
            if found is not None:
                return found
            if action in VALUED:
                value = value_checker(db)(value)
            written = _events.append(
                db,
                key_of(db, name),
                action,
                value,
                annotator=annotator,
                source=source,
                client=client,
                milliseconds=milliseconds,
                comment=comment,
            )
            return _events.find(db, written)

    def undo(
        self, annotator: str, *, client: str | None = None, source: str = "python"
    ) -> Event | None:
        """
        Take back what a person has done last and not yet taken back; imports stay.

        `take` gives its sample to the person again, before all others.

        Parameters
        ----------
        annotator : str
            Who.
        client : str, default=None
            As for `record`.
        source : str, default="python"
            Where it comes from.

        Returns
        -------
        Event or None
            The event that takes it back; None if there is nothing.
        """
        name_of("annotator", annotator)
        name_of("source", source)
        if client is not None:
            name_of("client", client)
        with self._database.writing() as db:
            found = _events.sent_before(db, client, annotator, "undo", None)
            if found is not None:
                return found
            done = _events.undo(db, annotator, source, client, LEASE)
            return None if done is None else _events.find(db, done)

    def history(self, annotator: str, n: int = 50) -> list[Event]:
        """
        Return what a person has done, the latest first.

        Parameters
        ----------
        annotator : str
            Who.
        n : int, default=50
            How many events at most.

        Returns
        -------
        list of Event
            The events, those that were undone too.
        """
        integer("n", n, 1)
        with self._database.reading() as db:
            return _events.history(db, name_of("annotator", annotator), n)

    def events(self) -> list[Event]:
        """Return all events, the first first."""
        with self._database.reading() as db:
            return [_events.event(row) for row in db.execute(f"{_events.EVENTS} ORDER BY e.number")]

    def labels(self, rule: Rule = "majority", *, split: str = "pool") -> Labels:
        """
        Return a label for each sample, None or NaN where it is missing.

        Of each person the latest decision counts. What was adjudicated wins.

        Parameters
        ----------
        rule : {"majority", "unanimous", "adjudicated"}, default="majority"
            What makes a label where several people have said something. "majority": what most
            say, of classes of a multilabel task each by itself, of numbers the median; a tie is
            missing until somebody adjudicates. "unanimous": what all say. "adjudicated": what
            somebody has decided, no more.
        split : {"pool", "test", "all"}, default="pool"
            Whose labels are shown. Those of the test set are missing with "pool", so that no
            model is trained on them.

        Returns
        -------
        Labels
            Ids and labels of all samples of the loop, in their order.
        """
        one_of("rule", rule, RULES)
        one_of("split", split, tuple(SPLITS))
        with self._database.reading() as db:
            return self._labels(db, rule, split)

    def class_counts(self) -> ClassCounts:
        """
        Count the labels of each class, and estimate how common it is.

        Labels of samples that a strategy has chosen do not tell how common a class is: a strategy
        looks for what is rare and doubtful. The shares are estimated from the test set and the
        random picks of each round alone.

        Returns
        -------
        ClassCounts
            A row for each class, and the warning in words.

        Raises
        ------
        ValueError
            If the labels are numbers.
        """
        if self.task == "regression":
            raise ValueError("The labels of this loop are numbers: there are no classes.")
        return class_counts(Read(self))

    def votes(self) -> dict[str, dict[str, Any]]:
        """Return what each person says of each sample that somebody has labelled, by their ids.

        Of each person the latest decision counts; what was taken back, or cannot be told, is none.
        """
        with self._database.reading() as db:
            return _events.votes_by_id(db)

    def disagreements(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the ids of samples of which people say different things, and who says what.

        Those that were adjudicated are left out.
        """
        with self._database.reading() as db:
            return _events.disagreements(db)

    def add_labels(
        self, ids: Iterable[str], values: Iterable[Any], *, annotator: str, source: str
    ) -> int:
        """
        Bring in labels from elsewhere, all of them or none.

        What the person is known to say already is not written again, nor what has not changed
        since it was last brought in from the same source: so the same file may be brought in
        twice, whatever people have said since.

        Parameters
        ----------
        ids : iterable of str or int
            The samples' ids.
        values : iterable
            A label for each; None or NaN where it has none.
        annotator : str
            Whose labels they are.
        source : str
            Where they come from, such as the name of a file or tool.

        Returns
        -------
        int
            How many were written.

        Raises
        ------
        ValueError
            If ids or classes are unknown: the first few are named, and nothing is written.
        """
        ids = [str(plain(name)) for name in list_of("ids", ids)]
        values = list_of("values", values)
        name_of("annotator", annotator)
        name_of("source", source)
        if len(ids) != len(values):
            raise ValueError(
                f"ids and values must go together, got {len(ids)} ids and {len(values)} values."
            )
        with self._database.writing() as db:
            return _events.bring_in(db, ids, values, annotator, source)

    def close(
        self,
        metrics: Mapping[str, Any] | None = None,
        *,
        round: int | None = None,  # noqa: A002 — the word of the house
        model: str = UNNAMED,
    ) -> int:
        """
        Close a round: nobody is asked for what is left of it.

        Rounds before it in which nothing is left are closed, too.

        Parameters
        ----------
        metrics : mapping, default=None
            What the model reaches that was trained on the labels of this round and those before
            it: as for `score`. With them the round is "trained".
        round : int, default=None
            Which; None is the first that is not closed, the test set last. One that is closed
            already may be given metrics.
        model : str, default="unnamed"
            Whose metrics they are, as for `score`.

        Returns
        -------
        int
            The number of the round.
        """
        found = [] if metrics is None else checked_metrics(metrics)
        name_of("model", model)
        with self._database.writing() as db:
            closed = _rounds.close(db, None if round is None else round_of(db, round))
            if closed is None:
                raise ValueError("There is no round to close; choose one with loop.next().")
            if found:
                known, test = (self._labels(db, split=split) for split in ("pool", "test"))
                _rounds.score(db, found, known.labeled.tolist(), len(test.labeled), model, closed)
        return closed

    def reopen_test(self) -> int:
        """
        Ask people again for the test set, which was closed before all of it had labels.

        Returns
        -------
        int
            How many answers are missing.

        Raises
        ------
        ValueError
            If there is no test set, or it is not closed.
        """
        with self._database.writing() as db:
            return _rounds.reopen_test(db)

    def score(
        self,
        metrics: Mapping[str, Any],
        labels: Labels | None = None,
        *,
        model: str = UNNAMED,
    ) -> int:
        """
        Keep what a model reaches, with how many labels it was trained on, whatever rounds are open.

        Parameters
        ----------
        metrics : mapping
            Finite numbers by name, of the test set; or by split and name, as in
            ``{"test": {"accuracy": 0.9}, "random": {"accuracy": 0.8}}``. What is named accuracy,
            precision, recall or F1 is a share, from 0 to 1.
        labels : Labels, default=None
            What the model was trained on, as `labels` has returned it; None is what is known now.
        model : str, default="unnamed"
            What the model is called. Each has a curve of its own, and takes the place of no
            other's scores.

        Returns
        -------
        int
            The round that the metrics are of: the newest that had asked for one of the labels, or
            the first round if none had. Once that is closed, it is "trained".
        """
        found = checked_metrics(metrics)
        name_of("model", model)
        if labels is not None and not isinstance(labels, Labels):
            raise TypeError(f"labels must be what loop.labels() returned, got {shown(labels)}.")
        with self._database.writing() as db:
            known = self._labels(db) if labels is None else labels
            tested = len(self._labels(db, split="test").labeled)
            return _rounds.score(db, found, known.labeled.tolist(), tested, model)

    def metrics(self) -> list[dict[str, Any]]:
        """Return all metrics, as dicts with round, split, name and value, in the order of telling.

        And with the `model`, how many `labels` it was trained on, and on how many samples of the
        test set it was `tested`; None for another split.
        """
        with self._database.reading() as db:
            return [dict(row) for row in db.execute("SELECT * FROM metrics ORDER BY rowid")]

    def rounds(self) -> list[dict[str, Any]]:
        """Return what is known of each round; ``pandas.DataFrame(loop.rounds())`` is a frame.

        Beside what `next` was asked for and the times there are its `state`, how many `picks` it
        has, how many of them are `labeled`, and how many answers are `missing`.
        """
        with self._database.reading() as db:
            return _rounds.table(db)

    def picks(self, round: int) -> list[dict[str, Any]]:  # noqa: A002
        """
        Return the picks of a round, in their order.

        Parameters
        ----------
        round : int
            Which.

        Returns
        -------
        list of dict
            Of each its id, rank, kind, pseudo_label, score, norm, d2, potential, want and need.
        """
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT s.id, p.rank, p.kind, p.pseudo_label, p.score, p.norm, p.d2, p.potential, "
                "p.want, p.need FROM picks AS p JOIN samples AS s ON s.key = p.sample "
                "WHERE p.round = ? ORDER BY p.rank",
                (round_of(db, round),),
            ).fetchall()
        return [
            {**dict(row), "pseudo_label": row["pseudo_label"] and json.loads(row["pseudo_label"])}
            for row in rows
        ]

    def progress(self) -> dict[str, Any]:
        """Return where the loop stands, in numbers.

        `samples`, those of the `test` set, how many are `labeled`, and `test_labeled`; the `round`
        that is asked for now (None if none is) and its `kind`, its `picks`, how many of them are
        `unanswered`, and how many answers are `missing`, `missing_in_all` of the rounds; how many
        picks are `waiting` for a second person; and `people` of whom something stands, with how
        many decisions of each do, when the last was, and how many samples they hold.
        """
        with self._database.reading() as db:
            return _rounds.progress(db)

    def report(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """
        Write a page of what the labels say, which needs no network.

        Learning curves with intervals, an estimate of how many labels were saved, when one could
        stop, counts of classes, how far people agree, and the map, round by round.

        Parameters
        ----------
        path : str or path-like
            Ends in ``.html``.
        overwrite : bool, default=False
            Whether to replace a file that exists.

        Raises
        ------
        ValueError
            If the ending is another.
        FileExistsError, OSError
            If the file exists and `overwrite` is False, or it cannot be written there.
        """
        from labelnext.report.page import write_report

        write_report(self, path_of("path", path), overwrite=flag("overwrite", overwrite))

    def __repr__(self) -> str:
        at = self.progress()
        return (
            f"Loop of {counted(at['samples'], 'sample')} in {self.folder}: {self.task}, "
            f"{at['labeled']:,} labelled"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder,)

    def _labels(self, db: Any, rule: Rule = "majority", split: str = "pool") -> Labels:
        return _events.labels(db, _schema.about(db, "task"), rule, SPLITS[split])

    def _about(self, name: str) -> Any:
        with self._database.reading() as db:
            return _schema.about(db, name)


def open_loop(folder: str | os.PathLike[str]) -> Loop:
    """
    Open a loop that `labelnext.loop.Loop.create` has made.

    Parameters
    ----------
    folder : str or path-like
        Its folder.

    Returns
    -------
    Loop
        The loop. A file of an older version of labelnext is brought to this one's.

    Raises
    ------
    LoopError
        If the folder is no loop, is on a network file system, or its file is damaged or was
        written by a newer version.

    Examples
    --------
    >>> import tempfile
    >>> import labelnext
    >>> folder = tempfile.TemporaryDirectory()
    >>> texts = ["Well made", "Broke"]
    >>> _ = labelnext.loop.Loop.create(folder.name, texts, classes=["good", "bad"])
    >>> labelnext.open_loop(folder.name).progress()["samples"]
    2
    >>> folder.cleanup()
    """
    return Loop(folder)
