"""The compiled inner loops of the pruned pass. Imported only when a pool is large enough.

Each kernel works on one span of rows and holds no lock, so that `for_each_span` can run several
side by side; numba's own thread pool, which survives no fork, is not used. All in one file:
numba compiles anew what it has kept on disk when this file changes, but not when another does.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic, overload

# Columns of the table of scalars that stand for a row or a centre in the bounds:
# q = 1 − p[ŷ], t = ‖p without its pseudo-label entry‖, h = ‖h‖ (bias included),
# x = ⟨h, u⟩ for one unit vector u, w = ‖p without its two largest entries‖.
Q, T, H, X, W = range(5)

# Counters of a pass.
TESTED, RESIDUAL_PRODUCTS, FEATURE_PRODUCTS, DIFFERENCES = range(4)
N_COUNTERS = 4

# Rounding of a bound, as a share of ‖G_i‖² + ‖G_c‖²: far above that of float64 sums of some
# thousand terms, far below what a bound is for.
SAFE = 1.0 - 1e-11
CANCELLED = 1e-6
# Centres that are looked through one by one rather than found by their norms.
FEW = 64
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


def jit(function: Any, fastmath: Any = FASTMATH) -> Any:
    """Compile, and keep the result on disk where any directory for it is writable."""
    options = {"nogil": True, "fastmath": fastmath}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no such directory
        return numba.njit(**options)(function)


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


def rest_dot(store: Any, row: int, staged: Any, skipped: int, centres: Any, centre: int) -> float:
    """Like `row_dot` of dense stores, without the entry `skipped`."""
    raise RuntimeError("only called from compiled code")


def entry_of(store: Any, row: int, staged: Any, column: int) -> float:
    """One entry of a staged row of a dense store."""
    raise RuntimeError("only called from compiled code")


def _is_sparse(store: Any) -> bool:
    return isinstance(store, types.BaseTuple)


def _is_half(store: Any) -> bool:
    return not _is_sparse(store) and store.dtype == types.uint16


@overload(load_row)
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


@overload(stage_row)
def _stage_row(store, row, staged):  # type: ignore[no-untyped-def]
    if _is_sparse(store) or _is_half(store):
        return lambda store, row, staged: load_row(store, row, staged)  # noqa: PLW0108
    return lambda store, row, staged: None


@overload(load_unstaged_row)
def _load_unstaged_row(store, row, staged):  # type: ignore[no-untyped-def]
    if _is_sparse(store) or _is_half(store):
        return lambda store, row, staged: None
    return lambda store, row, staged: load_row(store, row, staged)  # noqa: PLW0108


@overload(clear_row)
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


@overload(summarise_row)
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


@overload(row_dot)
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


@overload(rest_dot)
def _rest_dot(store, row, staged, skipped, centres, centre):  # type: ignore[no-untyped-def]
    if _is_half(store):

        def rest_half(store, row, staged, skipped, centres, centre):  # type: ignore[no-untyped-def]
            rest = centres[centre]
            after = skipped + 1
            return _dot(staged[:skipped], rest[:skipped]) + _dot(staged[after:], rest[after:])

        return rest_half

    def rest_dense(store, row, staged, skipped, centres, centre):  # type: ignore[no-untyped-def]
        own, rest = store[row], centres[centre]
        after = skipped + 1
        return _dot(own[:skipped], rest[:skipped]) + _dot(own[after:], rest[after:])

    return rest_dense


@overload(entry_of)
def _entry_of(store, row, staged, column):  # type: ignore[no-untyped-def]
    if _is_half(store):
        return lambda store, row, staged, column: staged[column]
    return lambda store, row, staged, column: np.float64(store[row, column])


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
    negative_features: Any,
    span: int,
) -> int:
    """Check rows lo to hi and write what the bounds need of them.

    Returns the first row that is not as it should be, or −1; the number of negative features
    goes to ``negative_features[span]``.
    """
    n_classes, n_features = proba.shape[1], len(direction)
    p = np.empty(n_classes)
    h = np.zeros(n_features)
    n_negative = 0
    for i in range(lo, hi):
        load_row(proba, i, p)
        total, below_0 = 0.0, 0
        for j in range(n_classes):
            total += p[j]
            below_0 += p[j] < 0.0
        if below_0 or not abs(total - 1.0) <= tolerance * LENIENT:
            return i
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
        h2, x, below_0 = summarise_row(features, signs, i, h, direction)
        n_negative += below_0
        q = 1.0 - best
        squared_norms[i] = (q * q + t2) * (h2 + bias)
        if not h2 + bias < TOO_LARGE * LENIENT:
            return i
        labels[i] = y
        runners_up[i] = y2
        scalars[i, Q] = q
        scalars[i, T] = np.sqrt(t2)
        scalars[i, H] = np.sqrt(h2 + bias)
        scalars[i, X] = x
        scalars[i, W] = np.sqrt(w2)
    negative_features[span] = n_negative
    return -1


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


@jit
def update_span(
    lo: int,
    hi: int,
    proba: Any,
    features: Any,
    n_features: int,
    bias: float,
    least_product: float,
    labels: Any,
    runners_up: Any,
    squared_norms: Any,
    scalars: Any,
    d2: Any,
    fresh: bool,
    c_labels: Any,
    c_squared_norms: Any,
    c_norms: Any,
    c_scalars: Any,
    c_perp: Any,
    c_rest: Any,
    c_residuals: Any,
    c_features: Any,
    class_starts: Any,
    members: Any,
    member_norms: Any,
    by_norm: Any,
    sorted_norms: Any,
    block: Any,
    fall: Any,
    counters: Any,
) -> None:
    """Lower D² of rows lo to hi to their distances to a block of centres, in pick order.

    A pair is left as soon as a lower bound on its d² reaches the row's D². Rows of ``proba`` may
    be residuals as well: the pseudo-label's entry is not read. ``fall[c]`` is increased by what
    centre c takes from the potential.
    """
    n_classes, n_centres = proba.shape[1], len(c_labels)
    a = np.empty(n_classes)
    h = np.zeros(n_features)
    ch = np.zeros(n_features)
    near = np.empty(n_centres + 1, np.int64)
    bitmap = np.zeros((n_centres >> 6) + 1, np.int64)
    for i in range(lo, hi):
        if d2[i] == 0.0:
            continue
        d = np.inf if fresh else d2[i]
        y = labels[i]
        q, t, x = scalars[i, Q], scalars[i, T], scalars[i, X]
        w, y2 = scalars[i, W], runners_up[i]
        n2 = squared_norms[i]
        # ⟨G_i, G_c⟩ ≤ reach ‖G_c‖ for all centres of other classes of the block. Of those only
        # the ones with ‖G_c‖ (‖G_c‖ − 2 reach) < D² − ‖G_i‖² may come near enough, none at all
        # if the shortest does not.
        reach = scalars[i, H] * (t * block[1] + q * block[2])
        shortest = block[0]
        other = shortest * (shortest - 2.0 * reach) if reach < shortest else -reach * reach
        norm_i = np.sqrt(n2)
        has_legs, has_a, has_h = False, False, False
        perp, second = 0.0, 0.0
        # Where D² is not known yet, a few centres first, so that it sifts the rest.
        start, stop = 0, 1 if fresh else n_centres
        while start < n_centres and d > 0.0:
            # Rounding is paid for on the safe side.
            gap = (d - n2) + (d + n2) * (1.0 - SAFE)
            # Of its own class only centres with |‖G_i‖ − ‖G_c‖| < D, whatever the angle.
            radius = np.sqrt(d) * (2.0 - SAFE)
            least, most = norm_i * SAFE - radius, norm_i * (2.0 - SAFE) + radius
            if other >= gap:
                stop = n_centres
                n_short = 0
            elif stop - start <= FEW:
                n_short = n_centres
            else:
                longest = reach + np.sqrt(max(reach * reach + gap, 0.0)) * (2.0 - SAFE)
                n_short = np.searchsorted(sorted_norms, longest)
            n_near = 0
            if n_short * 4 >= stop - start:
                for c in range(start, stop):
                    near[n_near] = c
                    norm = c_norms[c]
                    own = c_labels[c] == y
                    n_near += (own & (least <= norm) & (norm <= most)) | (
                        (not own) & (norm * (norm - 2.0 * reach) < gap)
                    )
            else:
                # The few that may be near, put back into the order of their picks by a bitmap.
                for step in range(n_short):
                    c = by_norm[step]
                    norm = c_norms[c]
                    if start <= c < stop and norm * (norm - 2.0 * reach) < gap:
                        bitmap[c >> 6] |= 1 << (c & 63)
                        n_near += 1
                own_norms = member_norms[class_starts[y] : class_starts[y + 1]]
                for step in range(
                    class_starts[y] + np.searchsorted(own_norms, least), class_starts[y + 1]
                ):
                    if member_norms[step] > most:
                        break
                    c = members[step]
                    if start <= c < stop:
                        bitmap[c >> 6] |= 1 << (c & 63)
                        n_near += 1
                if n_near > 0:
                    n_near = 0
                    for place in range(start >> 6, ((stop - 1) >> 6) + 1):
                        word = bitmap[place]
                        bitmap[place] = 0
                        while word != 0:
                            near[n_near] = (place << 6) + _lowest_bit(word)
                            n_near += 1
                            word &= word - 1
            if n_near > 0 and not has_legs:
                perp = leg(np.sqrt(max(scalars[i, H] ** 2 - bias, 0.0)), x)
                second = leg(t, w)
                has_legs = True
            start, stop = stop, min(8 * stop, n_centres)
            counters[TESTED] += n_near
            for step in range(n_near):
                c = near[step]
                total = n2 + c_squared_norms[c]
                cq, ct = c_scalars[c, Q], c_scalars[c, T]
                own = c_labels[c] == y
                least_a = q * cq if own else -(q * ct + cq * t)
                most_a = (q * cq if own else 0.0) + t * ct
                along = bias + x * c_scalars[c, X]
                across = perp * c_perp[c]
                most_h = along + across
                least_h = max(along - across, least_product)
                most = max(most_a * most_h, most_a * least_h, least_a * most_h, least_a * least_h)
                if total * SAFE - 2.0 * most >= d:
                    continue
                # ⟨t_i, t_c⟩ once more, with the entry of the row's second class taken out.
                entry = np.float64(c_rest[c, y2])
                tt = second * entry + w * leg(ct, entry)
                most_a = (q * cq if own else 0.0) + min(t * ct, tt)
                most = max(most_a * most_h, most_a * least_h, least_a * most_h, least_a * least_h)
                if total * SAFE - 2.0 * most >= d:
                    continue
                if not has_a:
                    stage_row(proba, i, a)
                    has_a = True
                counters[RESIDUAL_PRODUCTS] += 1
                # Both pseudo-labels' entries, q − 1 of p, by themselves: nothing cancels.
                alpha = rest_dot(proba, i, a, y, c_rest, c) - q * np.float64(c_rest[c, y])
                alpha -= cq * (-q if own else entry_of(proba, i, a, c_labels[c]))
                if total * SAFE - 2.0 * max(alpha * most_h, alpha * least_h) >= d:
                    continue
                if not has_h:
                    stage_row(features, i, h)
                    has_h = True
                counters[FEATURE_PRODUCTS] += 1
                eta = bias + row_dot(features, i, h, c_features, c)
                new = total - 2.0 * alpha * eta
                if new < CANCELLED * total:
                    counters[DIFFERENCES] += 1
                    load_unstaged_row(proba, i, a)
                    a[y] = -q
                    load_unstaged_row(features, i, h)
                    load_row(c_features, c, ch)
                    new = _from_differences(a, h, c_residuals[c], ch, bias)
                    clear_row(c_features, c, ch)
                if new < d:
                    if d < np.inf:
                        fall[c] += d - new
                    d = new
        d2[i] = d
        if has_h:
            clear_row(features, i, h)


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
    n_features: int,
    below: Any,
    out: Any,
) -> None:
    """Fill out[j, i] with d²(j, i) of a block's rows, or ∞ where a bound puts it above below[i]."""
    n, n_classes = len(labels), residuals.shape[1]
    h = np.zeros(n_features)
    ch = np.zeros(n_features)
    for i in range(n):
        q, t, x = scalars[i, Q], scalars[i, T], scalars[i, X]
        loaded = False
        for j in range(n):
            total = squared_norms[i] + squared_norms[j]
            least_a = -(q * scalars[j, T] + scalars[j, Q] * t)
            most_a = t * scalars[j, T]
            if labels[i] == labels[j]:
                least_a = q * scalars[j, Q]
                most_a += least_a
            along = bias + x * scalars[j, X]
            across = perp[i] * perp[j]
            most_h = along + across
            least_h = max(along - across, least_product)
            most = max(most_a * most_h, most_a * least_h, least_a * most_h, least_a * least_h)
            out[j, i] = np.inf
            if total * SAFE - 2.0 * most >= below[i]:
                continue
            alpha = 0.0
            for c in range(n_classes):
                alpha += residuals[i, c] * residuals[j, c]
            if total * SAFE - 2.0 * max(alpha * most_h, alpha * least_h) >= below[i]:
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
