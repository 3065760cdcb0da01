"""Rounds with people: which samples were chosen, who said what, and what came of it.

A loop is a folder with one SQLite file. `Loop.create` makes one, `open_loop` opens it; any number
of processes may do so at once.
"""

from labelnext.loop._events import Event, Labels, Rule
from labelnext.loop._rounds import Item
from labelnext.loop._schema import LoopError
from labelnext.loop.loop import Loop, open_loop
from labelnext.report.shares import ClassCounts

__all__ = ["ClassCounts", "Event", "Item", "Labels", "Loop", "LoopError", "Rule", "open_loop"]
