"""Processes that are killed, that work at once, and a disk that is full: nothing is lost."""

import shutil
import subprocess
import sys

import pytest

# Children are forked, so that libraries are imported once.
KILLED = """
import os, random, signal, sys, time
from labelnext.loop import Loop, open_loop
folder, n_kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random.seed(seed)
N = 4000
loop = Loop.create(folder, ["text"] * N, classes=["a", "b"], test=N - 1, random_state=0)
asked = [pick["id"] for pick in loop.picks(0)]

def work(pipe):
    mine = open_loop(folder) if random.random() < 0.5 else loop
    for number in range(N):
        (item,) = mine.take("ann")
        client = f"{os.getpid()}-{number}"
        mine.record(item, "label", "a", annotator="ann", client=client)
        os.write(pipe, f"{client} {item.id}\\n".encode())

written = []
for kill in range(n_kills):
    get, put = os.pipe()
    child = os.fork()
    if not child:
        os.close(get)
        work(put)
        os._exit(0)
    os.close(put)
    first = os.read(get, 1)  # it is at work
    time.sleep(random.random() * 0.03)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(get) as lines:
        returned = (first.decode() + lines.read()).splitlines()
    written += [line.split() for line in returned]
    loop = open_loop(folder)
    events = loop.events()
    there = {event.client: event.sample for event in events}
    assert all(there.get(client) == sample for client, sample in written), "lost"
    assert len(events) <= len(written) + kill + 1, "one more for each kill, at most"
    answered = [event.sample for event in events]
    assert answered == asked[: len(answered)], "twice, or out of order"
    assert loop.progress()["missing"] == N - 1 - len(answered)
    assert loop.take("ann")[0].id == asked[len(answered)]
    with loop._database.reading() as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
print(len(written))
"""
TOGETHER = """
import os, sys
from labelnext.loop import Loop, open_loop
folder, n_processes = sys.argv[1], int(sys.argv[2])
N = 120
loop = Loop.create(folder, ["text"] * N, classes=["a", "b"], test=N - 1, overlap=0.25)
loop.rounds()
children = []
for number in range(n_processes):
    child = os.fork()
    if not child:
        mine = loop if number % 2 else open_loop(folder)  # inherited, or its own
        while items := mine.take(f"person {number}", 2):
            for item in items:
                mine.record(item, "label", "a", annotator=f"person {number}")
            if len(items) == 2:
                mine.undo(f"person {number}")
        os._exit(0)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * n_processes
said = [(event.annotator, event.sample) for event in loop.events()
        if event.action == "label" and not event.undone]
assert len(said) == len(set(said)), "somebody was asked twice"
times = [sum(sample == pick["id"] for _, sample in said) for pick in loop.picks(0)]
assert times == [pick["want"] for pick in loop.picks(0)], times
print(len(said))
"""
FULL = """
import os, pathlib, resource, sys
from labelnext.loop import Loop, LoopError, open_loop
folder, limit = pathlib.Path(sys.argv[1]), int(sys.argv[2])
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
(folder / "filler").write_bytes(bytes(200_000))
loop = Loop.create(folder / "loop", ["text"] * 500, classes=["a", "b"], test=1)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
written = []
try:
    for number in range(500):
        loop.record(str(number), "label", "a", annotator="ann", comment="x" * 5000)
        written.append(str(number))
except LoopError as error:
    print(error)
assert 3 < len(written) < 500, len(written)
assert [event.sample for event in loop.events()] == written
assert [event.sample for event in open_loop(folder / "loop").events()] == written
try:
    Loop.create(folder / "more", ["text" * 500] * 2000, classes=["a", "b"])
except (OSError, LoopError) as error:
    print(error)
assert list((folder / "more").iterdir()) == []
(folder / "filler").unlink()
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
written.append(str(len(written)))
loop.record(written[-1], "label", "a", annotator="ann")
assert [event.sample for event in open_loop(folder / "loop").events()] == written
"""
CREATED = """
import os, pathlib, random, signal, sys, time
from labelnext.loop import Loop, open_loop
folder, n_kills = pathlib.Path(sys.argv[1]), int(sys.argv[2])
random.seed(0)
texts, found = ["text"] * 20_000, []
start = time.perf_counter()
Loop.create(folder / "first", texts, classes=["a", "b"], test=5)
seconds = time.perf_counter() - start
for kill in range(n_kills):
    child = os.fork()
    if not child:
        Loop.create(folder / str(kill), texts, classes=["a", "b"], test=5)
        os._exit(0)
    time.sleep(random.random() * 1.5 * seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    whole = (folder / str(kill) / "loop.sqlite").exists()
    if not whole:
        Loop.create(folder / str(kill), texts, classes=["a", "b"], test=5)
        assert [p.name for p in (folder / str(kill)).iterdir() if p.name.startswith(".")] == []
    assert open_loop(folder / str(kill)).progress()["samples"] == 20_000
    found.append(whole)
print(len(found))
"""


def run(script, *arguments, within=()):
    done = subprocess.run(
        [*within, sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("n_kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_what_was_recorded_survives_a_kill_at_any_moment(tmp_path, n_kills):
    assert int(run(KILLED, tmp_path / "loop", n_kills, n_kills)) >= n_kills


@pytest.mark.slow
def test_a_creation_that_is_killed_leaves_a_whole_loop_or_none(tmp_path):
    assert int(run(CREATED, tmp_path, 20)) == 20


@pytest.mark.parametrize("n_processes", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_processes_that_work_at_once_ask_for_each_sample_once(tmp_path, n_processes):
    assert int(run(TOGETHER, tmp_path / "loop", n_processes)) == 119 + 30


def small_file_system(folder):
    """Return how to run a command with a small file system at a folder, if we may."""
    script = f'mount -t tmpfs -o size=1m tmpfs {folder} && exec "$@"'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    if shutil.which("unshare") is None:
        return None
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if tried.returncode == 0 else None


@pytest.mark.parametrize("limited", [False, True])
def test_a_full_disk_loses_nothing_and_goes_on(tmp_path, limited):
    # Where namespaces are not for everybody, what is full is the largest size of a file.
    command = None if limited else small_file_system(tmp_path)
    one, other = run(FULL, tmp_path, 0 if command else 1 << 19, within=command or []).splitlines()
    assert "loop.sqlite" in one
    assert "space" in one
    if command:
        assert "the disk is full; free some space and do it again" in one
    assert "Cannot write" in other
    assert "or choose another place" in other
