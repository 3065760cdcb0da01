"""`python -m benchmarks`: run the benchmarks, print tables, write JSON and plots."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import joblib
from rich.console import Console
from threadpoolctl import threadpool_limits

from benchmarks import (
    comparisons,
    extraction,
    gpu,
    loop,
    memory,
    plots,
    report,
    scaling,
    small,
    startup,
)
from benchmarks.machine import machine

OTHERS = ("small", "scaling", "memory", "startup", "extraction", "gpu", "loop")


def main(arguments: list[str] | None = None) -> None:
    """Run the sections asked for and show the results."""
    options = _options(arguments)
    console = Console(width=None if Console().is_terminal else 140)
    log = Console(stderr=True).log
    folder: Path = options.out
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": machine(options)}
    if results["machine"]["load"] > 0.5 * options.threads:
        log(f"[yellow]Others use this machine: its load is {results['machine']['load']:.1f}.")
    rows = results["comparisons"] = []
    for section in options.only:
        if section in OTHERS:
            log(section)
            results[section] = globals()[f"_{section}"](options)
        else:
            wanted = comparisons.SECTIONS[section]
            if options.quick:
                wanted = list(map(comparisons.quick, wanted))
            rows += comparisons.run(wanted, options.threads, log)
        # After each section, so that a run that is stopped leaves what it has.
        path = folder / "results.json"
        path.write_text(json.dumps(results, indent=1, default=float))
    report.show(results, console)
    for file in [path, *plots.draw(results, folder)]:
        console.print(f"written: {file}")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    sections = [*comparisons.SECTIONS, *OTHERS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few runs of the smaller sections")
    parser.add_argument(
        "--only", nargs="+", metavar="SECTION", choices=sections, help=", ".join(sections)
    )
    parser.add_argument("--out", type=Path, default=Path(".benchmarks/results"))
    parser.add_argument("--threads", type=int, default=joblib.cpu_count())
    options = parser.parse_args(arguments)
    if not options.only:
        options.only = [name for name in sections if not (options.quick and name == "imagenet")]
    # One setting for everyone: ours, BLAS in this process, and all libraries in the others.
    for name in ("LABELNEXT_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    threadpool_limits(options.threads, user_api="blas")
    return options


def _small(options: argparse.Namespace) -> dict[str, float]:
    return small.measure(3 if options.quick else 15)


def _scaling(options: argparse.Namespace) -> dict[str, Any]:
    repeats, threads = (1 if options.quick else 5), options.threads
    ks = [100, 300, 1_000, 3_000, 10_000]
    ns = [10_000, 40_000, 160_000] + [640_000, 1_280_000] * (not options.quick)
    return {
        "against_k": scaling.against_k("fashion-2000", ks, repeats, threads),
        "against_n": scaling.against_n(ns, 1_000, min(3, repeats), threads),
    }


def _memory(options: argparse.Namespace) -> list[dict[str, Any]]:
    cases = [
        ("fashion-2000", 1_000, "labelnext"),
        ("fashion-2000", 5_000, "labelnext"),
        ("fashion-2000", 10, "factored"),
        ("fashion-2000", 3, "scikit-activeml"),
        ("newsgroups-signed", 1_000, "labelnext"),
        ("newsgroups-tfidf", 300, "labelnext"),
        ("synthetic-50000x512x1000", 1_000, "labelnext"),
    ]
    if not options.quick:
        cases.append(("imagenet-shape", 1_000, "labelnext"))
    return [memory.measure(*case) for case in cases]


def _startup(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "imports": startup.imports(3 if options.quick else 11),
        "first_selection": startup.first_selection(),
    }


def _extraction(options: argparse.Namespace) -> dict[str, Any]:
    n, repeats = (4_000, 7 if options.quick else 41)
    return extraction.measure(n, 100, repeats, options.threads)


def _gpu(options: argparse.Namespace) -> dict[str, Any]:
    return gpu.run(1 if options.quick else 5)


def _loop(options: argparse.Namespace) -> dict[str, Any]:
    return loop.measure(100_000, 10_000, 100 if options.quick else 500)


if __name__ == "__main__":
    main()
