"""bmdal-reg from another environment, for it needs torch: named by LABELNEXT_BENCH_PYTHON."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

WORKER = Path(__file__).with_name("bmdal_worker.py")
VARIABLE = "LABELNEXT_BENCH_PYTHON"


class Worker:
    """A process that has loaded a pool and times selections when asked.

    Entering it raises ImportError where bmdal-reg is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Worker:
        python = os.environ.get(VARIABLE, ".benchmarks/venv/bin/python")
        missing = ImportError(f"not installed ({VARIABLE}; see benchmarks/README.md)")
        if not Path(python).is_file():
            raise missing
        self.process = subprocess.Popen(
            [python, str(WORKER), str(self.folder.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != "ready":
            self.process.wait(timeout=60)
            raise missing
        return self

    def seconds(self, k: int, seed: int) -> float:
        """Select k rows and return the seconds that it took, without loading."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{k} {seed}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
