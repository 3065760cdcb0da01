"""Time from a key to the next sample in a browser, decision on the disk in between.

Run with ``python -m benchmarks.page``. A loop of 100,000 texts is made, all but one of which wait
to be labelled; headless Chromium labels some hundred of them by keyboard, at the pace of a fast
person and as fast as it goes. The page itself marks when a key came and when the next sample was
in the document; "painted" adds the frame that shows it.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import pages
from labelnext.loop import Loop

LABEL = """
async ([n, pause]) => {
  const times = [], painted = [], waited = [];
  performance.setResourceTimingBufferSize(10000);
  for (let i = 0; i < n; i += 1) {
    const before = document.body.dataset.shown;
    const start = performance.now();
    document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "12"[i % 2], bubbles: true}));
    while (document.body.dataset.shown === before) await new Promise((r) => setTimeout(r, 0));
    times.push(performance.getEntriesByName("shown").at(-1).startTime - start);
    const sent = performance.getEntriesByType("resource").filter((e) => e.name.endsWith("record"));
    const asked = sent.at(-1);
    waited.push(asked.responseEnd - asked.startTime);
    await new Promise((r) => requestAnimationFrame(() => setTimeout(r, 0)));
    painted.push(performance.now() - start);
    await new Promise((r) => setTimeout(r, pause));
  }
  return [times, painted, waited];
}
"""


def line(name, times):
    q = statistics.quantiles(times, n=20)
    print(f"  {name:28} median {q[9]:5.1f} ms   95 % {q[18]:5.1f} ms   most {max(times):5.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--labels", type=int, default=300)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, pages.chromium() as browser:
        n = given.samples
        start = time.perf_counter()
        texts = [f"Text {i}: " + "word " * (i % 60) for i in range(n)]
        loop = Loop.create(
            Path(folder) / "loop", texts, classes=["good", "bad"], test=n - 1, random_state=0
        )
        print(
            f"A loop of {n:,} samples, {n - 1:,} of them waiting: "
            f"{time.perf_counter() - start:.1f} s"
        )
        commits = []
        for item in loop.take("cyd", 200):
            start = time.perf_counter()
            loop.record(item, "label", "good", annotator="cyd")
            commits.append(1000 * (time.perf_counter() - start))
        line("a decision written, no more", commits)
        with pages.process(loop.folder, 0) as server:
            tab = browser.new_page()
            tab.add_init_script(pages.AT_ONCE)
            tab.goto(server.addresses["ann"])
            tab.wait_for_selector("body[data-shown]")
            for name, pause in (("two a second", 450), ("as fast as it goes", 0)):
                times, painted, waited = tab.evaluate(
                    LABEL, [given.labels if not pause else 60, pause]
                )
                line(name, times)
                line(f"{name}, painted", painted)
                line("of it waiting for the server", waited)
        assert len(loop.events()) == given.labels + 260


if __name__ == "__main__":
    main()
