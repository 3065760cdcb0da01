"""Strategies and models that fail, for runs in other processes, which import them from here."""

import os
import signal
import time
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression


def first_unlabelled(y, batch_size):
    return np.flatnonzero(np.isnan(y))[:batch_size]


class FailsLater(BaseEstimator):
    """Fails as soon as there are so many labels, at one seed."""

    def __init__(self, labels=30, seed=1, random_state=None):
        self.labels = labels
        self.seed = seed
        self.random_state = random_state

    def query(self, X, y, batch_size):
        if np.isfinite(y).sum() >= self.labels and self.random_state == self.seed:
            raise ZeroDivisionError("no more of this")
        return first_unlabelled(y, batch_size)


class Dies(BaseEstimator):
    """Takes its process with it, at one seed."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def query(self, X, y, batch_size):
        if self.random_state == 1:
            print("famous last words", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return first_unlabelled(y, batch_size)


class Slow(BaseEstimator):
    """Takes its time, and prints what must not get between the messages of its process.

    The environment may ask for more time, which is no setting of the run.
    """

    def __init__(self, seconds=0.05, random_state=None):
        self.seconds = seconds
        self.random_state = random_state

    def query(self, X, y, batch_size):
        print("choosing ...", flush=True)
        time.sleep(self.seconds + float(os.environ.get("SLOW", "0")))
        rng = np.random.default_rng([self.random_state, int(np.isfinite(y).sum())])
        return rng.choice(np.flatnonzero(np.isnan(y)), batch_size, replace=False)


class NotesThreads(BaseEstimator):
    """Writes down how many threads it might use."""

    def __init__(self, folder, random_state=None):
        self.folder = folder
        self.random_state = random_state

    def query(self, X, y, batch_size):
        from threadpoolctl import threadpool_info

        from labelnext.engine.threads import n_threads

        np.ones((2, 2)) @ np.ones((2, 2))
        counts = {n_threads(), *(pool["num_threads"] for pool in threadpool_info())}
        Path(self.folder, f"{os.getpid()}.txt").write_text(str(max(counts)))
        return first_unlabelled(y, batch_size)


class Unfit(LogisticRegression):
    """Cannot be fitted."""

    def fit(self, X, y):
        raise ValueError("this model learns nothing")
