"""The other side of `_workers`: a process that plays runs and sends back each round."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
from typing import IO, Any

from threadpoolctl import threadpool_limits

from labelnext.experiment._task import failed, play


def serve() -> None:
    """Play what comes on standard input until it ends."""
    # Models print; what they print must not get between the messages.
    messages = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Ctrl-C reaches all processes at a terminal; the first of them ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, orders), daemon=True).start()
    answer(orders, messages)


def _listen(stream: IO[bytes], orders: queue.SimpleQueue[Any]) -> None:
    """Pass orders on; when nobody is left to give any, end at once, in the middle of a run."""
    while True:
        try:
            orders.put(pickle.load(stream))
        except Exception:  # the end, perhaps in the middle of an order
            os._exit(0)


def answer(orders: queue.SimpleQueue[Any], messages: IO[bytes]) -> None:
    """Play the runs that are ordered; None ends it."""
    samples: Any = None
    while (order := orders.get()) is not None:
        try:
            # Pickled on its own, so that what fails to load fails as a run does.
            what, content = order
            loaded = pickle.loads(content)
            if what == "data":
                samples = loaded
                continue
            with threadpool_limits(1):
                for message in play(loaded, *samples):
                    _send(messages, message)
        except BrokenPipeError:
            return
        except Exception as error:
            _send(messages, failed(error))


def _send(messages: IO[bytes], message: Any) -> None:
    pickle.dump(message, messages)
    messages.flush()
