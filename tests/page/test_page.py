"""The page in a real browser: nothing lost, nothing twice, all of it by keyboard."""

import itertools
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import labelnext
import pages

SCRIPT = "<img src=x onerror='window.stolen=1'><script>window.stolen=1</script>"


@pytest.fixture(scope="module")
def browser():
    with pages.chromium() as one:
        yield one


@pytest.fixture
def context(browser):
    context = browser.new_context()
    context.set_default_timeout(10_000)
    yield context
    context.close()


def opened(context, address, soon=pages.AT_ONCE):
    """A tab of the page, with its first sample; any error in its script fails the test."""
    tab = context.new_page()
    tab.add_init_script(soon)
    tab.errors = []
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    tab.goto(address)
    tab.wait_for_selector("body[data-shown]")
    return tab


def shown(tab):
    return tab.get_attribute("body", "data-shown")


def press(tab, key):
    """Press a key and wait until another sample shows, or that there is none.

    While more are fetched neither does, and a key means nothing.
    """
    before = shown(tab)
    tab.keyboard.press(key)
    changed = """before => ![undefined, before].includes(document.body.dataset.shown)
        || document.querySelector(".done[aria-busy=false]")"""
    tab.wait_for_function(changed, arg=before)


def labels(loop, person="ann"):
    """What a person says now, by sample; each counted once."""
    found = {}
    for event in loop.events():
        if event.annotator == person and event.action == "label" and not event.undone:
            found.setdefault(event.sample, []).append(event.value)
    return found


def until(condition):
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_label_by_keyboard_undo_and_reload(tmp_path, context):
    loop = pages.loop_of(tmp_path)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        assert "token" not in tab.url
        first = shown(tab)
        for key in "1212":
            press(tab, key)
        # What shows is on the disk but the one that shows.
        assert [e.value for e in loop.events()] == ["good", "bad", "good", "bad"]
        assert str(loop.sample(loop.events()[0].sample)["key"]) == first
        last = loop.events()[-1].sample
        press(tab, "u")
        assert str(loop.sample(last)["key"]) == shown(tab)
        assert loop.events()[-1].action == "undo"
        press(tab, "1")
        now = shown(tab)
        tab.reload()
        tab.wait_for_selector("body[data-shown]")
        assert shown(tab) == now
        assert tab.inner_text("#people") == "Test set · 4 of 30"
        assert [*labels(loop).values()] == [["good"], ["bad"], ["good"], ["good"]]
        assert tab.errors == []


def test_the_next_sample_shows_when_the_decision_is_on_the_disk(tmp_path, context, monkeypatch):
    loop = pages.loop_of(tmp_path)
    let, record = threading.Event(), type(loop).record
    monkeypatch.setattr(type(loop), "record", lambda *a, **k: let.wait(10) and record(*a, **k))
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        first = shown(tab)
        tab.keyboard.press("1")
        tab.wait_for_selector(".choice.chosen")
        tab.keyboard.press("2")  # too early: nobody has seen what it would be of
        tab.wait_for_timeout(200)
        assert shown(tab) == first
        let.set()
        tab.wait_for_function("first => document.body.dataset.shown !== first", arg=first)
        assert [event.value for event in loop.events()] == ["good"]


@pytest.mark.slow
def test_two_hundred_by_keyboard_through_a_server_that_is_killed(tmp_path, context):
    loop = pages.loop_of(tmp_path, [f"Text {i}" for i in range(230)], test=220)
    with pages.served(loop) as page:
        port, address = page.port, page.address()
    with pages.process(loop.folder, port) as server:
        tab = opened(context, address)
        for key, _ in zip(itertools.cycle("12"), range(100), strict=False):
            press(tab, key)
        # Killed while decisions fly: those that are kept here are sent to the next one.
        server.kill()
        server.wait()
        for key in "1212":
            press(tab, key)
        assert "No connection" in tab.inner_text("#saved")
        assert len(labels(loop)) == 100
    with pages.process(loop.folder, port):
        until(lambda: len(labels(loop)) == 104)
        tab.wait_for_selector("#saved:not(.offline)")
        for key, _ in zip(itertools.cycle("12"), range(96), strict=False):
            press(tab, key)
        found = labels(loop)
    assert len(found) == 200
    assert all(len(values) == 1 for values in found.values())
    assert [v for values in found.values() for v in values] == ["good", "bad"] * 100
    assert tab.errors == []


@pytest.mark.slow
def test_offline_and_back_with_an_undo(tmp_path, context):
    loop = pages.loop_of(tmp_path)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        press(tab, "1")
        context.set_offline(True)
        for key in "22u1":
            press(tab, key)
        assert tab.inner_text("#saved") == "No connection · 4 kept here"
        assert [*labels(loop).values()] == [["good"]]
        context.set_offline(False)
        until(lambda: [*labels(loop).values()] == [["good"], ["bad"], ["good"]])
        assert [e.action for e in loop.events()] == ["label"] * 3 + ["undo", "label"]
        assert tab.errors == []


@pytest.mark.slow
def test_what_a_closed_tab_has_kept_the_next_one_sends(tmp_path, context):
    loop = pages.loop_of(tmp_path)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        tab.route("**/api/record", lambda route: route.abort())
        for key in "121":
            press(tab, key)
        assert loop.events() == []
        tab.close()
        opened(context, f"http://127.0.0.1:{page.port}/")
        until(lambda: len(loop.events()) == 3)
        assert [*labels(loop).values()] == [["good"], ["bad"], ["good"]]


@pytest.mark.slow
def test_a_server_that_cannot_write_says_so_and_is_asked_again(tmp_path, context, monkeypatch):
    loop = pages.loop_of(tmp_path)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        with monkeypatch.context() as full:
            full.setattr(type(loop), "record", disk_is_full)
            press(tab, "1")
            assert "The disk is full" in tab.inner_text("#toast")
            assert "1 kept here" in tab.inner_text("#saved")
        until(lambda: [*labels(loop).values()] == [["good"]])
        tab.wait_for_selector("#saved:not(.offline)")


def disk_is_full(*_, **__):
    raise labelnext.loop.LoopError("The disk is full; free some space.")


@pytest.mark.slow
def test_an_answer_that_is_lost_on_the_way_is_not_written_twice(tmp_path, context):
    loop = pages.loop_of(tmp_path)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        lost = []

        def lose(route):
            if len(lost) < 3:
                lost.append(route.fetch())  # the server has it; the browser never hears of it
                route.abort()
            else:
                route.continue_()

        tab.route("**/api/record", lose)
        for key in "121":
            press(tab, key)
        tab.wait_for_function("() => document.querySelector('#saved').className === 'saved '")
        assert len(lost) == 3
        assert [*labels(loop).values()] == [["good"], ["bad"], ["good"]]
        assert len(loop.events()) == 3


@pytest.mark.slow
def test_two_people_and_two_tabs_at_once(tmp_path, browser):
    loop = pages.loop_of(tmp_path)
    contexts = [browser.new_context() for _ in range(2)]
    with pages.served(loop) as page:
        ann = opened(contexts[0], page.address("ann"))
        second = opened(contexts[0], f"http://127.0.0.1:{page.port}/")
        bo = opened(contexts[1], page.address("bo"))
        assert len({shown(tab) for tab in (ann, second, bo)}) == 3
        for _ in range(8):
            for tab in (ann, second, bo):
                press(tab, "1")
        assert len(labels(loop, "ann")) == 16
        assert len(labels(loop, "bo")) == 8
        assert not set(labels(loop, "ann")) & set(labels(loop, "bo"))
        assert len(loop.events()) == 24
        assert ann.errors == second.errors == bo.errors == []
    for context in contexts:
        context.close()


@pytest.mark.slow
def test_skip_flag_comment_cannot_tell_and_mend(tmp_path, context):
    loop = pages.loop_of(tmp_path)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        skipped = shown(tab)
        press(tab, "s")
        press(tab, "x")
        tab.keyboard.press("f")
        tab.wait_for_selector(".mark")
        tab.keyboard.press("c")
        tab.keyboard.type("Is <b>1</b> one?")
        tab.keyboard.press("Control+Enter")
        until(lambda: loop.events()[-1].action == "comment")
        press(tab, "1")
        tab.goto(f"http://127.0.0.1:{page.port}/#history")
        tab.get_by_role("button", name=re.compile("^Change good")).click()
        tab.wait_for_selector("#mending .notice")
        press(tab, "2")
        until(lambda: len(loop.events()) == 6)
        actions = [(e.action, e.value or e.comment) for e in loop.events()]
        assert actions == [
            *(("skip", None), ("cannot-tell", None), ("flag", None)),
            *(("comment", "Is <b>1</b> one?"), ("label", "good"), ("label", "bad")),
        ]
        assert loop.events()[4].sample == loop.events()[5].sample
        for _ in range(26):
            press(tab, "1")
        assert shown(tab) != skipped
        press(tab, "2")
        assert shown(tab) == skipped  # at the end of the queue
        tab.keyboard.press("1")
        tab.wait_for_selector(".done[aria-busy=false]")
        assert "The test set is labelled" in tab.inner_text(".done")
        assert tab.errors == []


@pytest.mark.slow
def test_the_guess_is_hidden_until_asked_for(tmp_path, context):
    loop = predicted(tmp_path)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        assert not tab.locator(".guess").count()
        assert "Guess" not in tab.inner_text("#why")
        assert "Rank" in tab.inner_text("#why")
        tab.keyboard.press("g")
        tab.wait_for_selector(".choice.guess")
        assert "Guess" in tab.inner_text("#why")
        tab.keyboard.press("w")
        assert "Rank" not in tab.inner_text("#why")


def predicted(folder):
    loop = pages.loop_of(folder, test=0)
    ids = loop.samples().ids
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([1, 1], len(ids))
    pool = labelnext.Pool(proba, rng.normal(size=(len(ids), 3)), ids=ids, classes=["good", "bad"])
    loop.next(pool, 30, random=0.0, random_state=0)
    return loop


@pytest.mark.slow
def test_the_grid_confirms_all_but_some(tmp_path, context):
    loop = predicted(tmp_path)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        tab.goto(f"http://127.0.0.1:{page.port}/#grid")
        tab.wait_for_selector(".card:focus")
        cards = tab.locator(".card")
        tab.focus("#guessed")
        tab.keyboard.press("ArrowDown")  # whoever chooses a class by keyboard stays there
        tab.keyboard.press("ArrowUp")
        tab.wait_for_timeout(300)
        assert tab.evaluate("document.activeElement.id") == "guessed"
        cards.first.focus()
        n = cards.count()
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press(" ")
        taken_out = cards.nth(1).inner_text().partition("\n")[0]
        assert cards.nth(1).get_attribute("aria-checked") == "false"
        assert f"Confirm {n - 1} as" in tab.inner_text("#confirm")
        tab.keyboard.press("Enter")
        until(lambda: len(labels(loop)) == n - 1)
        assert taken_out not in {loop.sample(s)["content"] for s in labels(loop)}
        assert len({v for values in labels(loop).values() for v in values}) == 1
        assert tab.errors == []


@pytest.mark.slow
def test_people_who_disagree_are_settled(tmp_path, context):
    loop = pages.loop_of(tmp_path, overlap=1.0)
    for person, values in {"ann": ["good", "good"], "bo": ["good", "bad"]}.items():
        for item, value in zip(loop.take(person, 2), values, strict=True):
            loop.record(item, "label", value, annotator=person)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        tab.goto(f"http://127.0.0.1:{page.port}/#agree")
        tab.wait_for_selector(".votes")
        assert "ann said good" in tab.inner_text(".votes")
        assert "50 %" in tab.inner_text("table")
        tab.keyboard.press("2")
        tab.wait_for_selector(".page .empty")
        assert loop.events()[-1].action == "adjudicate"
        assert loop.disagreements() == []


@pytest.mark.slow
def test_many_classes_are_searched(tmp_path, context):
    names = [
        f"{a}.{b}" for a in ("card", "pin", "transfer") for b in ("lost", "blocked", "late", "odd")
    ]
    loop = pages.loop_of(tmp_path, classes=names)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        tab.wait_for_selector("#search:focus")
        tab.keyboard.press("Enter")  # nothing is marked, so nothing is decided
        tab.keyboard.type("late")
        tab.keyboard.press("ArrowDown")
        press(tab, "Enter")
        tab.keyboard.type("transfer.late")  # as it is written
        press(tab, "Enter")
        for digit in "719":  # only one not used has made room for it
            press(tab, digit)
        tab.keyboard.type("none such")
        tab.keyboard.press("Enter")
        wanted = ["pin.late", "transfer.late", "pin.late", "card.lost", "transfer.late"]
        assert [e.value for e in loop.events()] == wanted
        assert tab.errors == []


@pytest.mark.slow
def test_several_classes_and_a_number(tmp_path, context):
    (tmp_path / "several").mkdir()
    (tmp_path / "number").mkdir()
    several = pages.loop_of(tmp_path / "several", task="multilabel", classes=["a", "b", "c"])
    number = pages.loop_of(tmp_path / "number", task="regression", classes=None)
    with pages.served(several) as page:
        tab = opened(context, page.address())
        tab.keyboard.press("3")
        tab.keyboard.press("1")
        press(tab, "Enter")
        press(tab, "Enter")
        assert [e.value for e in several.events()] == [["a", "c"], []]
    with pages.served(number) as page:
        tab = opened(context, page.address())
        tab.wait_for_selector("#number:focus")
        tab.keyboard.type("3,5")
        press(tab, "Enter")
        tab.keyboard.type("many")
        tab.keyboard.press("Enter")
        assert "Give a number" in tab.inner_text("#number-why")
        assert [e.value for e in number.events()] == [3.5]


@pytest.mark.slow
def test_keys_can_be_changed_and_switched_off(tmp_path, context):
    loop = pages.loop_of(tmp_path)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        tab.click("#open-settings")
        field = tab.get_by_label("Key for good")
        field.press("2")
        assert "2 is the key for bad already" in tab.inner_text("dialog .bad")
        field.press("q")
        tab.keyboard.press("Escape")
        tab.wait_for_selector("dialog", state="detached")
        press(tab, "q")
        tab.reload()
        tab.wait_for_selector("body[data-shown]")
        press(tab, "q")
        assert [e.value for e in loop.events()] == ["good", "good"]
        tab.click("#open-settings")
        tab.get_by_label("Switch single keys off").check()
        tab.keyboard.press("Escape")
        tab.wait_for_selector("dialog", state="detached")
        tab.keyboard.press("q")
        tab.get_by_role("button", name="bad").focus()
        press(tab, "Enter")
        assert [e.value for e in loop.events()] == ["good", "good", "bad"]


@pytest.mark.slow
def test_no_text_class_file_or_svg_runs_a_script(tmp_path, browser):
    bad = SCRIPT.replace("/", "")  # as the name of a file
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>window.stolen=1</script></svg>'
    loops = [
        pages.loop_of(made(tmp_path, "t"), [SCRIPT, f"[a](javascript:{SCRIPT})"] * 2, test=3),
        pages.loop_of(made(tmp_path, "c"), classes=[SCRIPT, "b"], guidelines=SCRIPT),
        pages.loop_of(
            made(tmp_path, "s"),
            pages.files_of(tmp_path / "s", {f"{bad}.svg": svg, f"{bad}2.svg": b"<svg"}),
            test=1,
        ),
        pages.loop_of(made(tmp_path, "h"), pages.Samples(["1", "2"], "html", [SCRIPT] * 2), test=1),
        pages.loop_of(
            made(tmp_path, "r"),
            pages.Samples(["1", "2"], "row", ['{"<b onclick=x>": "<script>window.stolen=1"}'] * 2),
            test=1,
        ),
    ]
    for loop in loops:
        context = browser.new_context()
        with pages.served(loop) as page:
            tab = opened(context, page.address())
            for view in ("history", "progress", "agree", "grid", "label"):
                if view == "label":
                    loop.record(loop.take("ann")[0], "comment", annotator="ann", comment=SCRIPT)
                tab.goto(f"http://127.0.0.1:{page.port}/#{view}")
                tab.wait_for_timeout(150)
                for frame in tab.frames:
                    assert frame.evaluate("() => window.stolen") is None
            assert tab.locator("main script, main [onerror], main [onclick]").count() == 0
            assert tab.locator("iframe:not([sandbox=''])").count() == 0
            # Nor does it when it is opened as a page of its own.
            item = page.post("item", {"sample": loop.samples().ids[0]})["item"]
            if "media" in item:
                alone = context.new_page()
                alone.goto(f"http://127.0.0.1:{page.port}/{item['media']}")
                assert alone.evaluate("() => window.stolen") is None
                assert alone.evaluate("() => window.origin") == "null"
            assert tab.errors == []
        context.close()


def made(folder, name):
    (folder / name).mkdir()
    return folder / name


@pytest.mark.slow
def test_a_broken_image_says_so_and_can_be_skipped(tmp_path, context):
    samples = pages.files_of(tmp_path, {f"{i}.png": b"no picture" for i in range(4)})
    (samples.root / "1.png").unlink()
    loop = pages.loop_of(tmp_path, samples, test=3)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        for _ in range(2):
            tab.wait_for_selector(".item .broken")
            press(tab, "s")
        assert [e.action for e in loop.events()] == ["skip"] * 2


@pytest.mark.slow
def test_training_is_started_and_shows_the_next_batch(tmp_path, context):
    import sys

    loop = pages.loop_of(tmp_path, test=1)
    code = (
        "import labelnext, numpy as np; "
        f"loop = labelnext.open_loop({str(loop.folder)!r}); n = len(loop.samples().ids); "
        "loop.next(labelnext.Pool(features=np.eye(n), ids=loop.samples().ids), 5); print('chosen')"
    )
    with pages.served(loop, train=[sys.executable, "-c", code]) as page:
        tab = opened(context, page.address())
        tab.keyboard.press("1")
        tab.get_by_role("button", name="Choose the first batch").click()
        tab.wait_for_selector(".item", timeout=30_000)
        tab.wait_for_function(
            "() => document.querySelector('#people').textContent === 'Round 1 · 0 of 5'"
        )
        press(tab, "1")
        assert loop.events()[-1].round == 1
        assert tab.errors == []


VIEWS = ("label", "grid", "history", "agree", "progress", "refused", "settings", "help")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everyone_can_use_it(tmp_path, browser, scheme, monkeypatch):
    """axe-core finds no fault of WCAG 2.2 AA, in no view and at no width."""
    import axe_playwright_python

    source = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
    loop = predicted(tmp_path)
    for person, value in {"ann": "good", "bo": "bad"}.items():
        loop.record("39", "label", value, annotator=person)
        loop.record("38", "label", "good", annotator=person)
    for width in (1280, 360):
        context = browser.new_context(
            viewport={"width": width, "height": 760}, color_scheme=scheme, bypass_csp=True
        )
        with pages.served(loop) as page:
            tab = opened(context, page.address())
            press(tab, "1")
            with monkeypatch.context() as refusing:
                refusing.setattr(type(loop), "record", refuse)
                press(tab, "1")
            tab.wait_for_selector("#refused")
            tab.evaluate(source)
            for view in VIEWS:
                if view in ("settings", "help"):
                    tab.evaluate("() => document.querySelector('dialog')?.close()")
                    tab.evaluate(f"() => document.querySelector('#open-{view}').click()")
                else:
                    tab.goto(f"http://127.0.0.1:{page.port}/#{view}")
                tab.wait_for_timeout(250)
                tab.evaluate("() => document.getAnimations().forEach((one) => one.finish())")
                found = tab.evaluate(
                    "() => axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa',"
                    " 'wcag22aa', 'best-practice']})"
                )["violations"]
                faults = [(f["id"], [n["html"][:150] for n in f["nodes"]]) for f in found]
                assert faults == [], (view, width)
                assert tab.evaluate("() => document.documentElement.scrollWidth") <= width
        context.close()


@pytest.mark.slow
def test_where_nothing_is_left_it_asks_now_and_then(tmp_path, context):
    with pages.served(pages.loop_of(tmp_path, test=2)) as page:
        asked = []
        context.on("request", lambda request: asked.append(request.url))
        tab = opened(context, page.address())
        press(tab, "1")
        tab.wait_for_timeout(500)
        tab.keyboard.press("1")
        tab.wait_for_selector(".done[aria-busy=false]")
        tab.wait_for_timeout(2500)
        assert 2 <= sum(url.endswith("/api/take") for url in asked) <= 7


def test_what_is_refused_is_kept_until_it_is_corrected_or_discarded(tmp_path, context, monkeypatch):
    """A class that is gone, and a sample: the decision survives a reload, and says why."""
    loop = pages.loop_of(tmp_path, classes=["good", "bad", "odd"])
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        first = shown(tab)
        loop.change(classes=["good", "bad"])
        press(tab, "3")
        assert loop.events() == []
        until(lambda: tab.locator(".choice").count() == 2)  # it has asked which there are
        press(tab, "1")
        tab.reload()
        tab.wait_for_selector("body[data-shown]")
        assert shown(tab) != first  # it waits to be corrected
        assert tab.inner_text("#refused") == "⚠ 1 not taken"
        tab.click("#refused")
        row = tab.locator(".history li")
        assert "odd" in row.inner_text()
        assert "not a class" in row.inner_text() or "'odd'" in row.inner_text()
        tab.get_by_role("button", name="Send again").click()
        tab.wait_for_timeout(200)
        assert len(loop.events()) == 1
        tab.get_by_role("button", name="Correct").click()
        tab.wait_for_selector("#mending .notice")
        assert shown(tab) == first
        press(tab, "2")
        until(lambda: len(loop.events()) == 2)
        assert str(loop.sample(loop.events()[-1].sample)["key"]) == first
        assert tab.locator("#refused").is_hidden()
        loop.change(classes=["good", "bad", "new"])
        loop.change(classes=["bad", "good"])
        monkeypatch.setattr(type(loop), "record", refuse)
        press(tab, "1")
        monkeypatch.undo()
        tab.click("#refused")
        tab.on("dialog", lambda dialog: dialog.accept())
        tab.get_by_role("button", name="Discard").click()
        tab.wait_for_selector(".page .empty")
        assert tab.locator("#refused").is_hidden()
        assert tab.evaluate("Object.keys(localStorage).filter((n) => n.includes(':out:'))") == []
        assert tab.errors == []


def refuse(*_, **__):
    raise ValueError("No sample has that id.")


@pytest.mark.slow
def test_whoever_takes_back_what_was_refused_takes_back_nothing_else(tmp_path, context):
    loop = pages.loop_of(tmp_path, classes=["good", "bad", "odd"])
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        press(tab, "1")
        context.set_offline(True)
        loop.change(classes=["good", "bad"])
        press(tab, "3")
        press(tab, "u")
        context.set_offline(False)
        tab.wait_for_selector("#saved:not(.offline)")
        assert [(e.action, e.undone) for e in loop.events()] == [("label", False)]
        assert tab.locator("#refused").is_hidden()
        assert tab.errors == []


@pytest.mark.slow
def test_a_request_that_is_too_large_is_sent_in_parts(tmp_path, context):
    loop = pages.loop_of(tmp_path)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        context.set_offline(True)
        for _ in range(30):
            tab.keyboard.press("c")
            tab.keyboard.insert_text("字" * 4000)
            tab.keyboard.press("Control+Enter")
        context.set_offline(False)
        until(lambda: len(loop.events()) == 30)
        tab.wait_for_selector("#saved:not(.offline)")


@pytest.mark.slow
def test_a_tab_of_somebody_else_sends_nothing_under_a_new_name(tmp_path, context):
    loop = pages.loop_of(tmp_path)
    with pages.served(loop) as page:
        ann = opened(context, page.address("ann"))
        press(ann, "1")
        bo = opened(context, page.address("bo"))
        press(bo, "2")
        ann.keyboard.press("1")
        ann.wait_for_selector("[role=alert]")
        assert "as bo" in ann.inner_text("[role=alert]")
        assert "1 decision of yours is kept" in ann.inner_text("[role=alert]")
        again = opened(context, page.address("ann"))
        until(lambda: len(loop.events()) == 3)
        assert [(e.annotator, e.value) for e in loop.events()] == [
            *(("ann", "good"), ("bo", "bad"), ("ann", "good")),
        ]
        assert again.errors == []


@pytest.mark.slow
def test_keys_of_other_layouts_and_words_that_are_composed(tmp_path, context):
    """Digits of a French keyboard, Cyrillic letters; Enter that ends a word is no decision."""
    loop = pages.loop_of(tmp_path)
    names = [f"класс {i}" for i in range(12)]
    (tmp_path / "many").mkdir()
    many = pages.loop_of(tmp_path / "many", classes=names)
    send = """([to, given]) => document.querySelector(to).dispatchEvent(
        new KeyboardEvent("keydown", {bubbles: true, cancelable: true, ...given}))"""
    with pages.served(loop) as page:
        tab = opened(context, page.address())

        def type_key(key, code, **more):
            tab.evaluate(send, ["body", {"key": key, "code": code, **more}])

        typed = [("é", "Digit2"), ("Process", "Digit1"), ("г", "KeyU"), ("1", "Numpad1")]
        for key, code in typed:  # "г" is where u is
            before = shown(tab)
            type_key(key, code)
            tab.wait_for_function("was => document.body.dataset.shown !== was", arg=before)
        for more in ("repeat", "ctrlKey", "isComposing"):
            type_key("1", "Digit1", **{more: True})
        type_key("!", "Digit1", shiftKey=True)
        tab.wait_for_timeout(300)
        actions = [e.value or e.action for e in loop.events()]
        assert actions == ["bad", "good", "undo", "good"]
    with pages.served(many) as page:
        tab = opened(context, page.address())
        tab.keyboard.insert_text("класс 11")
        tab.evaluate(send, ["#search", {"key": "Enter", "code": "Enter", "isComposing": True}])
        tab.wait_for_timeout(100)
        assert many.events() == []
        press(tab, "Enter")
        assert [e.value for e in many.events()] == ["класс 11"]


@pytest.mark.slow
def test_nobody_decides_on_what_has_just_come(tmp_path, context):
    """A second press of a worn key, or of a mouse, falls on a sample that nobody has seen."""
    loop = pages.loop_of(tmp_path)
    soon = pages.AT_ONCE.replace(" 0", " 1000")
    with pages.served(loop) as page:
        tab = opened(context, page.address(), soon)
        for _ in range(8):
            n_before = len(loop.events())
            tab.wait_for_timeout(1100)
            start = time.monotonic()
            press(tab, "1")
            tab.keyboard.press("1")
            tab.click(".choice >> nth=0", click_count=2)
            if time.monotonic() - start < 0.9:  # else the machine is busy, and nothing is known
                break
        tab.wait_for_timeout(300)
        assert len(loop.events()) == n_before + 1


@pytest.mark.slow
def test_time_in_a_hidden_tab_is_no_time_spent(tmp_path, context):
    """Nor is it taken off the time of what came while the tab was hidden: that was below 0."""
    loop = pages.loop_of(tmp_path)
    hide = """(is) => {
        Object.defineProperty(document, "hidden", {value: is, configurable: true});
        dispatchEvent(new Event("visibilitychange"));
    }"""
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        tab.evaluate(hide, True)
        tab.wait_for_timeout(600)
        press(tab, "1")
        tab.evaluate(hide, False)
        press(tab, "1")
        assert [e.milliseconds < 500 for e in loop.events()][1:] == [True]


@pytest.mark.slow
def test_what_was_settled_or_flagged_is_taken_back_where_one_is(tmp_path, context):
    loop = pages.loop_of(tmp_path, overlap=1.0)
    for person, value in {"ann": "good", "bo": "bad"}.items():
        loop.record(loop.take(person, 1)[0], "label", value, annotator=person)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        now = shown(tab)
        tab.keyboard.press("f")
        tab.wait_for_selector(".mark")
        tab.keyboard.press("u")
        tab.wait_for_selector(".mark", state="detached")
        assert shown(tab) == now
        tab.evaluate("location.hash = 'agree'")
        tab.wait_for_selector(".votes")
        tab.keyboard.press("2")
        tab.wait_for_selector(".page .empty")
        tab.keyboard.press("u")
        tab.wait_for_selector(".votes")
        assert loop.events()[-1].action == "undo"
        assert tab.errors == []


@pytest.mark.slow
def test_waiting_takes_the_focus_from_nobody(tmp_path, context):
    loop = pages.loop_of(tmp_path, test=1)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        tab.keyboard.press("1")
        tab.get_by_role("button", name="Choose the first batch").focus()
        tab.wait_for_timeout(4500)
        assert tab.evaluate("document.activeElement.id") == "train"


@pytest.mark.slow
def test_a_person_who_labels_no_more_is_told(tmp_path, context):
    loop = pages.loop_of(tmp_path)
    with pages.served(loop) as page:
        port, address = page.port, page.address()
        tab = opened(context, address)
        press(tab, "1")
    with pages.served(loop, people=["bo"], port=port):
        tab.keyboard.press("1")
        tab.wait_for_selector("[role=alert]")
        assert "1 decision of yours" in tab.inner_text("[role=alert]")
        tab.wait_for_timeout(2500)
        assert tab.locator("[role=alert]").is_visible()
        assert tab.errors == []
    with pages.served(loop, port=port):
        opened(context, address)
        until(lambda: len(loop.events()) == 2)


@pytest.mark.slow
def test_a_round_that_somebody_closes_while_others_label(tmp_path, browser):
    loop = pages.loop_of(tmp_path)
    contexts = [browser.new_context() for _ in range(2)]
    with pages.served(loop) as page:
        ann, bo = (opened(c, page.address(p)) for c, p in zip(contexts, ("ann", "bo"), strict=True))
        press(ann, "1")
        loop.close()
        for key in "1212":  # what they hold they may say
            press(bo, key)
        assert len(labels(loop, "bo")) == 4
        for tab in (ann, bo):
            while not tab.locator(".done").count():
                tab.keyboard.press("1")
                tab.wait_for_timeout(30)
            tab.wait_for_selector("text=No batch is waiting")
        assert "Choose a batch" in bo.inner_text(".done")
        assert ann.errors == bo.errors == []
    for context in contexts:
        context.close()


@pytest.mark.slow
def test_three_tabs_of_one_person_to_the_end(tmp_path, context):
    loop = pages.loop_of(tmp_path)
    with pages.served(loop) as page:
        tabs = [opened(context, page.address())]
        tabs += [opened(context, f"http://127.0.0.1:{page.port}/") for _ in range(2)]
        assert len({shown(tab) for tab in tabs}) == 3

        def is_dropped_by_all():
            said = {str(loop.sample(name)["key"]) for name in labels(loop)}
            return said.isdisjoint(shown(tab) for tab in tabs)

        for tab in itertools.cycle(tabs):
            if len(labels(loop)) == 30:
                break
            tab.keyboard.press("1")
            tab.wait_for_timeout(100)
            until(is_dropped_by_all)  # a person goes from tab to tab
        assert all(len(values) == 1 for values in labels(loop).values())
        for tab in tabs:
            tab.wait_for_selector(".done[aria-busy=false]")
            assert tab.errors == []


@pytest.mark.slow
def test_back_and_forward_and_a_decision_that_is_left_as_it_was(tmp_path, context):
    loop = pages.loop_of(tmp_path)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        press(tab, "1")
        now = shown(tab)
        tab.click("#views a[href='#history']")
        tab.get_by_role("button", name=re.compile("^Change")).click()
        tab.wait_for_selector("#mending .notice")
        tab.go_back()
        tab.wait_for_selector(".history")
        tab.go_forward()
        tab.wait_for_selector("#mending .notice")
        tab.keyboard.press("Escape")
        tab.wait_for_selector("#mending .notice", state="detached")
        assert shown(tab) == now
        assert len(loop.events()) == 1
        assert tab.errors == []


@pytest.mark.slow
def test_the_clock_of_a_browser_says_nothing_of_the_order(tmp_path, context):
    loop = pages.loop_of(tmp_path)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        tab.route("**/api/record", lambda route: route.abort())
        for key in "12":
            press(tab, key)
        tab.close()
        later = context.new_page()
        later.add_init_script("Date.now = () => 1000")
        later.add_init_script(pages.AT_ONCE)
        later.route("**/api/record", lambda route: route.abort())
        later.goto(f"http://127.0.0.1:{page.port}/")
        later.wait_for_selector("body[data-shown]")
        press(later, "1")
        press(later, "u")
        later.unroute("**/api/record")
        until(lambda: len(loop.events()) == 4)
        assert [e.value or e.action for e in loop.events()] == ["good", "bad", "good", "undo"]


@pytest.mark.slow
def test_a_phone_is_tapped_and_text_is_selected(tmp_path, browser):
    loop = pages.loop_of(tmp_path)
    context = browser.new_context(
        viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True
    )
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        first = shown(tab)
        tab.dblclick(".words")
        assert tab.evaluate("getSelection().toString()").strip()
        tab.keyboard.press("Control+c")
        assert shown(tab) == first
        places = tab.evaluate("document.querySelector('.choices').getBoundingClientRect().top")
        tab.tap(".choice >> nth=1")
        tab.wait_for_function("was => document.body.dataset.shown !== was", arg=first)
        # Classes stay where the thumb is.
        again = tab.evaluate("document.querySelector('.choices').getBoundingClientRect().top")
        assert again == places
        assert [e.value for e in loop.events()] == ["bad"]
    context.close()


@pytest.mark.slow
def test_a_text_as_long_as_a_book_is_shown_whole_and_at_once(tmp_path, context):
    text = "".join(f"Line {i} 🙂 字\n\n  and so on; " * (i % 7) for i in range(20_000)) + "x" * 9000
    loop = pages.loop_of(tmp_path, [text, text, text], test=2)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        assert tab.text_content(".words") == text
        assert tab.locator(".part").count() > 100
        tab.keyboard.press("PageDown")
        tab.wait_for_function("() => document.querySelector('.item').scrollTop > 100")
        press(tab, "1")
        assert tab.errors == []


@pytest.mark.slow
def test_what_is_skipped_comes_back_until_it_is_labelled(tmp_path, context):
    loop = pages.loop_of(tmp_path, test=2)
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        first = shown(tab)
        for _ in range(4):
            press(tab, "s")
        assert shown(tab) == first
        press(tab, "1")
        tab.keyboard.press("s")  # the only one left
        tab.wait_for_timeout(300)
        until(lambda: shown(tab))
        tab.keyboard.press("2")
        tab.wait_for_selector(".done[aria-busy=false]")
        assert sorted(v for [v] in labels(loop).values()) == ["bad", "good"]
        assert tab.errors == []


OUTSIDE = """() => [...document.querySelectorAll(".pane .item, .choice, .act")]
    .filter((one) => one.getBoundingClientRect().bottom > innerHeight)
    .map((one) => one.textContent.slice(0, 30))"""


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(360, 740), (768, 1024), (1280, 720), (1920, 1080)])
def test_what_one_decides_with_is_in_sight_and_a_long_text_says_that_it_goes_on(
    tmp_path, browser, width, height
):
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(10_000)
    texts = [" ".join(f"word{i}" for i in range(n)) for n in (5, 900, 5)]
    classes = [f"class number {i}" for i in range(6)]
    loop = pages.loop_of(tmp_path, texts, classes=classes, test=2)
    assert "word800" in "".join(loop.sample(pick["id"])["content"] for pick in loop.picks(0))
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        for _ in range(2):
            assert tab.evaluate(OUTSIDE) == []
            acts = tab.evaluate("[...document.querySelectorAll('.act')].map(one => one.offsetTop)")
            assert len({*acts}) == 1  # in one line, also on a phone
            more = tab.locator(".more > span")
            if "word800" in tab.inner_text(".item"):
                assert more.is_visible()
                tab.evaluate("document.querySelector('.item').scrollTo(0, 1e6)")
                tab.wait_for_selector(".more > span", state="hidden")
            else:
                assert more.is_hidden()
            press(tab, "1")
        assert tab.errors == []
    context.close()


@pytest.mark.slow
def test_classes_that_change_are_learnt_with_the_next_answer(tmp_path, context, monkeypatch):
    from labelnext.page._app import Page

    loop, start = pages.loop_of(tmp_path), Page.start
    monkeypatch.setattr(Page, "start", lambda *a: time.sleep(0.3) or start(*a))
    with pages.served(loop) as page:
        tab = opened(context, page.address())
        loop.change(classes=["bad", "good", "odd"])
        press(tab, "1")  # of what shows
        assert loop.events()[-1].value == "good"
        assert tab.locator(".choice").count() == 3  # before the next sample shows
        assert "The classes have changed: bad, good, odd" in tab.inner_text("#toast")
        tab.keyboard.press("1")  # nobody can have seen what it means now
        tab.wait_for_timeout(1100)
        assert len(loop.events()) == 1
        press(tab, "3")
        press(tab, "1")
        assert [e.value for e in loop.events()] == ["good", "odd", "bad"]
        assert tab.errors == []


@pytest.mark.slow
def test_the_round_of_what_shows_and_what_waits_for_a_second_person(tmp_path, context):
    loop = pages.loop_of(tmp_path, test=2, overlap=1.0)
    with pages.served(loop, people=["ann"], train=["true"]) as page:
        pool = labelnext.Pool(features=np.eye(40), ids=loop.samples().ids)
        loop.next(pool, 3, overlap=0, random_state=0)
        tab = opened(context, page.address())
        tab.wait_for_function("document.querySelector('#people').textContent.startsWith('Test')")
        press(tab, "1")
        press(tab, "1")
        tab.wait_for_function("document.querySelector('#people').textContent.startsWith('Round')")
        assert tab.inner_text("#people") == "Round 1 · 0 of 3"
        assert "1 of 3" in tab.inner_text("#why")
        press(tab, "1")
        assert tab.inner_text("#people") == "Round 1 · 1 of 3"
        press(tab, "1")
        tab.keyboard.press("1")
        tab.wait_for_selector("text=2 samples wait for a second person")
        assert "--people ann,NAME" in tab.inner_text(".done")
        assert "are with others" not in tab.inner_text(".done")
        assert tab.get_by_role("button", name="Train and choose the next batch").count()
        assert tab.errors == []
