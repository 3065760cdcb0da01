"""The compiled inner loops of the pruned pass. Imported only when a pool is large enough.

Each kernel works on one span of rows and holds no lock, so that `for_each_span` can run several
side by side; numba's own thread pool, which survives no fork, is not used. All in one file:
numba recompiles what it has kept on disk when this file changes, but not when another does.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic, overload

# Columns of the table of scalars that stand for a row or a centre in the bounds:
# q = 1 − p[ŷ], t = ‖p without its pseudo-label entry‖, h = ‖h‖ (bias included),
# x = ⟨h, u⟩ for one unit vector u, w = ‖p without its two largest entries‖.
#
# The bounds take q ≥ 0. But rows may sum to a little more than 1, and p[ŷ] may be above 1. Then all
# entries of the residual a are positive, and bounds treat it as one without a pseudo-label: q is 0,
# t = ‖a‖, w = ‖a without its second entry‖, and its label is nobody's. So ⟨a_i, a_c⟩ is still at
# most t_i t_c, and at least −(q_i t_c + q_c t_i). In the table q keeps its sign.
Q, T, H, X, W = range(5)

# Counters of a pass.
TESTED, RESIDUAL_PRODUCTS, FEATURE_PRODUCTS, DIFFERENCES = range(4)
N_COUNTERS = 4

# The least value of a D² that is not 0 for good.
TINY = np.finfo(np.float64).tiny

# Rounding of a bound, as a share of ‖G_i‖² + ‖G_c‖²: far above that of float64 sums of some
# thousand terms, far below what a bound is for.
SAFE = 1.0 - 1e-11
CANCELLED = 1e-6
# Centres that are tested at a time: the bits of a word.
WORD = 64
# From so many classes on, ⟨a_i, a_c⟩ is not computed for a word of centres at once.
MANY_CLASSES = 128
TOO_LARGE = 1e280  # as for the plain pass
# The plain reading has the last word on a row. This one adds up in another order, so it refuses a
# little later: what it refuses the other is sure to refuse, with the reason.
LENIENT = 1.0 + 1e-9


@intrinsic
def _as_float(typing_context: Any, bits: Any = None) -> Any:
    """Read the 64 bits of an integer as a float64."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], context.get_value_type(types.float64))

    return types.float64(types.int64), generate


# Sums may be reassociated, so that they vectorise; NaN and infinity keep their meaning.
FASTMATH = {"reassoc", "contract", "arcp", "nsz"}


@intrinsic
def _lowest_bit(typing_context: Any, word: Any = None) -> Any:
    """The place of the lowest bit of a word that is not 0."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.int64), generate


@intrinsic
def _count_bits(typing_context: Any, word: Any = None) -> Any:
    """How many bits of a word are 1."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), generate


# Kernels make no array: scratch comes from outside. So numba need not count references, which
# for the arrays in the tuples below would take longer than the arithmetic.
OPTIONS: Any = {"nogil": True, "fastmath": FASTMATH, "_nrt": False}


def jit(function: Any, **options: Any) -> Any:
    """Compile, and keep the result on disk where any directory for it is writable."""
    try:
        return numba.njit(cache=True, **{**OPTIONS, **options})(function)
    except RuntimeError:  # numba found no such directory
        return numba.njit(**{**OPTIONS, **options})(function)


def load_row(store: Any, row: int, out: Any) -> None:
    """Write a row, as float64, into `out`, which is all 0 beforehand if the store is sparse."""
    raise RuntimeError("only called from compiled code")


def stage_row(store: Any, row: int, staged: Any) -> None:
    """Make a row ready for `row_dot`: float16 and sparse rows are loaded, others read in place."""
    raise RuntimeError("only called from compiled code")


def load_unstaged_row(store: Any, row: int, staged: Any) -> None:
    """Load a row unless `stage_row` has."""
    raise RuntimeError("only called from compiled code")


def clear_row(store: Any, row: int, out: Any) -> None:
    """Make `out` all 0 again after `load_row`; nothing to do if the store is dense."""
    raise RuntimeError("only called from compiled code")


def summarise_row(store: Any, signs: Any, row: int, scratch: Any, direction: Any) -> Any:
    """‖h‖², ⟨h, direction⟩ and the number of negative entries of a row; scratch is 0 if sparse."""
    raise RuntimeError("only called from compiled code")


def row_dot(store: Any, row: int, staged: Any, centres: Any, centre: int) -> float:
    """⟨staged row of the store, row of the centres⟩."""
    raise RuntimeError("only called from compiled code")


def _is_sparse(store: Any) -> bool:
    return isinstance(store, types.BaseTuple)


def _is_half(store: Any) -> bool:
    return not _is_sparse(store) and store.dtype == types.uint16


@overload(load_row, jit_options=OPTIONS)
def _load_row(store, row, out):  # type: ignore[no-untyped-def]
    if _is_sparse(store):

        def load_sparse(store, row, out):  # type: ignore[no-untyped-def]
            values, columns, starts = store
            for j in range(starts[row], starts[row + 1]):
                out[columns[j]] += values[j]

        return load_sparse
    if _is_half(store):

        def load_half(store, row, out):  # type: ignore[no-untyped-def]
            # float16 by its bits: shifted into a float64's places the exponent is too small by
            # 1008, subnormals included.
            for j in range(store.shape[1]):
                bits = np.int64(store[row, j])
                value = _as_float(((bits & 0x7FFF) << 42) | ((bits & 0x8000) << 48)) * 2.0**1008
                out[j] = value if (bits & 0x7FFF) < 0x7C00 else np.nan

        return load_half

    def load_dense(store, row, out):  # type: ignore[no-untyped-def]
        for j in range(store.shape[1]):
            out[j] = store[row, j]

    return load_dense


@overload(stage_row, jit_options=OPTIONS)
def _stage_row(store, row, staged):  # type: ignore[no-untyped-def]
    if _is_sparse(store) or _is_half(store):
        return lambda store, row, staged: load_row(store, row, staged)  # noqa: PLW0108
    return lambda store, row, staged: None


@overload(load_unstaged_row, jit_options=OPTIONS)
def _load_unstaged_row(store, row, staged):  # type: ignore[no-untyped-def]
    if _is_sparse(store) or _is_half(store):
        return lambda store, row, staged: None
    return lambda store, row, staged: load_row(store, row, staged)  # noqa: PLW0108


@overload(clear_row, jit_options=OPTIONS)
def _clear_row(store, row, out):  # type: ignore[no-untyped-def]
    if _is_sparse(store):

        def clear_sparse(store, row, out):  # type: ignore[no-untyped-def]
            _, columns, starts = store
            for j in range(starts[row], starts[row + 1]):
                out[columns[j]] = 0.0

        return clear_sparse

    return lambda store, row, out: None


@jit
def _summary(row: Any, signs: Any, direction: Any) -> Any:
    h2, x, n_negative, sign = 0.0, 0.0, 0, np.int64(0)
    for j in range(len(direction)):
        value = np.float64(row[j])
        h2 += value * value
        x += value * direction[j]
    # Sign bits are or-ed many at a time; comparing every value would take as long as the sums.
    for j in range(len(signs)):
        sign |= signs[j]
    if sign < 0:
        for j in range(len(direction)):
            n_negative += row[j] < 0
    return h2, x, n_negative


@overload(summarise_row, jit_options=OPTIONS)
def _summarise_row(store, signs, row, scratch, direction):  # type: ignore[no-untyped-def]
    if _is_sparse(store):

        def summarise_sparse(store, signs, row, scratch, direction):  # type: ignore[no-untyped-def]
            load_row(store, row, scratch)
            _, columns, starts = store
            h2, x, n_negative = 0.0, 0.0, 0
            for j in range(starts[row], starts[row + 1]):
                value = scratch[columns[j]]
                # A column that is stored twice has been summed, and counts once.
                scratch[columns[j]] = 0.0
                h2 += value * value
                x += value * direction[columns[j]]
                n_negative += value < 0.0
            return h2, x, n_negative

        return summarise_sparse
    if _is_half(store):

        def summarise_half(store, signs, row, scratch, direction):  # type: ignore[no-untyped-def]
            load_row(store, row, scratch)
            return _summary(scratch, signs[row], direction)

        return summarise_half

    def summarise_dense(store, signs, row, scratch, direction):  # type: ignore[no-untyped-def]
        return _summary(store[row], signs[row], direction)

    return summarise_dense


@jit
def _dot(x: Any, y: Any) -> float:
    total = 0.0
    for j in range(len(x)):
        total += np.float64(x[j]) * np.float64(y[j])
    return total


@overload(row_dot, jit_options=OPTIONS)
def _row_dot(store, row, staged, centres, centre):  # type: ignore[no-untyped-def]
    if _is_sparse(centres):

        def dot_sparse(store, row, staged, centres, centre):  # type: ignore[no-untyped-def]
            values, columns, starts = centres
            total = 0.0
            for j in range(starts[centre], starts[centre + 1]):
                total += values[j] * staged[columns[j]]
            return total

        return dot_sparse
    if _is_half(store):
        return lambda store, row, staged, centres, centre: _dot(staged, centres[centre])
    return lambda store, row, staged, centres, centre: _dot(store[row], centres[centre])


@jit
def read_span(
    lo: int,
    hi: int,
    proba: Any,
    features: Any,
    signs: Any,
    direction: Any,
    bias: float,
    tolerance: float,
    labels: Any,
    runners_up: Any,
    squared_norms: Any,
    scalars: Any,
    scratch: Any,
) -> Any:
    """Check rows lo to hi and write what the bounds need of them.

    Returns the first row that is not as it should be, or −1, and the number of negative
    features. ``scratch`` has room for a row of each, the second all 0.
    """
    n_classes = proba.shape[1]
    p, h = scratch
    n_negative = 0
    for i in range(lo, hi):
        load_row(proba, i, p)
        total, below_0 = 0.0, 0
        for j in range(n_classes):
            total += p[j]
            below_0 += p[j] < 0.0
        if below_0 or not abs(total - 1.0) <= tolerance * LENIENT:
            return i, n_negative
        best, second, y, y2 = -1.0, -1.0, 0, 0
        for j in range(n_classes):
            if p[j] > second:
                if p[j] > best:
                    second, y2 = best, y
                    best, y = p[j], j
                else:
                    second, y2 = p[j], j
        # A single class has no second.
        second = max(second, 0.0)
        p[y] = 0.0
        p[y2] = 0.0
        w2 = 0.0
        for j in range(n_classes):
            w2 += p[j] * p[j]
        t2 = w2 + second * second
        q = 1.0 - best
        h2, x, below_0 = summarise_row(features, signs, i, h, direction)
        n_negative += below_0
        squared_norms[i] = (q * q + t2) * (h2 + bias)
        if not h2 + bias < TOO_LARGE * LENIENT:
            return i, n_negative
        if q < 0.0:
            t2 += q * q
            # A single class is its own runner-up.
            w2 += q * q if y2 != y else 0.0
        labels[i] = y
        runners_up[i] = y2
        scalars[i, Q] = q
        scalars[i, T] = np.sqrt(t2)
        scalars[i, H] = np.sqrt(h2 + bias)
        scalars[i, X] = x
        scalars[i, W] = np.sqrt(w2)
    return -1, n_negative


@jit
def lower_to_bound(squared_norms: Any, norm: float, widened: float, values: Any) -> float:
    """Lower each value that is not 0 to (‖G_i‖ + norm)², a little widened; return the largest."""
    largest = 0.0
    for i in range(len(values)):
        limit = np.sqrt(squared_norms[i]) + norm
        # Not 0, where all norms are: before the first pass that marks what cannot be picked.
        value = min(values[i], max(limit * limit * widened, TINY))
        values[i] = value
        largest = max(largest, value)
    return largest


# Reassociated, the factors would be multiplied first, and overflow.
@partial(jit, fastmath={"contract"})
def sum_weights(values: Any, factors: Any, group: int, totals: Any) -> None:
    """Sum the integer weights ⌈2ˢ D²⌉ of each group of rows.

    2ˢ comes as two factors, for it may be too large for one; powers of 2 round nothing.
    """
    first, second = factors
    for g in range(len(totals)):
        total = np.int64(0)
        for i in range(g * group, min((g + 1) * group, len(values))):
            total += np.int64(np.ceil(values[i] * first * second))
        totals[g] = total


@jit
def leg(hypotenuse: float, other: float) -> float:
    """√(hypotenuse² − other²), never below the truth: it cancels where the two are alike."""
    square = hypotenuse * hypotenuse
    return np.sqrt(max(square - other * other, 0.0) + 1e-13 * square)


@jit
def _from_differences(a: Any, h: Any, ca: Any, ch: Any, bias: float) -> float:
    """d² as a sum of squares; see `_distances_from_differences` in `_factors`."""
    a2, h2, ca2, ch2 = _dot(a, a), _dot(h, h) + bias, _dot(ca, ca), _dot(ch, ch) + bias
    if ca2 * h2 > a2 * ch2:
        return _sum_of_squares(ca, ch, a, h, bias, ch2, a2)
    return _sum_of_squares(a, h, ca, ch, bias, h2, ca2)


# Reassociated, (h − h_c) − t h would be (1 − t) h − h_c, and lose what differences are for.
@partial(jit, fastmath={"contract"})
def _sum_of_squares(a: Any, h: Any, ca: Any, ch: Any, bias: float, h2: float, ca2: float) -> float:
    s, t = 0.0, 0.0
    for j in range(len(a)):
        s += (a[j] - ca[j]) * ca[j]
    for j in range(len(h)):
        t += (h[j] - ch[j]) * h[j]
    # Squares of factors below 1e-154 underflow: they count as 0.
    s = s / ca2 if ca2 > 0.0 else 0.0
    t = t / h2 if h2 > 0.0 else 0.0
    u2, v2 = 0.0, 0.0
    for j in range(len(a)):
        u = (a[j] - ca[j]) - s * ca[j]
        u2 += u * u
    for j in range(len(h)):
        v = (h[j] - ch[j]) - t * h[j]
        v2 += v * v
    v2 += bias * t * t
    return (s + t) * (s + t) * (ca2 * h2) + u2 * h2 + ca2 * v2


class Rows(NamedTuple):
    """What a pass reads of the rows of a pool; ``nobody`` is a label that no centre has."""

    proba: Any
    features: Any
    bias: float
    least_product: float
    labels: Any
    runners_up: Any
    squared_norms: Any
    scalars: Any
    nobody: Any


class Table(NamedTuple):
    """The scalars of a block of centres in some order, a word of 64 beside each other in memory.

    ``labels`` has shape (n_words, 64). ``scalars`` has shape (n_words, 5, 64): ‖G‖², q, t, x and
    what is perpendicular to x. Where the block ends within a word ‖G‖² is infinite.
    """

    centres: Any
    norms: Any
    labels: Any
    scalars: Any


class Centres(NamedTuple):
    """What a pass reads of a block of centres: their factors, and their scalars in three orders.

    ``picked`` is in the order of the picks, ``by_class`` by class and in it by norm, ``by_norm``
    by norm; ``starts`` tells where in ``by_class`` the classes start. ``columns``, of shape
    (n_words, n_classes, 64), are the residuals once more, unless there are many classes. ``rest``
    are the residuals without the entry of the label; that of nobody's label stays, and the entry
    that ``entries`` names is then taken 0 times. Labels and scalars are those for bounds.
    """

    labels: Any
    entries: Any
    scalars: Any
    residuals: Any
    columns: Any
    rest: Any
    features: Any
    picked: Table
    by_class: Table
    starts: Any
    by_norm: Table
    reach: Any


class Scratch(NamedTuple):
    """Working memory of `update_span`."""

    a: Any
    h: Any
    other_h: Any
    products: Any
    bounds: Any
    marks: Any


# The bounds of the pass, each said once. With what is known of a row and, with a c, of a centre:


@jit
def _ends_of_a(own: bool, q: float, t: float, cq: float, ct: float, rest: float) -> Any:
    """The most and the least that ⟨a_i, a_c⟩ can be, ⟨t_i, t_c⟩ being from 0 to ``rest``.

    With one pseudo-label it is q_i q_c + ⟨t_i, t_c⟩, with two ⟨t_i, t_c⟩ less what each label's
    entry takes, at most q_i t_c and q_c t_i.
    """
    return (q * cq + rest, q * cq) if own else (rest, -(q * ct + cq * t))


@jit
def _ends_of_h(
    x: float, perp: float, cx: float, cperp: float, bias: float, least_product: float
) -> Any:
    """The most and the least that ⟨h_i, h_c⟩ can be: along u it is known, across u bounded."""
    along, across = bias + x * cx, perp * cperp
    return along + across, max(along - across, least_product)


@jit
def _least(total: float, a: Any, h: Any) -> float:
    """The least that d² can be, of ‖G_i‖² + ‖G_c‖² and the ends of both products."""
    # These three corners are enough: the most of a is not negative, that of h not below its least.
    return total * SAFE - 2.0 * max(a[0] * h[0], a[1] * h[0], a[1] * h[1])


@jit
def _least_of(total: float, product: float, ends: Any) -> float:
    """The same where one of the products is known."""
    return total * SAFE - 2.0 * max(product * ends[0], product * ends[1])


@jit
def _near_by_scalars(row: Any, y: int, d: float, rows: Any, table: Any, w: int, bounds: Any) -> Any:
    """Tell by one bit each which centres of a word of a table may be nearer than d.

    ``row`` is (‖G‖², q, t, x, perp) of the row; ``bounds`` is working memory for a word.
    """
    n2, q, t, x, perp = row
    bias, least_product = rows.bias, rows.least_product
    labels, scalars = table.labels[w], table.scalars[w]
    # A fixed length and no branch: this vectorises.
    for c in range(WORD):
        cq, ct = scalars[1, c], scalars[2, c]
        a = _ends_of_a(labels[c] == y, q, t, cq, ct, t * ct)
        h = _ends_of_h(x, perp, scalars[3, c], scalars[4, c], bias, least_product)
        bounds[c] = _least(n2 + scalars[0, c], a, h)
    return _below(bounds, d)


@jit
def _near_by_residuals(
    row: Any, a: Any, d: float, rows: Any, centres: Any, w: int, products: Any, bounds: Any
) -> Any:
    """Tell the same from ⟨a_i, a_c⟩ of all centres of the word, which ``products`` receives."""
    n2, _, _, x, perp = row
    bias, least_product = rows.bias, rows.least_product
    columns, scalars = centres.columns[w], centres.picked.scalars[w]
    for c in range(WORD):
        products[c] = 0.0
    for j in range(len(a)):
        for c in range(WORD):
            products[c] += a[j] * columns[j, c]
    for c in range(WORD):
        h = _ends_of_h(x, perp, scalars[3, c], scalars[4, c], bias, least_product)
        bounds[c] = _least_of(n2 + scalars[0, c], products[c], h)
    return _below(bounds, d)


@jit
def _below(bounds: Any, d: float) -> Any:
    word = np.int64(0)
    for c in range(WORD):
        word |= np.int64(bounds[c] < d) << np.int64(c)
    return word


@jit
def _n_up_to(ascending: Any, most: float) -> Any:
    """How many values are at most `most`. np.searchsorted takes ten times as long to compile."""
    lo, hi = 0, len(ascending)
    while lo < hi:
        middle = (lo + hi) >> 1
        if ascending[middle] <= most:
            lo = middle + 1
        else:
            hi = middle
    return lo


@jit
def _label_and_q(i: int, rows: Any) -> Any:
    """Return the pseudo-label and q of a row, as bounds take them."""
    q = rows.scalars[i, Q]
    return (rows.labels[i] if q >= 0.0 else rows.nobody), max(q, 0.0)


@jit
def _ranges(i: int, d: float, rows: Any, centres: Any) -> Any:
    """Find by their norms the centres that may be nearer to row i than d.

    Returns the first and the last place in the table by class, for those of its own class, and
    the last place in the table by norm, for the others.
    """
    y, q = _label_and_q(i, rows)
    n2, t, h = rows.squared_norms[i], rows.scalars[i, T], rows.scalars[i, H]
    # Rounding is paid for on the safe side.
    gap = (d - n2) + (d + n2) * (1.0 - SAFE)
    # ⟨G_i, G_c⟩ ≤ reach ‖G_c‖ for all centres of other classes of the block. Of those only the
    # ones with ‖G_c‖ (‖G_c‖ − 2 reach) < D² − ‖G_i‖² may come near enough, none at all if the
    # shortest does not.
    reach = h * (t * centres.reach[0] + q * centres.reach[1])
    norms = centres.by_norm.norms
    n_short = 0
    if (norms[0] * (norms[0] - 2.0 * reach) if reach < norms[0] else -reach * reach) < gap:
        longest = reach + np.sqrt(max(reach * reach + gap, 0.0)) * (2.0 - SAFE)
        n_short = _n_up_to(norms, longest)
    # Of its own class only centres with |‖G_i‖ − ‖G_c‖| < D, whatever the angle.
    radius, norm = np.sqrt(d) * (2.0 - SAFE), np.sqrt(n2)
    least, most = norm * SAFE - radius, norm * (2.0 - SAFE) + radius
    first, last = np.int64(0), np.int64(0)
    if y != rows.nobody:
        first, last = centres.starts[y], centres.starts[y + 1]
    own_norms = centres.by_class.norms[first:last]
    if len(own_norms) == 0 or own_norms[0] > most:
        return first, first, n_short
    last = first + _n_up_to(own_norms, most)
    return first + _n_up_to(own_norms, least), last, n_short


@jit
def _mark(
    row: Any,
    y: int,
    d: float,
    rows: Any,
    table: Any,
    lo: int,
    hi: int,
    done: int,
    marks: Any,
    bounds: Any,
) -> None:
    """Mark in a bitmap, in the order of picks, which of a range of a table may be nearer than d."""
    for w in range(lo >> 6, (hi + 63) >> 6):
        word = _near_by_scalars(row, y, d, rows, table, w, bounds)
        while word != 0:
            s = (w << 6) + _lowest_bit(word)
            word &= word - 1
            if not lo <= s < hi:
                continue
            c = table.centres[s]
            if c >= done:
                marks[c >> 6] |= np.int64(1) << (c & 63)


@jit
def _ends(row: Any, y: int, runner_up: Any, rows: Any, centres: Any, c: int) -> Any:
    """The ends of ⟨a_i, a_c⟩ and of ⟨h_i, h_c⟩ by scalars of the row and a centre.

    ``runner_up`` is (the row's second class, what is left of t without its entry, the entry):
    ⟨t_i, t_c⟩ is bounded once more with that entry taken out.
    """
    _, q, t, x, perp = row
    y2, w, second = runner_up
    scalars = centres.scalars[c]
    cq, ct, entry = scalars[1], scalars[2], np.float64(centres.rest[c, y2])
    rest = min(t * ct, second * entry + w * leg(ct, entry))
    a = _ends_of_a(centres.labels[c] == y, q, t, cq, ct, rest)
    return a, _ends_of_h(x, perp, scalars[3], scalars[4], rows.bias, rows.least_product)


@jit
def update_span(
    lo: int,
    hi: int,
    rows: Any,
    d2: Any,
    fresh: bool,
    centres: Any,
    fall: Any,
    counters: Any,
    scratch: Any,
) -> None:
    """Lower D² of rows lo to hi to their distances to a block of centres, in pick order.

    A pair is left as soon as a lower bound on its d² reaches the row's D². Rows of ``rows.proba``
    may be residuals as well: the pseudo-label's entry is not read. ``fall[c]`` is increased by
    what centre c takes from the potential.
    """
    a, h, other_h, products, bounds, marks = scratch
    labels, scalars, rest = centres.labels, centres.scalars, centres.rest
    n_classes, n_words = len(a), len(marks)
    many_classes = n_classes >= MANY_CLASSES
    # The centres of the last word, which may be short.
    n_last = len(labels) - (n_words - 1) * WORD
    last_word = (np.int64(1) << n_last) - 1 if n_last < WORD else np.int64(-1)
    bias, least_product = rows.bias, rows.least_product
    for i in range(lo, hi):
        if d2[i] == 0.0:
            continue
        d = np.inf if fresh else d2[i]
        y, q = _label_and_q(i, rows)
        n2, t, x = rows.squared_norms[i], rows.scalars[i, T], rows.scalars[i, X]
        w, y2 = rows.scalars[i, W], rows.runners_up[i]
        row = (n2, q, t, x, 0.0)
        second = 0.0
        has_legs, has_a, has_h, searched, sparse = False, False, False, False, False
        # Not literals: for these numba would compile what they are passed to once more.
        place, done = np.int64(0), np.int64(0)
        # Where D² is not known yet, one centre first: it sifts the rest.
        bits = np.int64(1) if fresh else np.int64(-1)
        while place < n_words and d > 0.0:
            if not searched and bits < 0:
                searched = True
                first, last, n_short = _ranges(i, d, rows, centres)
                n_found = n_short + max(last - first, 0)
                if n_found == 0:
                    break
                sparse = 4 * n_found < (n_words - place) << 6
            if not has_legs:
                perp = leg(np.sqrt(max(rows.scalars[i, H] ** 2 - bias, 0.0)), x)
                row = (n2, q, t, x, perp)
                second = leg(t, w)
                has_legs = True
            if sparse and n_found > 0:
                counters[TESTED] += n_found
                _mark(row, y, d, rows, centres.by_class, first, last, done, marks, bounds)
                _mark(row, y, d, rows, centres.by_norm, np.int64(0), n_short, done, marks, bounds)
                n_found = 0
            has_products = False
            if sparse:
                word = marks[place]
                marks[place] = 0
            elif bits == 1:
                counters[TESTED] += 1
                word = bits
            else:
                n_tested: int = _count_bits(
                    bits & (last_word if place == n_words - 1 else np.int64(-1))
                )
                counters[TESTED] += n_tested
                word = _near_by_scalars(row, y, d, rows, centres.picked, place, bounds) & bits
                if not many_classes and 4 * _count_bits(word) > max(n_classes, 32):
                    if not has_a:
                        load_row(rows.proba, i, a)
                        a[rows.labels[i]] = -rows.scalars[i, Q]
                        has_a = True
                    counters[RESIDUAL_PRODUCTS] += n_tested
                    word = (
                        _near_by_residuals(row, a, d, rows, centres, place, products, bounds) & bits
                    )
                    has_products = True
            base = place << 6
            if bits == 1:
                bits, done = np.int64(0xFE), np.int64(1)
            elif bits == 0xFE:
                bits, done = ~np.int64(0xFF), np.int64(8)
            else:
                bits = np.int64(-1)
                place += 1
            while word != 0:
                s: int = _lowest_bit(word)
                word &= word - 1
                c = base + s
                total = n2 + scalars[c, 0]
                has_eta, eta = False, 0.0
                if has_products:
                    ends_h = _ends_of_h(
                        x, row[4], scalars[c, 3], scalars[c, 4], bias, least_product
                    )
                    alpha = products[s]
                else:
                    ends_a, ends_h = _ends(row, y, (y2, w, second), rows, centres, c)
                    if _least(total, ends_a, ends_h) >= d:
                        continue
                    if many_classes and labels[c] == y:
                        # Here ⟨a_i, a_c⟩ is known well enough, and longer than ⟨h_i, h_c⟩.
                        if not has_h:
                            stage_row(rows.features, i, h)
                            has_h = True
                        counters[FEATURE_PRODUCTS] += 1
                        eta = bias + row_dot(rows.features, i, h, centres.features, c)
                        has_eta = True
                        if _least_of(total, eta, ends_a) >= d:
                            continue
                    if not has_a:
                        load_row(rows.proba, i, a)
                        a[rows.labels[i]] = -rows.scalars[i, Q]
                        has_a = True
                    counters[RESIDUAL_PRODUCTS] += 1
                    alpha = _dot(a, rest[c]) - scalars[c, 1] * a[centres.entries[c]]
                if not has_eta:
                    if _least_of(total, alpha, ends_h) >= d:
                        continue
                    if not has_h:
                        stage_row(rows.features, i, h)
                        has_h = True
                    counters[FEATURE_PRODUCTS] += 1
                    eta = bias + row_dot(rows.features, i, h, centres.features, c)
                new = total - 2.0 * alpha * eta
                if new < CANCELLED * total:
                    counters[DIFFERENCES] += 1
                    load_unstaged_row(rows.features, i, h)
                    load_row(centres.features, c, other_h)
                    new = _from_differences(a, h, centres.residuals[c], other_h, bias)
                    clear_row(centres.features, c, other_h)
                if new < d:
                    if d < np.inf:
                        fall[c] += d - new
                    d = new
        if sparse:
            # Where D² has come to 0 on the way, words are left.
            for left in range(place, n_words):
                marks[left] = 0
        d2[i] = d
        if has_h:
            clear_row(rows.features, i, h)


@jit
def _any_near(
    row: Any,
    y: int,
    runner_up: Any,
    d: float,
    rows: Any,
    centres: Any,
    table: Any,
    lo: int,
    hi: int,
    bounds: Any,
) -> bool:
    """Tell whether by scalars any centre in a range of a table may be nearer than d."""
    for place in range(lo >> 6, (hi + 63) >> 6):
        word = _near_by_scalars(row, y, d, rows, table, place, bounds)
        while word != 0:
            s = (place << 6) + _lowest_bit(word)
            word &= word - 1
            if not lo <= s < hi:
                continue
            c = table.centres[s]
            a, h = _ends(row, y, runner_up, rows, centres, c)
            if _least(row[0] + centres.scalars[c, 0], a, h) < d:
                return True
    return False


@jit
def mark_changing(cuts: Any, rows: Any, d2: Any, centres: Any, bounds: Any, changing: Any) -> None:
    """Mark the groups of rows between cuts that a block of centres may change at all.

    By scalars alone, as `update_span` does before it looks at factors: what it is not asked to
    look at it would have left as it is. A group is left at its first row that may change.
    """
    for g in range(len(changing)):
        changing[g] = False
        for i in range(cuts[g], cuts[g + 1]):
            d = d2[i]
            if d == 0.0:
                continue
            first, last, n_short = _ranges(i, d, rows, centres)
            if n_short == 0 and first >= last:
                continue
            y, q = _label_and_q(i, rows)
            t, x, w = rows.scalars[i, T], rows.scalars[i, X], rows.scalars[i, W]
            perp = leg(np.sqrt(max(rows.scalars[i, H] ** 2 - rows.bias, 0.0)), x)
            row = (rows.squared_norms[i], q, t, x, perp)
            runner_up = (rows.runners_up[i], w, leg(t, w))
            if _any_near(
                row, y, runner_up, d, rows, centres, centres.by_class, first, last, bounds
            ) or _any_near(
                row, y, runner_up, d, rows, centres, centres.by_norm, np.int64(0), n_short, bounds
            ):
                changing[g] = True
                break


@jit
def distances_below(
    bias: float,
    least_product: float,
    labels: Any,
    squared_norms: Any,
    scalars: Any,
    perp: Any,
    residuals: Any,
    features: Any,
    below: Any,
    out: Any,
    scratch: Any,
) -> None:
    """Fill out[j, i], j < i, with d²(j, i), or ∞ where a bound puts it above below[i].

    What came first may lower what comes later, never the other way round; the rest is ∞.
    """
    n, n_classes = len(labels), residuals.shape[1]
    h, ch = scratch
    for i in range(n):
        q, t, x = scalars[i, Q], scalars[i, T], scalars[i, X]
        loaded = False
        out[i:, i] = np.inf
        for j in range(i):
            total = squared_norms[i] + squared_norms[j]
            cq, ct = scalars[j, Q], scalars[j, T]
            a = _ends_of_a(labels[i] == labels[j], q, t, cq, ct, t * ct)
            ends_h = _ends_of_h(x, perp[i], scalars[j, X], perp[j], bias, least_product)
            out[j, i] = np.inf
            if _least(total, a, ends_h) >= below[i]:
                continue
            alpha = 0.0
            for c in range(n_classes):
                alpha += residuals[i, c] * residuals[j, c]
            if _least_of(total, alpha, ends_h) >= below[i]:
                continue
            if not loaded:
                load_row(features, i, h)
                loaded = True
            d2 = total - 2.0 * alpha * (bias + row_dot(features, i, h, features, j))
            if d2 < CANCELLED * total:
                load_row(features, j, ch)
                d2 = _from_differences(residuals[i], h, residuals[j], ch, bias)
                clear_row(features, j, ch)
            out[j, i] = d2
        if loaded:
            clear_row(features, i, h)
