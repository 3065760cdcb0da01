"""A simulated person labels a loop in the real page, round after round; then the report.

Run with ``python -m benchmarks.loop_person``. A loop of 2,000 images (Fashion-MNIST as PNG) or
texts (20 Newsgroups in a CSV) is made with the command. Headless Chromium opens the page that
``labelnext loop label`` serves, and presses the keys of the true class of what it is shown: the
test set first, then rounds of 50, with ``labelnext loop next`` in between. It says what each step
takes, and leaves the loop, its labels, its report, and a picture of the report.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import pages

if TYPE_CHECKING:
    from collections.abc import Iterator

FASHION = Path("/usr/share/datasets/fashion-mnist")
CLOTHES = [
    *("T-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
]
SHOWN = "before => document.body.dataset.shown !== before"


def main() -> None:
    """Make the data and the loop, label, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=["images", "texts"], default="images")
    parser.add_argument("--samples", type=int, default=2_000)
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-k", type=int, default=50)
    parser.add_argument("--next", default="", help="more options for `labelnext loop next`")
    parser.add_argument("--out", type=Path, default=Path(".benchmarks/person"))
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    truth = (_images if given.data == "images" else _texts)(given.out, given.samples)
    classes = given.out / "classes.txt"
    classes.write_text("\n".join(sorted(set(truth.values()))) + "\n")
    loop = ["--loop", str(given.out / "loop")]
    source = given.out / ("images" if given.data == "images" else "texts.csv")
    options = ["--labels", str(classes), "--test", str(given.test), *loop]
    _timed("init", lambda: _command("init", str(source), *options))
    with _page(loop) as address, pages.chromium() as browser:
        tab = browser.new_page(viewport={"width": 1280, "height": 800})
        tab.add_init_script(pages.AT_ONCE)
        tab.goto(address)
        _timed(f"the test set, {given.test}", lambda: _answer(tab, truth))
        for number in range(1, given.rounds + 1):
            more = given.next.split()
            _timed("next", lambda: _command("next", "-k", str(given.k), *more, *loop))  # noqa: B023
            _timed(f"round {number}, {given.k}", lambda: _answer(tab, truth))
        # Trains on the last round, too, so that the curve has its end.
        _timed("next", lambda: _command("next", "-k", str(given.k), *given.next.split(), *loop))
        report = given.out / "report.html"
        _timed("report", lambda: _command("report", str(report), *loop))
        tab = browser.new_page(viewport={"width": 1100, "height": 900})
        tab.goto(report.resolve().as_uri())
        tab.screenshot(path=given.out / "report.png", full_page=True)
    _command("export", str(given.out / "labels.csv"), *loop)
    with (given.out / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    wrong = [row["id"] for row in rows if row["label"] and row["label"] != truth[row["id"]]]
    n = sum(bool(row["label"]) for row in rows)
    print(f"{n} labels exported, {len(wrong)} of them not what was pressed")
    assert n == given.test + given.rounds * given.k
    assert not wrong


def _answer(tab: Any, truth: dict[str, str]) -> None:
    """Label what is shown until the round is labelled."""
    tab.wait_for_selector("body[data-shown]", timeout=60_000)
    while before := tab.get_attribute("body", "data-shown"):
        name = truth[tab.inner_text("#why .id")]
        if tab.locator("#search").count():
            tab.keyboard.type(name)
            tab.keyboard.press("Enter")
        else:
            there = tab.locator(".choice", has=tab.get_by_text(name, exact=True))
            tab.keyboard.press(there.get_attribute("aria-keyshortcuts"))
        tab.wait_for_function(SHOWN, arg=before)


def _images(folder: Path, n: int) -> dict[str, str]:
    from PIL import Image

    def read(name: str, start: int) -> Any:
        with gzip.open(FASHION / name) as file:
            return np.frombuffer(file.read(), np.uint8, offset=start)

    images = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    y = read("train-labels-idx1-ubyte.gz", 8)
    (folder / "images").mkdir()
    truth = {}
    for row in np.random.default_rng(0).choice(len(y), n, replace=False):
        name = f"{row:05}.png"
        Image.fromarray(images[row]).save(folder / "images" / name)
        truth[name] = CLOTHES[y[row]]
    return truth


def _texts(folder: Path, n: int) -> dict[str, str]:
    from labelnext.datasets import load_20newsgroups

    news = load_20newsgroups()
    rows = np.random.default_rng(0).choice(len(news), n, replace=False)
    with (folder / "texts.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("id", "body"), *((f"post-{row}", news.X[row]) for row in rows)]
        )
    return {f"post-{row}": news.target_names[news.y[row]] for row in rows}


def _command(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "labelnext", "loop", *words], check=True)


@contextmanager
def _page(loop: list[str]) -> Iterator[str]:
    """Serve the page; yields its address."""
    command = [sys.executable, "-m", "labelnext", "loop", "label", "--no-browser", *loop]
    wide = os.environ | {"COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
    one = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=wide)
    try:
        assert one.stdout is not None
        found = next(filter(None, (re.search(r"http://\S+", line) for line in one.stdout)))
        yield found.group()
    finally:
        one.send_signal(signal.SIGINT)
        one.communicate(timeout=20)


def _timed(name: str, call: Any) -> None:
    start = time.perf_counter()
    call()
    print(f"{time.perf_counter() - start:7.1f} s  {name}", flush=True)


if __name__ == "__main__":
    main()
