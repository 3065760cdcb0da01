"""The loop that supervises actors, on a cluster that is made up: no time passes, and no process."""

from types import SimpleNamespace

import pytest

from labelnext.cluster import Ray, ShardLostError
from labelnext.cluster.actors import ATTEMPTS, Actors, Call, Task


class RayError(Exception):
    """What Ray raises of actors that have died."""


class RayTaskError(RayError):
    """What Ray raises of calls that have raised."""

    def __init__(self, cause):
        self.cause = cause


class GetTimeoutError(RayError):
    """What Ray raises of calls that have no answer yet."""


class Cluster:
    """As much of the module ``ray`` as the loop uses; actors live in this process.

    `n_rooms` actors that need a core find a place. `fates` tells of each call, by the actor's
    number, the method and its arguments, whether the actor dies of it.
    """

    exceptions = SimpleNamespace(
        RayError=RayError, RayTaskError=RayTaskError, GetTimeoutError=GetTimeoutError
    )

    def __init__(self, n_rooms, dies=lambda *call: False):
        self.n_rooms, self.dies = n_rooms, dies
        self.started, self.killed, self.calls, self.options = [], [], [], []

    def remote(self, kind):
        del kind

        def options(**given):
            self.options.append(given)
            return SimpleNamespace(remote=lambda: self.start(given["num_cpus"]))

        return SimpleNamespace(options=options)

    def start(self, num_cpus):
        held = sum(actor.num_cpus > 0 for actor in self.started if actor not in self.killed)
        actor = Remote(self, len(self.started), num_cpus, num_cpus == 0 or held < self.n_rooms)
        self.started.append(actor)
        return actor

    def kill(self, actor, no_restart):
        assert no_restart
        self.killed.append(actor)

    def wait(self, references, num_returns, timeout):
        del num_returns, timeout
        return [reference for reference in references if reference.is_there], []

    def get(self, reference, timeout):
        if not reference.is_there:
            assert timeout == 0
            raise GetTimeoutError
        if isinstance(reference.answer, Exception):
            raise reference.answer
        return reference.answer

    def cluster_resources(self):
        return {"CPU": self.n_rooms}

    available_resources = cluster_resources


class Remote:
    """An actor, which answers each call with the method and the arguments."""

    def __init__(self, cluster, number, num_cpus, has_room):
        self.cluster, self.number = cluster, number
        self.num_cpus, self.has_room = num_cpus, has_room

    def __eq__(self, other):
        return self is other

    __hash__ = object.__hash__

    def __getattr__(self, method):
        return SimpleNamespace(remote=lambda *arguments: self.answer(method, arguments))

    def answer(self, method, arguments):
        answer = (self.number, "node") if method == "hello" else (method, *arguments)
        if self.has_room:
            self.cluster.calls.append((self.number, method, *arguments))
            fate = method != "hello" and self.cluster.dies(self.number, method, *arguments)
            if fate:
                answer = fate if isinstance(fate, Exception) else RayError("it died")
        return Reference(answer, self.has_room)


class Reference:
    def __init__(self, answer, is_there):
        self.answer, self.is_there = answer, is_there


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    clock = iter(range(10**9))
    monkeypatch.setattr("labelnext.cluster.actors.time.sleep", lambda seconds: None)
    monkeypatch.setattr("labelnext.cluster.actors.time.monotonic", lambda: 100.0 * next(clock))


def actors_on(cluster, n_places, **options):
    return Actors(
        cluster,
        object,
        Ray(**options),
        n_places,
        timeout=600.0,
        set_up=lambda number: [Call("load", (number,))],
        name="shard {}".format,
        advice=" Go on.",
        can_shrink=True,
    )


def tasks(n, places=None):
    return [
        Task(i, lambda i=i: Call("do", (i,)), place=None if places is None else places[i])
        for i in range(n)
    ]


def test_each_task_is_answered_once_by_the_actor_of_its_place():
    cluster = Cluster(3)
    actors = actors_on(cluster, 3)
    assert dict(actors.run(tasks(3, [2, 0, 1]))) == {i: ("do", i) for i in range(3)}
    assert dict(actors.run(tasks(3, [2, 0, 1]))) == {i: ("do", i) for i in range(3)}
    done = [call for call in cluster.calls if call[1] == "do"]
    assert sorted(set(done)) == sorted(done)[::2] == [(0, "do", 1), (1, "do", 2), (2, "do", 0)]
    assert len(cluster.started) == 3
    actors.close()
    assert cluster.killed == cluster.started


def test_fewer_actors_do_where_there_is_no_room_for_all():
    cluster = Cluster(2)
    actors = actors_on(cluster, 5)
    assert sorted(number for number, _ in actors.run(tasks(20))) == list(range(20))
    assert len(actors.places) == 2
    assert actors.n_restarts == 0


def test_no_room_for_any_is_said_with_what_there_is():
    message = r"no room for actor 0 within 60 s: 1 actor needs 1 CPU \(0 on the cluster, 0 free\)"
    with pytest.raises(TimeoutError, match=message):
        list(actors_on(Cluster(0), 1).run(tasks(1)))
    actors = actors_on(Cluster(1), 3)
    actors.can_shrink = False
    with pytest.raises(TimeoutError, match="3 actors need 3 CPU"):
        list(actors.run(tasks(3, range(3))))


def test_the_task_of_a_lost_actor_is_done_by_another_which_was_set_up():
    lost = []

    def dies(number, method, *arguments):
        if method == "do" and arguments == (3,) and len(lost) < ATTEMPTS - 1:
            lost.append(number)
            return True
        return False

    cluster = Cluster(2, dies)
    actors = actors_on(cluster, 2)
    assert sorted(number for number, _ in actors.run(tasks(6))) == list(range(6))
    assert actors.n_restarts == ATTEMPTS - 1
    for actor in cluster.started:
        own = [method for number, method, *_ in cluster.calls if number == actor.number]
        assert own[:2] == ["hello", "load"]
        assert "load" not in own[2:]


def test_a_task_that_is_the_end_of_every_actor_ends_the_run():
    cluster = Cluster(2, lambda number, method, *arguments: arguments == (3,) and method == "do")
    message = f"^Shard 3 was lost {ATTEMPTS} times; the last time because RayError: it died. Go on."
    with pytest.raises(ShardLostError, match=message):
        list(actors_on(cluster, 2).run(tasks(6)))


def test_an_actor_that_cannot_be_set_up_ends_the_run():
    cluster = Cluster(2, lambda number, method, *arguments: method == "load")
    with pytest.raises(ShardLostError, match=f"An actor was lost {ATTEMPTS} times"):
        list(actors_on(cluster, 1).run(tasks(6)))


def test_an_error_of_a_call_is_raised_as_it_is_with_the_name_of_its_task():
    error = RayTaskError(ValueError("no number"))
    cluster = Cluster(1, lambda number, method, *arguments: method == "do" and error)
    with pytest.raises(ValueError, match="no number") as caught:
        list(actors_on(cluster, 1).run(tasks(1)))
    assert caught.value.__notes__ == ["In shard 0."]


def test_a_file_that_has_gone_is_tried_again_only_where_it_had_been_there():
    gone = []

    def dies(number, method, *arguments):
        if method == "do" and arguments == (0,) and not gone:
            gone.append(number)
            return True
        return method == "load" and (gone or early) and RayTaskError(OSError("gone"))

    early = []
    with pytest.raises(ShardLostError, match="it cannot be set up again: OSError: gone"):
        list(actors_on(Cluster(1, dies), 1).run(tasks(1, [0])))
    gone.clear()
    early.append(True)
    with pytest.raises(OSError, match="gone"):
        list(actors_on(Cluster(1, dies), 1).run(tasks(1, [0])))


def test_where_no_core_is_free_an_actor_that_is_started_again_squeezes_in():
    def dies(number, method, *arguments):
        if number == 0 and method == "do":
            cluster.n_rooms = 0  # somebody else takes its place at once
            return True
        return False

    cluster = Cluster(1, dies)
    actors = actors_on(cluster, 1)
    assert dict(actors.run(tasks(1, [0]))) == {0: ("do", 0)}
    assert [options["num_cpus"] for options in cluster.options] == [1, 1, 0]
    assert actors.n_restarts == 2
