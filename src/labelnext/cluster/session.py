"""Which Ray cluster to work on; joining or starting it, and leaving everything as it was."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from labelnext.utils.given import check_integer, check_number, check_positive
from labelnext.utils.libraries import require
from labelnext.utils.text import one_line

# Ray reads these when it starts; nobody is told of it, no GPU is hidden from anybody, and
# Python's print stays Python's.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TQDM_PATCH_PRINT": "0",
}
# Seconds to reach the address of a cluster, and to hear that it is one.
CONNECT_TIMEOUT, GREETING_TIMEOUT = 10.0, 30.0
# A socket's path must be short, and Ray's lie deep in its folder.
LONGEST_FOLDER = 40
MODE = "RAY_AUTH_MODE"
# Whether this process shows a token: Ray settles it at the first cluster, for good.
_MODE: list[str] = []
# Where Linux lists them.
PROCESSES = Path("/proc")
QUIET = {"logging_level": "ERROR", "log_to_driver": False}


@dataclass(frozen=True)
class Ray:
    """A Ray cluster to work on, and what may be taken of it.

    To be passed as ``cluster=`` to `labelnext.select`, where the pool is cut into shards, each
    in an actor, and to `labelnext.extract`, where as many actors write the shards of a pool in
    files. It is joined when it is used, not before.

    Parameters
    ----------
    address : str, default=None
        Which cluster: ``"host:port"`` of its head; ``"auto"``, the one that runs on this machine;
        ``"local"``, a new one on this machine, which ends with the work. None: the one that
        this process has joined already, else that of ``RAY_ADDRESS``, else the one that runs on
        this machine, else a new one.
    num_shards : int, default=None
        How many actors there are, and so into how many parts a pool is cut to select from it.
        None: as many as the cluster has room for now.
    num_cpus : float, default=1
        Cores that each actor reserves, and the threads that it computes on.
    num_gpus : float, default=0
        GPUs that each actor reserves. Where there is any, it works on the GPU.
    resources : mapping of str to float, default=None
        Other resources that each actor reserves, by which it is placed.
    timeout : float, default=None
        Seconds: an actor that has not answered a call by then counts as lost. It must be enough
        to read a shard and for a pass over one, or to extract one. None: 600 for a selection,
        3,600 for an extraction.
    start_timeout : float, default=60
        Seconds that an actor may wait for a place on the cluster, and its process to start.

    Raises
    ------
    TypeError, ValueError
        If a value is of another type, or out of range.

    Examples
    --------
    >>> import labelnext
    >>> labelnext.cluster.Ray(num_shards=3).num_cpus
    1
    """

    address: str | None = None
    num_shards: int | None = None
    num_cpus: float = 1
    num_gpus: float = 0
    resources: Mapping[str, float] | None = None
    timeout: float | None = None
    start_timeout: float = 60.0

    def __post_init__(self) -> None:
        if self.address is not None and not isinstance(self.address, str):
            raise TypeError(f"address must be a string, got {type(self.address).__name__}.")
        if self.num_shards is not None:
            check_integer("num_shards", self.num_shards, least=1)
        for name in ("num_cpus", "num_gpus"):
            check_number(name, getattr(self, name))
        for name in ("timeout", "start_timeout"):
            if name != "timeout" or self.timeout is not None:
                check_positive(name, getattr(self, name))

    @property
    def each(self) -> dict[str, float]:
        """What one actor reserves, by the names that Ray has for it."""
        every = {"CPU": self.num_cpus, "GPU": self.num_gpus, **(self.resources or {})}
        return {name: each for name, each in every.items() if each}


@contextmanager
def joined(address: str | None) -> Iterator[Any]:
    """Have this process on a cluster for a while; yields the module ``ray``.

    A cluster that was joined goes on as it was; one that was started ends, with its files.
    """
    folder = None
    with _settings():
        ray: Any = require("ray", extra="ray", what="cluster=labelnext.Ray()")
        is_ours = not ray.is_initialized()
        try:
            if not is_ours:
                _check_same(ray, address)
            elif address == "local" or not _join(ray, address):
                folder = tempfile.mkdtemp(prefix="labelnext-")
                _start(ray, folder)
            if is_ours:
                _MODE.append(os.environ.get(MODE, "disabled"))
            yield ray
        except ray.exceptions.RayError as error:
            if isinstance(error, ray.exceptions.RayTaskError):
                raise  # what a task has raised
            raise ConnectionError(
                f"The Ray cluster does not answer any more ({in_short(error)}); see whether it "
                f"runs (`ray status`), and start again."
            ) from error
        finally:
            if is_ours:
                ray.shutdown()
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _settings() -> Iterator[None]:
    """Set what Ray reads from the environment; what it writes there does not stay."""
    before = _environment()
    os.environ.update(SETTINGS)
    try:
        yield
    finally:
        for name in _environment():
            del os.environ[name]
        os.environ.update(before)


def _environment() -> dict[str, str]:
    """Return what Ray reads and writes."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("RAY_") or name == "PYTHONBREAKPOINT"
    }


def _check_same(ray: Any, address: str | None) -> None:
    """Refuse an address other than that of the cluster that this process has joined."""
    current = ray.get_runtime_context().gcs_address
    if address in {None, "auto", current}:
        return
    raise ValueError(
        f"This process has joined a Ray cluster already, at {current}, and can be on one only; "
        f"call ray.shutdown() first, or leave out address={address!r}."
    )


@cache
def _token() -> str:
    # Ray keeps the first one it finds for as long as the process lives.
    return secrets.token_hex(32)


def _start(ray: Any, folder: str) -> None:
    """Start a cluster on this machine, with its files in a folder."""
    if _MODE:
        os.environ[MODE] = _MODE[0]
    has_token = (
        os.environ.keys() & {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
        or (Path.home() / ".ray" / "auth_token").exists()
    )
    if not has_token and os.environ.get(MODE, "token") == "token":
        # Else Ray writes one into the home directory.
        os.environ["RAY_AUTH_TOKEN"] = _token()
    short = folder if len(folder) <= LONGEST_FOLDER else None
    try:
        ray.init("local", include_dashboard=False, _temp_dir=short, **QUIET)
    except (OSError, RuntimeError, ValueError) as error:
        raise ConnectionError(
            f"No Ray cluster could be started on this machine ({in_short(error)}); see that "
            f"{tempfile.gettempdir()} and /dev/shm can be written to, or name a cluster with "
            f"address='host:port'."
        ) from error


def _join(ray: Any, address: str | None) -> bool:
    """Join a cluster; False if none was asked for and there is none to join."""
    named = address if address not in {None, "auto"} else os.environ.get("RAY_ADDRESS")
    if named in {None, "", "auto"}:
        return _join_here(ray, needed=address is not None)
    assert named is not None
    _check_reachable(named)
    _check_mode(named)
    refusal = _refusal(named)
    if refusal is not None:
        raise ConnectionError(
            f"What answers at {named} is no head of a Ray cluster, or none that lets this "
            f"process in ({refusal}); expected the address that `ray start --head` prints, and "
            f"RAY_AUTH_MODE=token if the cluster asks for a token."
        )
    try:
        ray.init(named, **QUIET)
    except (RuntimeError, ray.exceptions.RayError) as error:
        raise ConnectionError(
            f"The Ray cluster at {named} cannot be joined from here: {error}"
        ) from error
    return True


def _join_here(ray: Any, *, needed: bool) -> bool:
    """Join the cluster that this machine is a part of, if there is one; False if there is none."""
    if not _runs_here():
        if needed:
            raise ConnectionError(
                "No Ray cluster runs on this machine; start one with `ray start --head`, name "
                "one with address='host:port', or leave out the address for one of its own."
            )
        return False
    _check_mode(None)
    refusal = _refusal(None)
    if refusal is None:
        ray.init("auto", **QUIET)
        return True
    if needed:
        raise ConnectionError(
            f"Ray runs on this machine, but there is no cluster that this process can join "
            f"({refusal}); name one with address='host:port', set RAY_AUTH_MODE=token if it asks "
            f"for a token, or leave out the address for a cluster of its own."
        )
    warnings.warn(
        f"Ray runs on this machine, but there is no cluster that this process can join "
        f"({refusal}); one of its own is started. Say so with address='local', or name another "
        f"with address='host:port'.",
        UserWarning,
        stacklevel=2,
    )
    return False


def _runs_here() -> bool:
    """Tell whether there are processes of Ray on this machine; where it cannot be told, yes."""
    names = list(PROCESSES.glob("[0-9]*/comm"))
    return not names or any(_text(name) in {"gcs_server", "raylet"} for name in names)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # the process has ended
        return ""


def _check_reachable(address: str) -> None:
    """Refuse what is no address, or where nobody answers; Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if "://" in address or not (host and colon and port.isdecimal() and int(port) < 1 << 16):
        raise ValueError(
            f"The address of a Ray cluster is 'host:port' of its head, 'auto' or 'local', got "
            f"{address!r}; of a cluster elsewhere, run this on one of its machines."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT).close()
    except OSError as error:
        raise ConnectionError(
            f"Nothing answers at {address}: {one_line(error)}; check the host and port of the "
            f"cluster's head, and that it runs (`ray status --address {address}`)."
        ) from error


def _refusal(address: str | None, mode: str | None = None) -> str | None:
    """Return why a cluster, or this machine's, cannot be joined; Ray would try for minutes."""
    # Another process, for it can be ended.
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    command += ["--address", address] if address else []
    mode = mode or next(iter(_MODE), os.environ.get(MODE))
    environment = {**os.environ, **({MODE: mode} if mode else {})}
    try:
        subprocess.run(
            command, capture_output=True, check=True, timeout=GREETING_TIMEOUT, env=environment
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        # Ray's advice follows the first sentence.
        return said[-1].split(". ")[0] if said else "it says nothing that Ray understands"
    return None


def _check_mode(address: str | None) -> None:
    """Refuse a cluster without tokens after one with: Ray would end its actors again and again."""
    if _MODE[:1] == ["token"] and _refusal(address, "disabled") is None:
        raise ConnectionError(
            f"The Ray cluster {f'at {address}' if address else 'of this machine'} has no tokens, "
            f"and this process has been on one that has: Ray cannot be told otherwise until a "
            f"process ends. Join it from a new one (in a notebook, restart the kernel)."
        )


def in_short(error: BaseException) -> str:
    """Return the first line of an error, with its kind."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
