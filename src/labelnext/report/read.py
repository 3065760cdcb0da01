"""What is read of a loop, each once and only when it is asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


class Read:
    """A loop, and what is read of it."""

    def __init__(self, loop: Any) -> None:
        self.loop, self.task = loop, loop.task

    @cached_property
    def at(self) -> dict[str, Any]:
        """Where the loop stands."""
        return self.loop.progress()  # type: ignore[no-any-return]

    @cached_property
    def rounds(self) -> list[dict[str, Any]]:
        """All rounds, and the test set; `labeled` have a label, so no tie is among them."""
        known = self.labeled | set(self.test.ids[self.test.labeled].tolist())
        return [
            {**each, "labeled": sum(pick["id"] in known for pick in self.picks[each["number"]])}
            for each in self.loop.rounds()
        ]

    @cached_property
    def chosen(self) -> list[dict[str, Any]]:
        """The rounds that were chosen."""
        return [each for each in self.rounds if each["kind"] != "test"]

    @property
    def model(self) -> str:
        """What has made the last round."""
        return str(self.chosen[-1]["parameters"].get("model", "")) if self.chosen else ""

    @property
    def as_before(self) -> str:
        """What a command for the next round must be told of a model of the user's, in words."""
        option = self.model.partition(" ")[0]
        return f", with {option} as before" if option.startswith("--") else ""

    @cached_property
    def comparable(self) -> list[dict[str, Any]]:
        """The rounds of the last one's model: what models say is never held against another's."""
        return [each for each in self.chosen if each["parameters"].get("model", "") == self.model]

    @cached_property
    def picks(self) -> dict[int, list[dict[str, Any]]]:
        """The picks of each round, in their order."""
        numbers = [each["number"] for each in self.loop.rounds()]
        return {number: self.loop.picks(number) for number in numbers}

    @cached_property
    def events(self) -> list[Any]:
        """All that people have done."""
        return self.loop.events()  # type: ignore[no-any-return]

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """All that models have reached."""
        return self.loop.metrics()  # type: ignore[no-any-return]

    @cached_property
    def votes(self) -> list[dict[str, Any]]:
        """What each person says of each sample that somebody has labelled."""
        return list(self.loop.votes().values())

    @cached_property
    def disagreements(self) -> list[Any]:
        """Samples of which people say different things, and nobody has decided."""
        return self.loop.disagreements()  # type: ignore[no-any-return]

    @cached_property
    def labels(self) -> Any:
        """The labels of the pool."""
        return self.loop.labels()

    @cached_property
    def test(self) -> Any:
        """Those of the test set."""
        return self.loop.labels(split="test")

    @cached_property
    def row(self) -> dict[str, int]:
        """The rows of samples, by their ids."""
        return {name: row for row, name in enumerate(self.labels.ids.tolist())}

    @cached_property
    def labeled(self) -> set[str]:
        """The ids of labelled samples of the pool."""
        return set(self.labels.ids[self.labels.labeled].tolist())

    @cached_property
    def _from(self) -> Any:
        """Of each labelled sample of the pool its first round, ascending; -1 if none has asked."""
        first = {
            pick["id"]: each["number"]
            for each in reversed(self.chosen)
            for pick in self.picks[each["number"]]
        }
        return np.sort([first.get(name, -1) for name in self.labeled])

    def labels_until(self, number: int) -> int:
        """Count the labels of the pool when a round was over: those of later rounds are not in."""
        return int(np.searchsorted(self._from, number, side="right"))

    def order(self, kinds: Sequence[str]) -> list[int]:
        """Return the labelled rows of the pool that were picked, in the order of picking."""
        names = [
            pick["id"]
            for each in self.chosen
            for pick in self.picks[each["number"]]
            if pick["kind"] in kinds and pick["id"] in self.labeled
        ]
        return [self.row[name] for name in dict.fromkeys(names)]
