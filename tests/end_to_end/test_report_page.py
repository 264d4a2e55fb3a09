"""A study's report in a real browser: linked charts, the table, the content security policy."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from reported import EVIL, MARKED, record, record_values
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from stores import empty_store, store_at

import kerastudy as ks

# Returns the label, place and opacity of each mark of a chart.
MARKS = """
    return [...document.querySelectorAll(`[data-chart=${arguments[0]}] .mark-symbol path`)].map(
        (path) => {
            const box = path.getBoundingClientRect();
            return {
                label: path.getAttribute("aria-label") ?? "",
                x: box.x + box.width / 2,
                y: box.y + box.height / 2,
                opacity: Number(path.getAttribute("opacity") ?? 1),
            };
        },
    );
"""
SHOWN = """
    return [...document.querySelectorAll("#trials tbody tr")]
        .filter((row) => !row.hidden)
        .map((row) => Number(row.cells[0].textContent));
"""

SHARES_ARE_WHOLE = """
    const chart = document.querySelector("[data-chart=importance] svg");
    const end = (element) => element.getBoundingClientRect().right;
    return [...chart.querySelectorAll("text")].every((text) => end(text) <= end(chart));
"""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> ks.StudyResults:
    store = empty_store(tmp_path_factory.mktemp("page") / "store")
    record(store_at(store), "<script>alert(2)", 40, notes=EVIL)
    return ks.read_study("<script>alert(2)", store=store)


@pytest.fixture(scope="module")
def page(browser: webdriver.Chrome, history: ks.StudyResults) -> Iterator[webdriver.Chrome]:
    """The browser, which shows the report with all charts drawn."""
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(history.report().as_uri())
    wait(browser, "return Number(document.body.dataset.drawn)", "the charts")
    yield browser
    for kind in ("browser", "performance"):
        browser.get_log(kind)


def wait(page: webdriver.Chrome, script: str, what: str) -> Any:
    return WebDriverWait(page, 30).until(lambda b: b.execute_script(script), f"waited for {what}")


def marks(page: webdriver.Chrome, chart: str) -> list[dict[str, Any]]:
    """Returns the marks of a chart that stand for trials, with the trials' numbers."""
    chart_marks = page.execute_script(MARKS, chart)
    numbered = [(mark, re.search(r"trial: (\d+)", mark["label"])) for mark in chart_marks]
    return [{**mark, "trial": int(match[1])} for mark, match in numbered if match]


def in_sight(page: webdriver.Chrome, chart: str) -> None:
    place = page.find_element(By.CSS_SELECTOR, f"[data-chart={chart}]")
    page.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", place
    )


def test_dragging_in_one_chart_chooses_in_all_and_in_the_table(
    page: webdriver.Chrome, history: ks.StudyResults
) -> None:
    focus = history.best.number
    in_sight(page, "history")
    valued = {trial.number for trial in history.trials if trial.best is not None}
    points = [mark for mark in marks(page, "history") if mark["trial"] in valued]
    across, down = (sorted(point[axis] for point in points) for axis in "xy")
    # The drag stays within the chart. Outside of the chart, dragging does nothing.
    left, right, top, bottom = across[5] - 3, across[-6] + 3, down[2] + 1, down[20] + 1
    actions = ActionChains(page)
    actions.w3c_actions.pointer_action.move_to_location(int(left), int(top))
    actions.w3c_actions.pointer_action.pointer_down()
    actions.w3c_actions.pointer_action.move_to_location(int(left) + 40, int(top) + 20)
    actions.w3c_actions.pointer_action.move_to_location(int(right), int(bottom))
    actions.w3c_actions.pointer_action.pointer_up()
    actions.perform()
    wait(page, "return document.body.classList.contains('choosing')", "trials to be chosen")
    inside = {
        point["trial"]
        for point in points
        if int(left) <= point["x"] <= int(right) and int(top) <= point["y"] <= int(bottom)
    }
    assert 3 < len(inside) < 25
    assert set(page.execute_script(SHOWN)) == inside
    assert f"{len(inside)} of 40 trials" in page.find_element(By.ID, "bar").text
    for chart in ("history", "slice_p2"):
        clear = {mark["trial"] for mark in marks(page, chart) if mark["opacity"] > 0.5}
        # The trial in focus keeps its ring.
        assert clear ^ inside <= {focus}, chart
    page.find_element(By.ID, "clear").click()
    wait(page, "return !document.body.classList.contains('choosing')", "all to be chosen")
    assert len(page.execute_script(SHOWN)) == 40


def test_a_click_puts_a_trial_in_focus(page: webdriver.Chrome, history: ks.StudyResults) -> None:
    """The click is by mouse in a chart, or by the keyboard in the table."""
    focus = page.find_element(By.ID, "focus")
    assert f"Trial {history.best.number}" in focus.text
    in_sight(page, "history")
    mark = next(mark for mark in marks(page, "history") if mark["trial"] == 11)
    actions = ActionChains(page)
    actions.w3c_actions.pointer_action.move_to_location(int(mark["x"]), int(mark["y"]))
    actions.w3c_actions.pointer_action.click()
    actions.perform()
    wait(page, "return document.querySelector('#focus h2').textContent === 'Trial 11'", "trial 11")
    button = page.find_element(By.CSS_SELECTOR, "#t8 button")
    button.send_keys(Keys.ENTER)
    wait(page, "return document.querySelector('#focus h2').textContent === 'Trial 8'", "trial 8")
    trial = history.trial(8)
    for name, value in trial.spec.values.items():
        assert name in focus.text
        assert (f"{value:.6g}" if isinstance(value, float) else str(value)) in focus.text
    assert f"study.reproduce({trial.number}, " in focus.find_element(By.TAG_NAME, "code").text
    count = "[data-chart=one_curve] .mark-symbol.role-mark path"
    element_count = wait(page, f"return document.querySelectorAll('{count}').length", "its curve")
    # The chart has a curve on validation data and one on training data.
    assert element_count == 2 * len(history.curve(trial))


def test_a_list_and_the_keyboard_do_what_the_mouse_does(
    page: webdriver.Chrome, history: ks.StudyResults
) -> None:
    pruned = {trial.number for trial in history.trials if trial.state == "pruned"}
    assert 3 < len(pruned) < 10
    choose = page.find_element(By.ID, "choose")
    choose.send_keys("pruned")
    wait(page, "return document.body.classList.contains('choosing')", "trials to be chosen")
    trial_numbers = page.execute_script(SHOWN)
    assert set(trial_numbers) == pruned
    for chart in ("history", "slice_p0"):
        clear = {mark["trial"] for mark in marks(page, chart) if mark["opacity"] > 0.5}
        assert pruned <= clear and len(clear - pruned) <= 1, chart
    # Tab reaches one row, the arrows reach the others.
    reached = page.find_elements(By.CSS_SELECTOR, "#trials button[tabindex='0']")
    assert [int(button.text) for button in reached] == trial_numbers[:1]
    reached[0].send_keys(Keys.ARROW_DOWN)
    page.switch_to.active_element.send_keys(Keys.END)
    page.switch_to.active_element.send_keys(Keys.ARROW_UP)
    page.switch_to.active_element.send_keys(Keys.ENTER)
    heading = page.find_element(By.CSS_SELECTOR, "#focus h2")
    assert heading.text == f"Trial {trial_numbers[-2]}"
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert len(page.execute_script(SHOWN)) == 40
    assert choose.get_attribute("value") == "0"


def test_behind_each_chart_is_a_table(page: webdriver.Chrome, history: ks.StudyResults) -> None:
    script = """
        return [...document.querySelectorAll("[data-chart]")].map((place) => {
            const behind = place.nextElementSibling;
            behind.open = true;
            return [place.dataset.chart, behind.querySelector("summary").ariaLabel];
        });
    """
    named = page.execute_script(script)
    full = """
        return [...document.querySelectorAll(".behind")].every(
            (each) => each.querySelector("td")?.textContent,
        );
    """
    wait(page, full, "the tables")
    assert len({label for _, label in named}) == len(named) > 10
    read = """
        return [...document.querySelectorAll(`[data-chart=${arguments[0]}] + .behind tr`)].map(
            (row) => [...row.cells].map((cell) => cell.textContent),
        );
    """
    head, *rows = page.execute_script(read, "history")
    assert len(rows) == 40
    for row in (dict(zip(head, cells, strict=True)) for cells in rows):
        trial = history.trial(int(row["trial"]))
        assert row["state"] == trial.state
        value = float(row["val_accuracy"]) if row["val_accuracy"] else None
        assert value == (trial.best and pytest.approx(trial.best.value, rel=1e-5))
    head, *rows = page.execute_script(read, "slice_p1")
    for row in (dict(zip(head, cells, strict=True)) for cells in rows):
        active = history.trial(int(row["trial"])).spec.values.get("momentum")
        assert (float(row["momentum"]) if row["momentum"] else None) == (
            active and pytest.approx(active, rel=1e-4)
        )
    page.execute_script("document.querySelectorAll('.behind').forEach((each) => each.open = false)")


def test_charts_are_saved_with_their_colours(page: webdriver.Chrome) -> None:
    script = """
        const done = arguments[0], kept = [], make = URL.createObjectURL.bind(URL);
        URL.createObjectURL = (blob) => (kept.push(blob), make(blob));
        HTMLAnchorElement.prototype.click = async function () {
            saved.push(this.download);
            if (saved.length === 2) {
                URL.createObjectURL = make;
                delete HTMLAnchorElement.prototype.click;
                const png = kept.find((blob) => blob.type === "image/png");
                done([saved.sort(), await kept[0].text(), png.size]);
            }
        };
        const saved = [];
        const behind = document.querySelector("[data-chart=history] + .behind");
        behind.querySelectorAll("button").forEach((each) => each.click());
    """
    names, svg, size = page.execute_async_script(script)
    assert names == ["history.png", "history.svg"] and size > 10_000
    assert "var(" not in svg and re.search("#[0-9a-f]{6}", svg)


def test_every_chart_is_one_picture_with_a_description(page: webdriver.Chrome) -> None:
    """Screen readers read the description. Texts of users are not run as scripts."""
    charts = page.find_elements(By.CSS_SELECTOR, "[data-chart]")
    assert len(charts) > 10
    for chart in charts:
        assert chart.get_attribute("role") == "img" and len(chart.get_attribute("aria-label")) > 20
        mark = chart.find_elements(By.CSS_SELECTOR, "svg .role-mark path, svg .role-mark text")
        assert mark, chart.get_attribute("data-chart")
        assert not chart.find_elements(By.CSS_SELECTOR, "a, button, summary, [tabindex]")
        assert chart.find_elements(By.CSS_SELECTOR, "[aria-hidden=true] svg, svg[aria-hidden=true]")
    assert page.title != "evil" and page.execute_script("return document.scripts.length") == 3
    assert page.find_element(By.TAG_NAME, "h1").text == "<script>alert(2)"
    table = page.find_element(By.CSS_SELECTOR, "#trials table").get_attribute("textContent")
    assert MARKED in table and EVIL in table


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
def test_nothing_is_wider_than_the_screen(page: webdriver.Chrome, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        wide = page.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width
        wait(page, SHARES_ARE_WHOLE, "the chart of importances to show all its texts")
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize(("media", "dark"), [("screen", True), ("print", False)])
def test_dark_mode_is_for_screens_only(page: webdriver.Chrome, media: str, dark: bool) -> None:
    preferred = {"name": "prefers-color-scheme", "value": "dark"}
    emulated = {"media": media, "features": [preferred]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", emulated)
    try:
        ground = page.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", ground))) < 64) is dark
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_the_first_number_is_the_one_to_expect(page: webdriver.Chrome) -> None:
    """The value to expect is unknown, as no scores of samples are recorded. The page says so."""
    first = page.find_element(By.CSS_SELECTOR, ".first")
    assert "unknown" in str(first.get_attribute("class"))
    assert "as the search saw it, which promises too much" in first.text
    commands = page.find_elements(By.CSS_SELECTOR, ".next code")
    assert len(commands) == 1


def test_no_error_and_no_request(page: webdriver.Chrome) -> None:
    """The tests above caused no message and no request, and the page's policy forbids requests."""
    assert [e["message"] for e in page.get_log("browser")] == []
    sent = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [
        urlsplit(message["params"]["request"]["url"]).scheme
        for message in sent
        if message["method"] == "Network.requestWillBeSent"
    ]
    # The browser's own pages have the scheme "chrome".
    assert set(asked) <= {"file", "data", "blob", "chrome"}
    # The policy allows no scripts but the page's own.
    directives = page.execute_async_script(
        """
        const done = arguments[0], refused = new Set(), image = new Image();
        document.addEventListener("securitypolicyviolation", (e) => {
            if (refused.add(e.effectiveDirective).size === 3) done([...refused].sort());
        });
        fetch("http://127.0.0.1:9/").catch(() => undefined);
        image.src = "http://127.0.0.1:9/x.png";
        document.body.append(Object.assign(document.createElement("script"), { text: "evil()" }));
        """
    )
    assert directives == ["connect-src", "img-src", "script-src-elem"]


@pytest.mark.parametrize(("direction", "sign"), [("min", "≥"), ("max", "≤")])
def test_the_edge_of_an_axis_says_that_worse_values_are_there(
    browser: webdriver.Chrome, tmp_path: Path, direction: Any, sign: str
) -> None:
    turn = -1 if direction == "max" else 1
    objective = ks.Objective("val_score", direction)
    values = [turn * value for value in (9, 0.3, 0.14, 0.13, *[0.12] * 7, 0.105, 0.1, *[0.11] * 3)]
    store = empty_store(tmp_path / "store")
    record_values(store_at(store), "edge", objective, values)
    browser.get(ks.read_study("edge", store=store).report().as_uri())
    wait(browser, "return Number(document.body.dataset.drawn)", "the charts")
    script = """
        return [...document.querySelectorAll(`[data-chart=${arguments[0]}] text`)].map(
            (each) => each.textContent,
        );
    """
    for chart in ("history", "curves", "slice_p0"):
        texts = browser.execute_script(script, chart)
        (marked,) = {text for text in texts if text[:1] in ("≤", "≥")}
        assert marked[0] == sign, chart
        edge = turn * float(marked[1:].replace("−", "-"))
        assert 0.14 <= edge < 0.3, "the mark is at the end where worse values are"
    text = browser.find_element(By.TAG_NAME, "main").text
    assert f"2 of {len(values)} trials are far off, and drawn at the edge." in text
    # The line of the best value so far begins at the third trial, the first one within the axis.
    line = "[data-chart=history] .mark-line path"
    box = browser.execute_script(f"""
        const box = document.querySelector("{line}").getBBox();
        return [box.x, box.x + box.width];
    """)
    assert box[0] / box[1] == pytest.approx(2 / (len(values) - 1), rel=0.02)
