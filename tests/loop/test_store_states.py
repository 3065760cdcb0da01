"""Whatever people do, in any order, and whenever the process ends: the store is as the model."""

import shutil
import tempfile

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from labelnext.loop import Loop, _rounds, _schema, open_loop
from loop_model import Model

N = 7
PEOPLE = st.sampled_from(["ann", "bob", "Zoë"])
SAMPLES = st.integers(0, N - 1)
CLASSES = ["good", "bad", "odd"]
VALUES = st.sampled_from(CLASSES)


class LoopStates(RuleBasedStateMachine):
    """The same done to a loop and to the model, on a clock of our own."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.now, self.model, self.n_rounds, self.sent = 1e9, Model(), 0, None
        self.brought = {}
        self.clock = pytest.MonkeyPatch()
        self.clock.setattr(_schema, "now", lambda: self.now)
        self.loop = Loop.create(f"{self.folder}/loop", ["text"] * N, classes=CLASSES)
        self.choose([0, 3, 1, 2], [1, 2, 1, 2])

    def teardown(self):
        self.clock.undo()
        shutil.rmtree(self.folder)

    def choose(self, samples, wants):
        self.n_rounds += 1
        nothing = [None] * len(samples)
        picks = _rounds.Picks(samples, ["strategy"] * len(samples), wants, *[nothing] * 6)
        about = {"strategy": "badge", "parameters": {}, "seed": 0, "fingerprint": ""}
        with self.loop._database.writing() as db:
            _rounds.add(db, self.n_rounds, "strategy", picks, **about)
        self.model.picks += [
            {"round": self.n_rounds, "sample": sample, "want": want}
            for sample, want in zip(samples, wants, strict=True)
        ]

    @rule(who=PEOPLE, n=st.integers(1, 5), seconds=st.sampled_from([60.0, 600.0]))
    def take(self, who, n, seconds):
        items = self.loop.take(who, n, seconds=seconds)
        assert [item.key for item in items] == self.model.take(who, n, self.now, seconds)
        assert all(item.until == self.now + seconds for item in items)

    @rule(who=PEOPLE, value=VALUES)
    def label_the_next(self, who, value):
        for item in self.loop.take(who):
            assert [item.key] == self.model.take(who, 1, self.now, 600.0)
            self.record(who, item.key, "label", value)

    @rule(who=PEOPLE)
    def skip_the_next(self, who):
        for item in self.loop.take(who):
            assert [item.key] == self.model.take(who, 1, self.now, 600.0)
            self.record(who, item.key, "skip", None)

    @rule(who=PEOPLE, sample=SAMPLES, action=st.sampled_from(["label", "adjudicate"]), value=VALUES)
    def say(self, who, sample, action, value):
        self.record(who, sample, action, value)

    @rule(
        who=PEOPLE,
        sample=SAMPLES,
        action=st.sampled_from(["skip", "cannot-tell", "flag", "comment"]),
    )
    def say_without_a_value(self, who, sample, action):
        self.record(who, sample, action, None)

    def record(self, who, sample, action, value):
        client = f"{who}-{len(self.model.events)}"
        comment = "hm" if action == "comment" else None
        said = {"annotator": who, "client": client, "comment": comment}
        self.sent = (str(sample), action, value), said
        event = self.loop.record(*self.sent[0], **said)
        self.model.record(who, sample, action, value)
        assert event.number == len(self.model.events)

    @precondition(lambda self: self.sent)
    @rule()
    def send_again(self):
        values, said = self.sent
        assert self.loop.record(*values, **said).client == said["client"]

    @rule(who=PEOPLE, sample=SAMPLES, value=VALUES)
    def bring_in(self, who, sample, value):
        _, before = self.model.standing(who, sample)
        new = self.loop.add_labels([str(sample)], [value], annotator=who, source="file")
        same = before and before.action in ("label", "import") and before.value == value
        assert new == (not same and self.brought.get((who, sample)) != value)
        if new:
            self.model.record(who, sample, "import", value)
            self.brought[who, sample] = value

    @rule(who=PEOPLE)
    def undo(self, who):
        event = self.loop.undo(who)
        sample = self.model.undo(who, self.now, 600.0)
        assert (event and event.sample) == (None if sample is None else str(sample))

    @rule(who=PEOPLE)
    def release(self, who):
        self.loop.release(who)
        self.model.leases = {k: v for k, v in self.model.leases.items() if k[1] != who}

    @rule(seconds=st.sampled_from([1, 61, 601, -30, -500, -5000]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def crash(self):
        self.loop = open_loop(self.loop.folder)

    @precondition(lambda self: self.n_rounds < 4)
    @rule(samples=st.lists(SAMPLES, min_size=1, max_size=3, unique=True), want=st.integers(1, 2))
    def next_round(self, samples, want):
        open_now = {
            pick["sample"] for place, pick in enumerate(self.model.picks) if self.model.need(place)
        }
        answered = {e.sample for e in self.model.events}
        samples = [sample for sample in samples if sample not in open_now | answered]
        if samples:
            self.choose(samples, [want] * len(samples))

    @rule()
    def close(self):
        open_rounds = [n for n in range(1, self.n_rounds + 1) if n not in self.model.closed]
        if open_rounds:
            assert self.loop.close() == open_rounds[0]
            self.model.close(open_rounds[0])
        else:
            with pytest.raises(ValueError, match="no round to close"):
                self.loop.close()

    @invariant()
    def labels_are_those_of_the_model(self):
        for each in ("majority", "unanimous", "adjudicated"):
            assert self.loop.labels(each).y.tolist() == self.model.labels(N, each)
        assert dict(self.loop.disagreements()) == self.model.disagreements()

    @invariant()
    def needs_are_those_of_the_model(self):
        needs = [self.model.need(place) for place in range(len(self.model.picks))]
        with self.loop._database.reading() as db:
            assert [row[0] for row in db.execute("SELECT need FROM picks ORDER BY key")] == needs
            counts = "SELECT round, count(*), sum(want), sum(need) FROM picks GROUP BY round"
            kept = [tuple(row) for row in db.execute("SELECT * FROM asked ORDER BY round")]
            assert kept == [tuple(row) for row in db.execute(counts)]
        assert self.loop.progress()["missing_in_all"] == sum(needs)

    @invariant()
    def nothing_is_lost(self):
        events = self.loop.events()
        assert [(e.annotator, int(e.sample), e.action, e.value, e.undone) for e in events] == [
            (e.who, e.sample, e.action, e.value, e.undone) for e in self.model.events
        ]


TestLoopStates = LoopStates.TestCase
TestLoopStates.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class Longer(LoopStates):
    pass


TestLonger = pytest.mark.slow(Longer.TestCase)
TestLonger.settings = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
