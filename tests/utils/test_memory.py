"""What memory is free: of the machine, of a container, of a process with a limit."""

import resource
from pathlib import Path

import pytest

from labelnext.utils import memory


@pytest.fixture
def group(tmp_path, monkeypatch):
    """A container of 1,000 MB that uses 900 of them, 700 for files that need not stay."""
    (tmp_path / "memory.max").write_text("1000000000\n")
    (tmp_path / "memory.current").write_text("900000000\n")
    (tmp_path / "memory.stat").write_text(
        "anon 200000000\nfile 700000000\ninactive_file 500000000\nactive_file 200000000\n"
    )
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    monkeypatch.setattr(memory, "_available", lambda: 10**12)
    return tmp_path


def test_files_in_the_memory_of_a_container_do_not_count(group):
    assert memory.free_memory() == 800_000_000
    (group / "memory.max").write_text("max\n")
    assert memory.free_memory() == 10**12


def test_a_process_may_have_a_limit(group, monkeypatch):
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (pages + 10**8, -1))
    assert memory.free_memory() <= 10**8 + (1 << 24)


def test_what_takes_too_much_is_refused(group):
    memory.refuse_too_large("It", 800_000_000, "take less.")
    with pytest.raises(ValueError, match=r"^It takes 800\.1MB of memory, and 800MB are free; t"):
        memory.refuse_too_large("It", 800_000_001, "take less.")
