"""The page of a batch in a real browser: by mouse and keyboard, without a network, for all."""

import numpy as np
import pytest

import labelnext
from pages import chromium

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chromium")]
NASTY = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of 30 picks, with texts, ids and classes that would act if they could."""
    rng = np.random.default_rng(0)
    n = 6000
    pool = labelnext.Pool(
        rng.dirichlet(np.ones(3), n),
        rng.normal(size=(n, 6)),
        ids=[f"{i} {NASTY}" for i in range(n)],
        classes=["cat", f"dog {NASTY}", "cow"],
    )
    file = tmp_path_factory.mktemp("page") / "batch.html"
    batch = labelnext.select(pool, 30, random_state=0)
    batch.report(file, samples=[f"text {i} {NASTY}" for i in range(n)])
    with chromium() as browser:
        opened = browser.new_page(viewport={"width": 1200, "height": 900})
        opened.said, opened.asked = [], []
        opened.on("console", lambda message: opened.said.append(message.text))
        opened.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.on("request", lambda request: opened.asked.append(request.url))
        opened.goto(file.as_uri())
        opened.batch = batch
        yield opened


def heading(page):
    return page.locator("#pick h2").inner_text()


def test_pointing_at_a_pick_shows_it(page):
    page.locator('circle.pick[data-at="7"]').hover()
    assert heading(page) == "Pick 8"
    assert page.batch.ids[7] in page.locator("#pick dl").inner_text()
    assert page.locator("#pick .text").inner_text().startswith(f"text {page.batch.indices[7]}")


def test_the_keyboard_reaches_every_pick(page):
    page.locator("circle.pick[tabindex='0']").focus()
    page.keyboard.press("Home")
    seen = []
    for _ in range(30):
        seen.append(int(heading(page).removeprefix("Pick ")))
        page.keyboard.press("ArrowRight")
    assert seen == list(range(1, 31))
    assert page.evaluate("document.activeElement.dataset.at") == "29"
    page.locator("#before").click()
    assert heading(page) == "Pick 29"


def test_colours_change_with_the_mode_and_a_class_can_be_picked_out(page):
    first = page.locator('circle.pick[data-at="0"]')
    before = first.evaluate("node => node.style.fill")
    page.get_by_label("Class", exact=True).check()
    assert first.evaluate("node => node.style.fill") != before
    button = page.locator("#legend button").nth(1)
    button.click()
    assert page.locator("#legend button").nth(1).get_attribute("aria-pressed") == "true"
    faint = page.evaluate(
        "[...document.querySelectorAll('circle.pick')].filter(c => c.style.opacity < 1).length"
    )
    other = np.count_nonzero(page.batch.pseudo_labels != 1)
    assert faint == other
    page.get_by_label("Order").check()


def test_the_table_sorts_by_number_and_by_text(page):
    for title, values in (("D²", page.batch.d2), ("row", page.batch.indices)):
        button = page.locator("#table th button", has_text=title)
        for upward in (True, False):
            button.click()
            rows = page.locator("#table tbody tr").evaluate_all(
                "rows => rows.map(row => Number(row.dataset.at))"
            )
            assert (np.diff(np.asarray(values)[rows]) >= 0).all() == upward
    page.locator("#table tbody button").nth(3).click()
    assert heading(page) == f"Pick {page.locator('#table tbody button').nth(3).inner_text()}"


def test_nothing_has_acted_and_nothing_was_asked_for(page):
    assert page.title() == "30 picks in a pool of 6,000"
    assert page.said == []
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
    assert len(page.asked) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_used_by_all(page, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page.emulate_media(color_scheme=scheme)
    for width in (390, 1200):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"][:120]) for each in found] == []
