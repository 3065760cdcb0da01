"""A loop said naively, in lists and sets: what the store is held against."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

ANSWERS = ("label", "cannot-tell", "import")


@dataclass
class Said:
    """An event; `undone` is all that ever changes of it."""

    who: str
    sample: int
    action: str
    value: str | None = None
    undone: bool = False


@dataclass
class Model:
    """Picks in the order in which they are asked for, each a dict; leases by pick and person."""

    picks: list = field(default_factory=list)
    events: list = field(default_factory=list)
    leases: dict = field(default_factory=dict)  # (place of pick, who) -> (since, until, turn)
    closed: set = field(default_factory=set)

    def standing(self, who, sample):
        """The last event of a person on a sample that counts."""
        mine = [
            (number, e)
            for number, e in enumerate(self.events)
            if (e.who, e.sample) == (who, sample)
            and e.action in (*ANSWERS, "skip")
            and not e.undone
        ]
        return mine[-1] if mine else (None, None)

    def people(self):
        return {e.who for e in self.events}

    def decided(self, sample):
        found = [
            e
            for e in self.events
            if e.sample == sample and e.action == "adjudicate" and not e.undone
        ]
        return found[-1] if found else None

    def answers(self, sample):
        found = {who: self.standing(who, sample)[1] for who in self.people()}
        return {who: e for who, e in found.items() if e is not None and e.action in ANSWERS}

    def need(self, place):
        pick = self.picks[place]
        if pick["round"] in self.closed or self.decided(pick["sample"]):
            return 0
        return max(0, pick["want"] - len(self.answers(pick["sample"])))

    def expire(self, now):
        self.leases = {
            key: (since, until, turn)
            for key, (since, until, turn) in self.leases.items()
            if since - (until - since) <= now < until
        }

    def take(self, who, n, now, seconds):
        self.expire(now)

        def held():
            mine = [(turn, p) for (p, w), (_, _, turn) in self.leases.items() if w == who]
            return [place for _, place in sorted(mine)]

        fresh, skipped = [], []
        for place, pick in enumerate(self.picks):
            others = sum(p == place and w != who for p, w in self.leases)
            if place in held() or self.need(place) <= others:
                continue
            number, e = self.standing(who, pick["sample"])
            if e is None:
                fresh.append(((1, place), place))
            elif e.action == "skip":
                skipped.append(((2, number), place))
        for turn, place in (fresh + sorted(skipped))[: max(0, n - len(held()))]:
            self.leases[place, who] = now, now + seconds, turn
        for place in held()[:n]:
            self.leases[place, who] = now, now + seconds, self.leases[place, who][2]
        return [self.picks[place]["sample"] for place in held()[:n]]

    def record(self, who, sample, action, value=None):
        self.events.append(Said(who, sample, action, value))
        if action not in ("flag", "comment"):
            self.leases = {
                (p, w): lease
                for (p, w), lease in self.leases.items()
                if self.picks[p]["sample"] != sample
                or (w != who and (lease[2][0] == 0 or self.need(p)))
            }

    def undo(self, who, now, seconds):
        mine = [e for e in self.events if e.who == who and not e.undone]
        mine = [e for e in mine if e.action not in ("undo", "import")]
        if not mine:
            return None
        last = mine[-1]
        last.undone = True
        self.events.append(Said(who, last.sample, "undo"))
        places = [p for p, pick in enumerate(self.picks) if pick["sample"] == last.sample]
        if places and last.action in ("label", "skip", "cannot-tell"):
            self.leases[places[-1], who] = now, now + seconds, (0, -len(self.events))
        return last.sample

    def close(self, number):
        self.closed.add(number)
        self.leases = {
            (p, w): lease
            for (p, w), lease in self.leases.items()
            if self.picks[p]["round"] != number
        }

    def labels(self, n, rule):
        found = []
        for sample in range(n):
            votes = [e.value for e in self.answers(sample).values() if e.action != "cannot-tell"]
            counts = Counter(votes).most_common()
            decided = self.decided(sample)
            if decided:
                found.append(decided.value)
            elif not votes or rule == "adjudicated":
                found.append(None)
            elif rule == "unanimous":
                found.append(votes[0] if len(counts) == 1 else None)
            else:
                tie = len(counts) > 1 and counts[0][1] == counts[1][1]
                found.append(None if tie else counts[0][0])
        return found

    def disagreements(self):
        found = defaultdict(dict)
        for sample in {e.sample for e in self.events}:
            votes = self.answers(sample)
            said = {who: e.value for who, e in votes.items() if e.action != "cannot-tell"}
            if len(set(said.values())) > 1 and not self.decided(sample):
                found[str(sample)] = said
        return dict(found)
