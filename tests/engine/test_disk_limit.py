"""How much memory a pool in files may take: what is understood, and what is too little."""

import numpy as np
import pytest

import pools
from labelnext.engine import _base, memory_limit
from labelnext.engine._rows import ArrayRows, FactorsInFiles
from labelnext.engine.memory_limit import free_memory, lay_out, least_limit, parse_limit, say_bytes
from labelnext.pools import ArraySource
from labelnext.sampling import _d2, d2_sample


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch):
    # Each of them needs memory of its own.
    monkeypatch.setenv("LABELNEXT_NUM_THREADS", "2")


@pytest.mark.parametrize(
    ("limit", "n_bytes"),
    [
        ("1GB", 10**9),
        ("1.5 GB", 1_500_000_000),
        (" 500MiB ", 500 << 20),
        ("2gib", 2 << 30),
        ("0.5TB", 5 * 10**11),
        ("300000000B", 300_000_000),
        ("1kB", 1000),
        (12345, 12345),
    ],
)
def test_amounts(limit, n_bytes):
    assert parse_limit(limit) == n_bytes


@pytest.mark.parametrize(
    "limit", ["", "1G", "GB", "1,5GB", "-1GB", "1e9", "1 GB of it", "12", "1GBB", "iB", "1ib"]
)
def test_no_amounts(limit):
    with pytest.raises(ValueError, match=r"no amount of memory.*'1GB'"):
        pools.opened(pools.InFiles(*pools.confident(9)), memory_limit=limit)


@pytest.mark.parametrize("limit", [1e9, True, [1]])
def test_no_texts_nor_integers(limit):
    with pytest.raises(TypeError, match="an integer of bytes or None, got"):
        parse_limit(limit)


@pytest.mark.parametrize("limit", [0, -5, "0GB"])
def test_nothing(limit):
    with pytest.raises(ValueError, match="above 0"):
        parse_limit(limit)


def test_without_one_half_of_what_is_free(monkeypatch):
    monkeypatch.setattr(memory_limit, "free_memory", lambda: 1000)
    assert parse_limit(None) == 500


def test_what_is_free_is_less_than_there_is():
    assert 1 << 20 < free_memory() < 1 << 50


@pytest.mark.usefixtures("compiler")
def test_too_small_a_limit_says_what_is_needed():
    arrays = pools.confident(50_000)
    source = FactorsInFiles(ArraySource(*arrays))
    with pytest.raises(ValueError, match=r"is 1MB.*needs (\S+): 61 bytes for each of its 50,000"):
        pools.opened(pools.InFiles(*arrays), memory_limit="1MB")
    needed = least_limit(source, 61.125)
    # What the message says will do, and not much less.
    lay_out(source, parse_limit(say_bytes(needed)), 61.125)
    with pytest.raises(ValueError, match=say_bytes(needed)):
        lay_out(source, needed - 1, 61.125)


def test_too_many_threads_are_named(monkeypatch):
    source = FactorsInFiles(ArraySource(*pools.confident(60)))
    with monkeypatch.context() as patched:
        patched.setenv("LABELNEXT_NUM_THREADS", "100000")
        said = r"half of what is free.*fewer than 100,000 threads, with .*LABELNEXT_NUM_THREADS"
        with pytest.raises(ValueError, match=said):
            lay_out(source, 10**9, 19)
    lay_out(source, 10**9, 19)


@pytest.mark.parametrize("n_bytes", [1, 999, 1000, 123_456, 99_999_999, 10**12 + 1])
def test_amounts_for_people_are_rounded_up(n_bytes):
    said = parse_limit(say_bytes(n_bytes))
    assert n_bytes <= said <= max(1.1 * n_bytes, 100)


@pytest.mark.parametrize("limit", [21_000_000, 40_000_000, 10**9])
@pytest.mark.parametrize("cuts", [None, [0, 5, 9000, 9001, 40_000, 50_000]])
def test_stretches_and_what_is_kept_fit_the_limit(limit, cuts):
    source = ArraySource(np.ones((50_000, 3)), np.ones((50_000, 100)))
    if cuts is not None:
        source.cuts = np.array(cuts)
    source = FactorsInFiles(source)
    layout = lay_out(source, limit, 61.125)
    sizes = np.diff(layout.starts)
    assert layout.starts[[0, -1]].tolist() == [0, 50_000]
    assert (sizes > 0).all()
    kept = int(layout.starts[layout.n_kept])
    assert 61.125 * 50_000 + (kept + 3 * sizes.max()) * source.row_bytes <= limit
    # What is left over is used.
    assert kept == 50_000 or limit < 2 * 50_000 * source.row_bytes
    groups = np.concatenate([layout.cuts(layout.stretch(i))[:-1] for i in range(len(layout))])
    assert (np.diff(groups) > 0).all()
    assert set(layout.starts[:-1]) <= set(groups)


class Watched(pools.PlainGradients):
    """A pool that notes the sizes of the blocks of centres, and how many rows are drawn at once."""

    def start(self, exclude):
        self.blocks, self.draws = [], []
        state = super().start(exclude)
        update, find = state.min_update, state.find

        def min_update(centres, rows, trace=None):
            self.blocks.append(len(centres))
            return update(centres, rows, trace)

        def noted(tickets):
            self.draws.append(len(tickets))
            return find(tickets)

        state.min_update, state.find = min_update, noted
        return state


@pytest.mark.parametrize(
    ("rule", "largest"),
    [({}, 512), ({"LEAST_BLOCK": 300}, 300), ({"LEAST_BLOCK": 1, "ROWS_PER_CENTRE": 16}, 375)],
    ids=str,
)
@pytest.mark.parametrize("drawn", [128, 40])
def test_what_is_needed_follows_what_a_selection_has_at_once(monkeypatch, rule, largest, drawn):
    # One rule for both: else a change of sampling would break limits without a word.
    before = least_limit(FactorsInFiles(ArraySource(*pools.confident(6000))), 61.125)
    for name, value in rule.items():
        monkeypatch.setattr(_base, name, value)
    assert _d2.MOST_DRAWN is _base.MOST_DRAWN
    for module in (_base, _d2):
        monkeypatch.setattr(module, "MOST_DRAWN", drawn)
    proba, features = pools.confident(6000)
    pool = Watched(ArrayRows(proba, features), bias=False)
    d2_sample(pool, 1500, random_state=0)
    assert max(pool.blocks) == largest
    assert max(pool.draws) <= drawn
    assert max(pool.draws) > drawn // 2
    source = FactorsInFiles(ArraySource(proba, features))
    of_a_centre = 8 * (4 * 4 + 3 * 8 + 32)
    rows = (largest - 512) + 4 * (drawn - 128)
    assert least_limit(source, 61.125) == before + of_a_centre * rows
