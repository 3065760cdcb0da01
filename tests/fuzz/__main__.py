"""Edit files for as long as is asked: ``python -m tests.fuzz --seconds 60 [TARGET ...]``.

The files of the case that is under way are in the folder ``--keep``, so that they are still there
if the process is killed; the first files that break the rule of each kind are kept beside it.
"""

import argparse
import faulthandler
import resource
import shutil
import sys
import time
import warnings
from pathlib import Path

import hypothesis
from tests import fuzz


def main():
    targets = fuzz.load()
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("targets", nargs="*", help=", ".join(targets))
    parser.add_argument("--seconds", type=float, default=60, help="for all together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"))
    asked = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("error")
    # What is asked for and never touched counts too.
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    resource.setrlimit(resource.RLIMIT_AS, (taken + (16 << 30), resource.RLIM_INFINITY))
    names = asked.targets or list(targets)
    broken = [run(name, targets[name], asked.seconds / len(names), asked) for name in names]
    sys.exit(any(broken))


def run(name, target, seconds, asked):
    """Edit the files of one target; return how many broke the rule, of each kind one."""
    until, number, kinds, refused = time.monotonic() + seconds, 0, {}, set()
    now = asked.keep / name / "now"

    def case(files):
        nonlocal number
        if time.monotonic() > until:
            return
        number += 1
        shutil.rmtree(now, ignore_errors=True)
        now.mkdir(parents=True)
        fuzz.written(now, target.pack(files))
        try:
            error = fuzz.check(target.use, now)
        except fuzz.BrokenError as error:
            frames = error.__cause__ and error.__cause__.__traceback__
            while frames and frames.tb_next:
                frames = frames.tb_next
            kind = (type(error.__cause__), frames and (frames.tb_frame.f_code, frames.tb_lineno))
            if kind not in kinds:
                kinds[kind] = error
                kept = now.with_name(f"broken-{len(kinds)}")
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(now, kept)
                where = frames and f"{frames.tb_frame.f_code.co_filename}:{frames.tb_lineno}"
                print(f"{name}: {kept}: {error} [{where}]", flush=True)
        else:
            refused.add(error and str(error))

    for files in target.seeds().values():
        case(files)
    seed = asked.seed
    while time.monotonic() < until:
        hypothesis.seed(seed)(
            hypothesis.settings(
                max_examples=200,
                deadline=None,
                database=None,
                suppress_health_check=list(hypothesis.HealthCheck),
            )(hypothesis.given(fuzz.edited(target))(case))
        )()
        seed += 1
    print(f"{name}: {number:,} cases, {len(refused):,} messages, {len(kinds)} broke the rule")
    return len(kinds)


if __name__ == "__main__":
    main()
