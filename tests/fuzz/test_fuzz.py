"""Each target with its files as they are, and with a few edits."""

import tracemalloc

import hypothesis
import pytest
from tests import fuzz

TARGETS = fuzz.load()
SEEDS = [(name, seed) for name, target in TARGETS.items() for seed in target.seeds()]


@pytest.mark.one_of(2)
@pytest.mark.parametrize(("name", "seed"), SEEDS)
def test_crafted_files_are_read_or_refused(name, seed, tmp_path):
    target = TARGETS[name]
    fuzz.written(tmp_path, target.pack(target.seeds()[seed]))
    refused = fuzz.check(target.use, tmp_path)
    # What is whole is read: a target that refuses everything finds nothing.
    assert not (seed.startswith("whole") and refused), refused


@pytest.mark.parametrize("name", TARGETS)
def test_edited_files_are_read_or_refused(name, tmp_path_factory):
    target = TARGETS[name]

    @hypothesis.settings(max_examples=12, deadline=None, database=None, derandomize=True)
    @hypothesis.given(fuzz.edited(target))
    def edits(files):
        folder = tmp_path_factory.mktemp("files")
        fuzz.written(folder, target.pack(files))
        fuzz.check(target.use, folder)

    edits()


def test_the_rule_is_held():
    def raises(error):
        def use(_):
            raise error

        return use

    for error in (KeyError("a"), ValueError("Not said by us, but by a test.")):
        with pytest.raises(fuzz.BrokenError):
            fuzz.check(raises(error), None)
    with pytest.raises(fuzz.BrokenError, match="took"):
        fuzz.check(lambda _: bytearray(fuzz.MEMORY + 1), None)
    assert not tracemalloc.is_tracing()
