"""A cluster that cannot be started, or goes away: one line, and everything as it was."""

import os
from types import SimpleNamespace

import pytest

from labelnext.cluster import session


class RayError(Exception):
    """What Ray raises of its own."""


class RayTaskError(RayError):
    """What Ray raises of tasks that have raised."""


class Ray:
    """As much of the module ``ray`` as a session on this machine uses."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, fault=None, joined=False):
        self.fault, self.joined, self.n_shutdowns = fault, joined, 0

    def is_initialized(self):
        return self.joined

    def init(self, *args, **kwargs):
        del args, kwargs
        if self.fault is not None:
            raise self.fault

    def get_runtime_context(self):
        return SimpleNamespace(gcs_address="10.0.0.1:6379")

    def shutdown(self):
        self.n_shutdowns += 1


@pytest.fixture
def made_of(monkeypatch):
    def make(**given):
        ray = Ray(**given)
        monkeypatch.setattr(session, "require", lambda *args, **kwargs: ray)
        return ray

    return make


@pytest.mark.parametrize(
    "fault",
    [
        PermissionError(13, "Permission denied", "/dev/shm"),
        RuntimeError("Failed to start the object store.\nA long story follows."),
        ValueError("The object store needs 75 MB."),
    ],
)
def test_one_that_does_not_start_says_why_in_one_line(made_of, fault):
    ray, before = made_of(fault=fault), dict(os.environ)
    with (
        pytest.raises(ConnectionError, match=r"^No Ray cluster could be started .*/dev/shm") as e,
        session.joined("local"),
    ):
        raise AssertionError
    assert "\n" not in str(e.value)
    assert str(fault).split("\n")[0] in str(e.value)
    assert (ray.n_shutdowns, dict(os.environ)) == (1, before)


@pytest.mark.parametrize("joined", [False, True])
def test_one_that_is_gone_says_so_in_one_line(made_of, joined):
    ray = made_of(joined=joined)
    with (
        pytest.raises(ConnectionError, match=r"^The Ray cluster does not answer.*RayError: gone\)"),
        session.joined(None if joined else "local"),
    ):
        raise RayError("gone\nTraceback ...")
    # What was joined by others is theirs.
    assert ray.n_shutdowns == (not joined)


def test_what_a_task_raises_stays(made_of):
    made_of()
    with pytest.raises(RayTaskError), session.joined("local"):
        raise RayTaskError(ValueError("row 3"))
