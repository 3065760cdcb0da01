"""Our own pool folder: shards that are whole or not there, and what is wrong with a damaged one."""

import json
import os
import shutil
import stat
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from labelnext.pools import PoolWriter, manifest, open_source

PROBA = np.random.default_rng(0).random((10, 3)).astype(np.float32)
FEATURES = np.random.default_rng(1).normal(size=(10, 4)).astype(np.float16)
IDS = np.arange(100, 110)
CUTS = [0, 3, 7, 10]


def write(writer, shards=(0, 1, 2), ids=IDS):
    for shard in shards:
        rows = slice(CUTS[shard], CUTS[shard + 1])
        writer.write(shard, PROBA[rows], FEATURES[rows], None if ids is None else ids[rows])


@pytest.fixture
def pool(tmp_path):
    """Return the folder of a finished pool."""
    writer = PoolWriter(tmp_path / "pool", bias=True)
    write(writer)
    writer.finish()
    return tmp_path / "pool"


def check(folder, ids=IDS):
    source = open_source(folder)
    assert np.array_equal(source.read("proba", 0, 10), PROBA)
    assert np.array_equal(source.read("features", 0, 10), FEATURES)
    if ids is not None:
        assert np.array_equal(source.ids(), ids)


def test_shards_may_come_in_any_order_from_several_writers(tmp_path):
    one = PoolWriter(tmp_path / "pool")
    other = PoolWriter(tmp_path / "pool", resume=True)
    write(one, [2])
    write(other, [0])
    assert one.finished == other.finished == {0: 3, 2: 3}
    with pytest.raises(FileExistsError, match="shard-00000 is written already"):
        write(one, [0])
    write(one, [1])
    assert not one.complete
    other.finish(n_shards=3)
    assert one.complete
    check(tmp_path / "pool")
    one.finish()  # nothing left to do
    with pytest.raises(FileExistsError, match="is a finished pool"):
        write(one, [1])


def test_says_what_the_pool_is(pool):
    source = open_source(pool)
    assert (source.task, source.bias) == ("multiclass", True)
    assert not source.one_dimensional
    assert source.cuts.tolist() == [0, 10]
    assert source.where(2) == f"row 2 of {pool}/shard-00000/proba.npy"
    assert source.where(3) == f"row 0 of {pool}/shard-00001/proba.npy"
    known = json.loads((pool / "pool.json").read_text())
    assert known["n_rows"] == 10
    assert (known["n_columns"], known["n_features"]) == (3, 4)
    assert known["dtypes"] == {"proba": "<f4", "features": "<f2"}
    assert known["ids"] == "integers"


def test_numpy_reads_the_shards(pool):
    for shard, (lo, hi) in enumerate(pairwise(CUTS)):
        folder = pool / f"shard-0000{shard}"
        assert np.array_equal(np.load(folder / "proba.npy"), PROBA[lo:hi])
        assert np.array_equal(np.load(folder / "features.npy", mmap_mode="r"), FEATURES[lo:hi])
        assert np.array_equal(np.load(folder / "ids.npy"), IDS[lo:hi])


def test_one_dimension_stays_one(tmp_path):
    writer = PoolWriter(tmp_path, task="binary")
    writer.write(0, PROBA[:, 0], FEATURES)
    writer.finish()
    source = open_source(tmp_path)
    assert source.one_dimensional
    assert source.task == "binary"
    assert np.array_equal(source.read("proba", 2, 5), PROBA[2:5, :1])


def test_lays_out_anything_in_rows_and_native_bytes(tmp_path):
    writer = PoolWriter(tmp_path)
    writer.write(0, np.asfortranarray(PROBA.astype(">f4")), FEATURES[:, ::-1][:, ::-1], IDS)
    writer.finish()
    check(tmp_path)


def test_fingerprint_is_of_the_content(pool, tmp_path):
    shutil.copytree(pool, tmp_path / "copy")
    assert open_source(tmp_path / "copy").fingerprint() == open_source(pool).fingerprint()
    other = PoolWriter(tmp_path / "other", bias=True)
    write(other, [0, 1])
    changed = FEATURES[7:].copy()
    changed[1, 1] += 1
    other.write(2, PROBA[7:], changed, IDS[7:])
    other.finish()
    assert open_source(tmp_path / "other").fingerprint() != open_source(pool).fingerprint()


# Unfinished pools, and going on


def test_an_unfinished_pool_says_so(tmp_path):
    write(PoolWriter(tmp_path), [0, 2])
    with pytest.raises(ValueError, match=r"unfinished: 2 shards and no.*convert`.*resume=True"):
        open_source(tmp_path)


def test_going_on_must_be_asked_for(tmp_path):
    write(PoolWriter(tmp_path), [0])
    with pytest.raises(FileExistsError, match=r"unfinished, 1 shard.*resume=True"):
        PoolWriter(tmp_path)
    writer = PoolWriter(tmp_path, resume=True)
    assert writer.finished == {0: 3}
    write(writer, [1, 2])
    writer.finish()
    check(tmp_path)
    assert PoolWriter(tmp_path, resume=True).complete


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bias": True}, "begun with bias=False, and now bias is True"),
        ({"task": "multilabel"}, "begun with task='multiclass'"),
        ({"settings": {"model": "b"}}, "begun with model='a', and now model is 'b'"),
    ],
    ids=["bias", "task", "settings"],
)
def test_goes_on_with_the_same_only(tmp_path, settings, message):
    same = {"settings": {"model": "a", "layers": (1, 2)}}
    PoolWriter(tmp_path, **same)
    PoolWriter(tmp_path, resume=True, **same)
    with pytest.raises(ValueError, match=message):
        PoolWriter(tmp_path, resume=True, **(same | settings))


def test_overwriting_must_be_asked_for(pool):
    before = (pool / "pool.json").read_bytes()
    with pytest.raises(FileExistsError, match=r"holds a pool already \(finished\)"):
        PoolWriter(pool)
    assert (pool / "pool.json").read_bytes() == before
    writer = PoolWriter(pool, overwrite=True)
    assert writer.finished == {}
    with pytest.raises(ValueError, match="unfinished: 0 shards"):
        open_source(pool)


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_never_touches_other_files(tmp_path, how):
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(FileExistsError, match=r"other files.*thesis\.tex"):
        PoolWriter(tmp_path, **{how: True})
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_deleting_leaves_files_that_are_not_the_pools(pool):
    writer = PoolWriter(pool, resume=True, bias=True)
    (pool / "notes.txt").write_text("mine")
    (pool / "shard-00001" / "notes.txt").write_text("mine")
    writer.delete()
    left = sorted(str(path.relative_to(pool)) for path in pool.rglob("*"))
    assert left == ["notes.txt", "shard-00001", "shard-00001/notes.txt"]


def test_shards_without_settings_are_not_gone_on_with(pool):
    (pool / "pool.json").unlink()
    (pool / "settings.json").unlink()
    with pytest.raises(ValueError, match=r"no settings\.json.*overwrite=True"):
        PoolWriter(pool, resume=True)


# Killed: a process ends itself, without a word to anybody, before each call that may change
# the disk.

KILLED = """
import os, pathlib, shutil, signal, sys
import numpy as np
from labelnext.pools import PoolWriter, manifest, open_source
root = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(0)
proba, features = rng.random((7, 2)), rng.random((7, 3))
cuts = [0, 3, 4, 7]

def run(folder):
    writer = PoolWriter(folder, resume=True)
    for shard in range(3):
        if shard not in writer.finished:
            rows = slice(cuts[shard], cuts[shard + 1])
            writer.write(shard, proba[rows], features[rows], [f"s{i}" for i in range(7)][rows])
    writer.finish(3)

def kill_before(call):
    left = [call]
    def count(event, arguments):
        if event == "open" or event.split(".")[0] in ("os", "shutil", "fsync"):
            left[0] -= 1
            if left[0] == -1:
                os.kill(os.getpid(), signal.SIGKILL)
    fsync = os.fsync
    def counted(number):
        count("fsync", ())
        fsync(number)
    os.fsync = counted
    sys.addaudithook(count)  # told before anything is opened, made, renamed or deleted

def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.glob("shard-*/*")}

for call in range(1000):
    folder = root / f"pool{call}"
    child = os.fork()
    if child == 0:
        kill_before(call)
        run(folder)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    whole = (folder / "pool.json").exists()
    if not whole:
        try:
            open_source(folder)
        except (ValueError, FileNotFoundError):
            pass
        else:
            sys.exit(f"taken for complete, killed before call {call}")
    before = files(folder)
    run(folder)
    after = files(folder)
    assert before.items() <= after.items(), f"rewrote finished shards, killed before call {call}"
    source = open_source(folder)
    source.verify()
    assert (source.read("proba", 0, 7) == proba).all()
    assert (source.read("features", 0, 7) == features).all()
    assert source.ids().tolist() == [f"s{i}" for i in range(7)]
    left = [p.name for p in folder.iterdir() if p.name.endswith(".tmp")]
    assert whole or not left, left
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
print("killed", call)
"""


@pytest.mark.slow
def test_killed_anywhere_it_goes_on(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) > 50


# Damage


def test_a_missing_shard_is_named(pool, tmp_path):
    shutil.rmtree(pool / "shard-00001")
    with pytest.raises(ValueError, match=r"shard-00001/proba\.npy is missing.*resume=True"):
        open_source(pool)


def test_advice_for_a_missing_shard_works(pool):
    shutil.rmtree(pool / "shard-00001")
    (pool / "pool.json").unlink()
    writer = PoolWriter(pool, bias=True, resume=True)
    with pytest.raises(ValueError, match="2 of 3 shards, missing are 1;"):
        writer.finish()
    write(writer, [1])
    writer.finish()
    check(pool)


def test_shards_missing_at_the_end_are_known_by_their_number(tmp_path):
    writer = PoolWriter(tmp_path)
    write(writer, [0, 1])
    with pytest.raises(ValueError, match="2 of 3 shards, missing are 2;"):
        writer.finish(3)
    with pytest.raises(ValueError, match="2 of 1 shard"):
        writer.finish(1)
    with pytest.raises(ValueError, match="0 of 0 shards"):
        PoolWriter(tmp_path / "empty").finish()


def test_a_truncated_file_is_named(pool):
    file = pool / "shard-00002" / "features.npy"
    os.truncate(file, file.stat().st_size - 1)
    with pytest.raises(ValueError, match=r"shard-00002/features\.npy has 151 bytes instead of 152"):
        open_source(pool)
    (pool / "pool.json").unlink()
    with pytest.raises(ValueError, match=r"shard-00002 is damaged: .*Delete it"):
        PoolWriter(pool, bias=True, resume=True).finished  # noqa: B018 — it reads


def test_a_file_cut_short_while_it_is_open_is_named(pool):
    source = open_source(pool)
    file = pool / "shard-00002" / "features.npy"
    os.truncate(file, 140)
    with pytest.raises(ValueError, match=r"features\.npy has changed since"):
        source.read("features", 0, 10)


def flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_a_changed_byte_is_found_by_its_checksum(pool):
    flip(pool / "shard-00001" / "features.npy")
    source = open_source(pool)
    source.read("features", 0, 3)
    source.read("features", 3, 5)
    with pytest.raises(ValueError, match=r"shard-00001/features\.npy has the checksum"):
        source.read("features", 5, 7)
    with pytest.raises(ValueError, match=r"shard-00001/features\.npy has the checksum"):
        open_source(pool).read("features", 0, 10)
    with pytest.raises(ValueError, match=r"shard-00001/features\.npy has the checksum"):
        source.verify()


@pytest.mark.parametrize("part", ["proba", "features"])
def test_a_changed_byte_is_found_where_single_rows_are_read(pool, monkeypatch, part):
    flip(pool / "shard-00001" / f"{part}.npy")
    starts = open_source(pool)._starts
    outside, inside = np.array([starts[0], starts[2]]), np.array([starts[1]])
    source = open_source(pool)
    source.take(part, outside)
    with pytest.raises(ValueError, match=rf"shard-00001/{part}\.npy has the checksum"):
        source.take(part, inside)
    # Of a large file that would be too much to read, unless most of it is wanted.
    monkeypatch.setattr(manifest, "LITTLE", 0)
    monkeypatch.setattr(manifest, "TIMES", 1)
    source.take(part, inside)
    monkeypatch.setattr(manifest, "TIMES", 1000)
    with pytest.raises(ValueError, match=rf"shard-00001/{part}\.npy has the checksum"):
        source.take(part, inside)


def test_single_rows_have_a_shard_summed_once(pool, monkeypatch):
    source, summed = open_source(pool), []
    monkeypatch.setattr(source, "_compare_all", lambda *what: summed.append(what))
    for row in (0, 1, 0):
        source.take("proba", np.array([row]))
    assert summed == [("proba", 0)]


def test_verify_reads_the_ids_too(pool):
    open_source(pool).verify()
    flip(pool / "shard-00002" / "ids.npy")
    with pytest.raises(ValueError, match=r"shard-00002/ids\.npy has the checksum"):
        open_source(pool).verify()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda known: "{", r"pool\.json is damaged"),
        (lambda known: "[]", "is not of a pool of labelnext"),
        (lambda known: json.dumps(known | {"format": "zip"}), "is not of a pool of labelnext"),
        (lambda known: json.dumps(known | {"version": 2}), "has version 2 .* upgrade labelnext"),
        (lambda known: json.dumps(known | {"n_rows": 11}), r"pool\.json is damaged"),
        (lambda known: json.dumps(known | {"shards": []}), r"pool\.json is damaged"),
        (lambda known: json.dumps(known | {"shards": [{}]}), r"pool\.json is damaged"),
        (
            lambda known: json.dumps({k: v for k, v in known.items() if k != "bias"}),
            r"pool\.json is damaged",
        ),
    ],
    ids=["cut", "list", "format", "version", "rows", "none", "shard", "bias"],
)
def test_a_damaged_manifest_says_so(pool, change, message):
    file = pool / "pool.json"
    file.write_text(change(json.loads(file.read_text())))
    with pytest.raises(ValueError, match=message):
        open_source(pool)


def test_a_damaged_record_of_a_shard_says_so(pool):
    (pool / "pool.json").unlink()
    (pool / "shard-00000" / "shard.json").write_text('{"n_rows": 4}')
    with pytest.raises(ValueError, match="shard-00000 is damaged"):
        PoolWriter(pool, bias=True, resume=True).finish()


# What does not fit together


@pytest.mark.parametrize(
    ("proba", "features", "ids", "message"),
    [
        (PROBA[:, :2], FEATURES, IDS, "its proba have 2 columns in <f4, and there have 3 columns"),
        (PROBA, FEATURES[:, :2], IDS, "its features have 2 columns"),
        (PROBA, FEATURES.astype(np.float32), IDS, "its features have 4 columns in <f4, and there"),
        (PROBA[:, 0], FEATURES, IDS, "its proba have one dimension in <f4"),
        (PROBA, FEATURES, None, "its ids are not there, and there are integers"),
        (PROBA, FEATURES, [str(i) for i in IDS], "its ids are strings, and there are integers"),
    ],
    ids=["columns", "features", "dtype", "flat", "no ids", "other ids"],
)
def test_shards_must_be_of_one_kind(tmp_path, proba, features, ids, message):
    write(PoolWriter(tmp_path / "pool"), [0])
    with pytest.raises(ValueError, match=rf"shard-00001 does not fit to shard-00000: {message}"):
        PoolWriter(tmp_path / "pool", resume=True).write(1, proba, features, ids)
    # Of a process that could not see the first shard when it wrote its own.
    PoolWriter(tmp_path / "other").write(0, proba, features, ids)
    shutil.copytree(tmp_path / "other" / "shard-00000", tmp_path / "pool" / "shard-00001")
    with pytest.raises(ValueError, match=rf"shard-00001 does not fit to shard 0: {message}"):
        PoolWriter(tmp_path / "pool", resume=True).finish()


@pytest.mark.parametrize("text", [False, True], ids=["integers", "strings"])
def test_ids_must_differ(tmp_path, text):
    ids = IDS.astype(str).astype(object) if text else IDS.copy()
    ids[[2, 8]] = ids[1]
    said = repr(ids.tolist()[1])
    writer = PoolWriter(tmp_path)
    with pytest.raises(ValueError, match=rf"more than once: {said} \({said}: row 1, and row 2"):
        write(writer, ids=ids)
    assert writer.finished == {}
    ids[2] = "7" if text else 7
    write(writer, ids=ids)
    first, second = (f"row 1 of .*shard-0000{shard}" for shard in (0, 2))
    where = rf"1 id is .* {said} \({said}: {first}/proba\.npy, and {second}"
    with pytest.raises(ValueError, match=where):
        writer.finish()
    assert not writer.complete


def test_a_long_pool_of_ids_is_gone_through_in_bounded_memory(tmp_path, monkeypatch):
    from labelnext.pools import known

    monkeypatch.setattr(known, "AT_ONCE", 3)
    monkeypatch.setattr(known, "STRETCH", 4)
    monkeypatch.setattr(known, "hash", len, raising=False)  # strings of one length meet
    ids = np.array(["a", "b", "cc", "dd", "e", "f", "gg", "ggg", "h", "i"], dtype=object)
    writer = PoolWriter(tmp_path)
    write(writer, ids=ids)
    writer.finish()
    check(tmp_path, ids)
    ids[9] = "a"
    writer = PoolWriter(tmp_path, overwrite=True)
    write(writer, ids=ids)
    with pytest.raises(ValueError, match="1 id is there more than once: 'a'"):
        writer.finish()


@pytest.mark.parametrize(
    ("shard", "ids", "message"),
    [
        (-1, IDS, "a number from 0 on, got -1"),
        (True, IDS, "got True"),
        (1.0, IDS, "got 1.0"),
        (0, [*"abcdefghi", "j\0"], "id at row 9 .* zero byte"),
        (0, [*"abcdefghi", "ü" * 600], "id at row 9 .* 1,200 bytes"),
    ],
    ids=["negative", "bool", "float", "zero", "long"],
)
def test_refuses_what_cannot_be_a_shard(tmp_path, shard, ids, message):
    with pytest.raises(ValueError, match=message):
        PoolWriter(tmp_path).write(shard, PROBA, FEATURES, ids)
    assert os.listdir(tmp_path) == ["settings.json"]


def test_refuses_what_cannot_be_a_pool(tmp_path):
    with pytest.raises(ValueError, match="task must be 'multiclass'"):
        PoolWriter(tmp_path / "pool", task="clustering")
    with pytest.raises(ValueError, match="not to s3://"):
        PoolWriter("s3://bucket/pool")
    assert os.listdir(tmp_path) == []


# The world around it


def test_reads_after_a_fork_and_with_many_shards(tmp_path, monkeypatch):
    from labelnext.pools import files

    monkeypatch.setattr(files, "HANDLES", 3)
    writer = PoolWriter(tmp_path)
    for row in range(10):
        writer.write(row, PROBA[row : row + 1], FEATURES[row : row + 1], IDS[row : row + 1])
    writer.finish()
    before = set(os.listdir("/proc/self/fd"))
    source = open_source(tmp_path)
    assert np.array_equal(source.take("proba", np.arange(10)[::-1]), PROBA[::-1])
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 3
    del source
    assert set(os.listdir("/proc/self/fd")) <= before


FORKED = """
import os, sys
import numpy as np
from labelnext.pools import open_source
source = open_source(sys.argv[1])
source.read("proba", 0, 10)
source._files._lock.acquire()  # as another thread may, at the moment of the fork
child = os.fork()
if child == 0:
    os._exit(int(source.take("features", np.array([9])).shape != (1, 4)))
sys.exit(os.waitpid(child, 0)[1])
"""


def test_a_fork_while_another_thread_reads_does_not_hang(pool):
    subprocess.run([sys.executable, "-c", FORKED, str(pool)], check=True, timeout=60)


AS_NOBODY = """
import os, sys
sys.path.insert(0, sys.argv[3])
from labelnext.pools import PoolWriter, manifest, open_source
if os.getuid() == 0:  # whom permissions do not bind
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    PoolWriter(sys.argv[1]) if sys.argv[2] == "write" else open_source(sys.argv[1])
except PermissionError as error:
    print(error)
"""


def as_nobody(path, what):
    """Return what a process without rights is told."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(path), what, ""],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def open_to_all(tmp_path):
    """Let everybody into the folders that lead to this test's."""
    before = {folder: folder.stat().st_mode for folder in (tmp_path, *tmp_path.parents)}
    for folder, mode in before.items():
        if folder.owner() == tmp_path.owner() and not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH | stat.S_IROTH)
    yield
    for folder, mode in before.items():
        if folder.stat().st_mode != mode:
            folder.chmod(mode)


@pytest.mark.usefixtures("open_to_all")
@pytest.mark.parametrize("name", ["", "pool.json", "shard-00001"], ids=["all", "manifest", "shard"])
def test_no_permission_to_read_is_said(pool, name):
    (pool / name).chmod(0)
    try:
        said = as_nobody(pool, "read")
    finally:
        (pool / name).chmod(0o755)
    assert said.startswith(f"{pool}")
    assert "may not be read: permission denied; check who may read it" in said


@pytest.mark.usefixtures("open_to_all")
def test_no_permission_to_write_is_said(tmp_path):
    (tmp_path / "kept").mkdir(mode=0o555)
    said = as_nobody(tmp_path / "kept" / "pool", "write")
    assert said.startswith(f"Cannot write {tmp_path}/kept/pool: permission denied; check who may")
