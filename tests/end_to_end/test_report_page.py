"""A study's report in a real browser: linked charts, its table, its policy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from reported import EVIL, MARKED, record
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tracking.history.study_history import StudyHistory
from tracking.report.write import write_report
from tracking.store.folder import create_store

# The trial, place and opacity of each mark of a chart that names its trial.
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


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> StudyHistory:
    store = create_store(tmp_path_factory.mktemp("page") / "store")
    return record(store, "<script>alert(2)", 40, notes=EVIL)


@pytest.fixture(scope="module")
def page(browser: webdriver.Chrome, history: StudyHistory) -> Iterator[webdriver.Chrome]:
    """The browser, at the drawn report."""
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(write_report(history).as_uri())
    wait(browser, "return Number(document.body.dataset.drawn)", "the charts")
    yield browser
    for kind in ("browser", "performance"):
        browser.get_log(kind)


def wait(page: webdriver.Chrome, script: str, what: str) -> Any:
    return WebDriverWait(page, 30).until(lambda b: b.execute_script(script), f"waited for {what}")


def marks(page: webdriver.Chrome, chart: str) -> list[dict[str, Any]]:
    """The marks of a chart that stand for trials, with their numbers."""
    found = page.execute_script(MARKS, chart)
    numbered = [(each, re.search(r"trial: (\d+)", each["label"])) for each in found]
    return [{**each, "trial": int(match[1])} for each, match in numbered if match]


def in_sight(page: webdriver.Chrome, chart: str) -> None:
    place = page.find_element(By.CSS_SELECTOR, f"[data-chart={chart}]")
    page.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", place
    )


def test_dragging_in_one_chart_chooses_in_all_and_in_the_table(
    page: webdriver.Chrome, history: StudyHistory
) -> None:
    assert history.best is not None
    focus = history.best.number
    in_sight(page, "history")
    valued = {trial.number for trial in history.trials if trial.best is not None}
    points = [each for each in marks(page, "history") if each["trial"] in valued]
    across, down = (sorted(each[axis] for each in points) for axis in "xy")
    # Within the chart: outside of it, dragging does nothing.
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
        each["trial"]
        for each in points
        if int(left) <= each["x"] <= int(right) and int(top) <= each["y"] <= int(bottom)
    }
    assert 3 < len(inside) < 25
    assert set(page.execute_script(SHOWN)) == inside
    assert f"{len(inside)} of 40 trials" in page.find_element(By.ID, "bar").text
    for chart in ("history", "budget", "fit", "contour"):
        clear = {each["trial"] for each in marks(page, chart) if each["opacity"] > 0.5}
        # The trial in focus keeps its ring.
        assert clear ^ inside <= {focus}, chart
    page.find_element(By.ID, "clear").click()
    wait(page, "return !document.body.classList.contains('choosing')", "all to be chosen")
    assert len(page.execute_script(SHOWN)) == 40


def test_a_click_puts_a_trial_in_focus(page: webdriver.Chrome, history: StudyHistory) -> None:
    """By mouse in a chart, and by the keyboard in the table."""
    focus = page.find_element(By.ID, "focus")
    best = history.best
    assert best is not None and f"Trial {best.number}" in focus.text
    in_sight(page, "history")
    mark = next(each for each in marks(page, "history") if each["trial"] == 11)
    actions = ActionChains(page)
    actions.w3c_actions.pointer_action.move_to_location(int(mark["x"]), int(mark["y"]))
    actions.w3c_actions.pointer_action.click()
    actions.perform()
    wait(page, "return document.querySelector('#focus h2').textContent === 'Trial 11'", "trial 11")
    button = page.find_element(By.CSS_SELECTOR, "#t8 button")
    button.send_keys(Keys.ENTER)
    wait(page, "return document.querySelector('#focus h2').textContent === 'Trial 8'", "trial 8")
    trial = history.trial(8)
    assert trial.best is not None
    for name, value in trial.spec.values.items():
        assert name in focus.text
        assert (f"{value:.6g}" if isinstance(value, float) else str(value)) in focus.text
    assert f"--trial {trial.number}" in focus.find_element(By.TAG_NAME, "code").text
    count = "[data-chart=one_curve] .mark-symbol.role-mark path"
    drawn = wait(page, f"return document.querySelectorAll('{count}').length", "its curve")
    # Of validation and of training data.
    assert drawn == 2 * len(history.curve(trial))


def test_every_chart_is_drawn_and_described(page: webdriver.Chrome) -> None:
    charts = page.find_elements(By.CSS_SELECTOR, "[data-chart]")
    assert len(charts) > 15
    for chart in charts:
        assert chart.get_attribute("role") == "img" and len(chart.get_attribute("aria-label")) > 20
        mark = chart.find_elements(By.CSS_SELECTOR, "svg .role-mark path, svg .role-mark text")
        assert mark, chart.get_attribute("data-chart")


def test_texts_stay_texts(page: webdriver.Chrome) -> None:
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
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize(("media", "dark"), [("screen", True), ("print", False)])
def test_the_dark_is_for_screens(page: webdriver.Chrome, media: str, dark: bool) -> None:
    preferred = {"name": "prefers-color-scheme", "value": "dark"}
    emulated = {"media": media, "features": [preferred]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", emulated)
    try:
        ground = page.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", ground))) < 64) is dark
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_no_error_and_no_request(page: webdriver.Chrome) -> None:
    """What the tests above did printed nothing; and the page's policy forbids a request."""
    assert [e["message"] for e in page.get_log("browser")] == []
    sent = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [
        urlsplit(each["params"]["request"]["url"]).scheme
        for each in sent
        if each["method"] == "Network.requestWillBeSent"
    ]
    assert set(asked) <= {"file", "data", "blob"}
    refused = page.execute_async_script(
        """
        const done = arguments[0];
        document.addEventListener("securitypolicyviolation", (e) => done(e.effectiveDirective));
        fetch("http://127.0.0.1:9/").catch(() => undefined);
        """
    )
    assert refused == "connect-src"
