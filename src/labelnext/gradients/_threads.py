"""Work on spans of rows, on as many threads as the one setting allows."""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import joblib
from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

# Rows that one thread takes at a time. Sums are made span by span, then over the spans in order,
# so that no result depends on the number of threads.
SPAN = 2048


def n_threads() -> int:
    """How many threads a pass may use.

    ``LABELNEXT_NUM_THREADS``, else ``OMP_NUM_THREADS`` (which joblib sets in its workers, so
    that nested parallelism does not oversubscribe), else the cores that this process may use.
    """
    for name in ("LABELNEXT_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "").split(",")[0].strip()
        if value:
            if not value.isdecimal() or int(value) < 1:
                raise ValueError(
                    f"The environment variable {name} must be a whole number of threads from 1, "
                    f"got {value!r}; correct it or unset it."
                )
            return int(value)
    return int(joblib.cpu_count())


@cache
def _blas() -> ThreadpoolController:
    # Looking the libraries up takes milliseconds; they stay loaded.
    return ThreadpoolController()


def blas_on_one_thread() -> AbstractContextManager[Any]:
    """Hold BLAS to one thread each for a while.

    Our own threads share the work, and the products beside them are small: BLAS's threads, which
    spin for a while after each, would only take their cores.

    Returns
    -------
    context manager
        What to wrap the work in.

    Examples
    --------
    >>> from labelnext.gradients import blas_on_one_thread
    >>> with blas_on_one_thread():
    ...     pass
    """
    return cast("AbstractContextManager[Any]", _blas().limit(limits=1, user_api="blas"))


def for_each_span(work: Callable[[int], None], n_rows: int) -> None:
    """Call ``work(span)`` once for each span of `SPAN` rows; spans run side by side.

    Threads live for one call only: none is left behind to be lost in a fork.
    """
    n_spans = -(-n_rows // SPAN)
    if n_spans <= 1:
        for span in range(n_spans):
            work(span)
        return
    # next() on a count is atomic: whoever is free takes the next span.
    counter = itertools.count()
    errors: dict[int, Exception] = {}

    def take_spans() -> None:
        while not errors and (span := next(counter)) < n_spans:
            try:
                work(span)
            except Exception as error:
                errors[span] = error

    threads = min(n_threads(), n_spans)
    with blas_on_one_thread(), ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(take_spans) for _ in range(threads)]:
            future.result()
    if errors:
        # Spans are taken in order, so this is the first that fails, whoever was faster.
        raise errors[min(errors)]
