"""Launch, look, reproduce: what the README promises, on the study that comes along.

The first screen and the page have one number and one next step.
"""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from in_mlflow import InMlflow
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from stores import history_at
from user_commands import as_json, kerastudy_here

import kerastudy as ks

# The texts of a page in the order in which people read them, with the sizes of their letters.
TEXTS = """
    const walk = document.createTreeWalker(document.querySelector(".page"), NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walk.nextNode()) {
        const text = walk.currentNode.textContent.trim(), place = walk.currentNode.parentElement;
        if (text && place.checkVisibility() && !place.closest("svg"))
            texts.push([text, parseFloat(getComputedStyle(place).fontSize)]);
    }
    return texts;
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The folder of a study of 20 trials, with spaces and Korean letters, and its document."""
    folder = tmp_path_factory.mktemp("내 연구 폴더") / "my project"
    folder.mkdir()
    options = ("--executor", "in-process", "--trials", "20", "--verify", "off", "--json")
    document = as_json(kerastudy_here(folder, "launch", "digits", *options))
    kerastudy_here(folder, "report", "digits", "--no-open")
    return folder, document


@pytest.fixture(scope="module", params=[(1500, 1000), (390, 844)], ids=["desk", "telephone"])
def page(
    browser: webdriver.Chrome, digits: tuple[Path, Any], request: pytest.FixtureRequest
) -> Iterator[tuple[webdriver.Chrome, int]]:
    """The browser at the drawn report, and the width of the screen."""
    folder, _ = digits
    width, height = request.param
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get((folder / "kerastudy-store/digits/report.html").as_uri())
        script = "return Number(document.body.dataset.drawn)"
        WebDriverWait(browser, 60).until(lambda b: b.execute_script(script), "the charts")
        yield browser, width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_report_begins_with_the_number_to_expect(
    page: tuple[webdriver.Chrome, int], digits: tuple[Path, Any]
) -> None:
    browser, width = page
    expected = digits[1]["verdict"]["expected"]
    texts = browser.execute_script(TEXTS)
    numbers = [text for text in texts if re.fullmatch(r"[\d.]+", text[0])]
    assert float(numbers[0][0]) == pytest.approx(expected["value"], abs=0.001)
    assert numbers[0][1] == max(size for _, size in texts) > 40
    page_text = " ".join(text for text, _ in texts)
    assert f"{expected['low']:.3f} to {expected['high']:.3f}" in page_text
    # Beside this number are the default's value and the gain. The best seen value is smaller.
    default = next(row for row in digits[1]["all"] if row["trial"] == 0)
    best = digits[1]["best"]["value"]
    for phrase in (f"{default['value']:.3f} with the default", "Tuning gains about", f"{best:.3f}"):
        assert phrase in page_text
        assert all(size < 20 for text, size in texts if phrase in text), phrase
    commands = browser.find_elements(By.CSS_SELECTOR, "header code")
    assert [command.text for command in commands] == ["kerastudy confirm digits"]
    screen = browser.execute_script("return innerHeight")
    assert commands[0].location["y"] < screen
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_show_says_the_same_and_shows_the_champions_layers(digits: tuple[Path, Any]) -> None:
    folder, document = digits
    expected, best = document["verdict"]["expected"], document["best"]
    lines = kerastudy_here(folder, "show", "digits", COLUMNS="80").stdout.splitlines()
    interval = f"({expected['low']:.3f} to {expected['high']:.3f} at 95 %)"
    assert lines[1] == (
        f"expect     {expected['value']:.3f} {interval}: accuracy of trial {best['trial']} on "
        "new data"
    )
    assert [line.strip() for line in lines if "kerastudy " in line and "look" not in line] == [
        "kerastudy ui digits",
        *document["next"],
    ]
    assert document["next"] == ["kerastudy confirm digits"]
    model = as_json(kerastudy_here(folder, "show", "digits", "--model", "--json"))
    assert "Total params: " in model["summary"] and "(Dense)" in model["summary"]
    assert model["champion"].startswith(f"trial {best['trial']}: models:/digits@champion")


def test_the_best_trial_is_reproduced_in_a_new_process_wherever_the_store_is(
    digits: tuple[Path, Any], tmp_path: Path
) -> None:
    folder, document = digits
    moved = tmp_path / "옮긴 곳"
    shutil.copytree(folder / "kerastudy-store", moved)
    store = ("--store", str(moved), "--json")
    shutil.move(folder / "kerastudy-store", folder / "hidden")
    try:
        again = as_json(kerastudy_here(tmp_path, "reproduce", "digits", *store))
        summary = as_json(kerastudy_here(tmp_path, "show", "digits", *store))
        in_mlflow = InMlflow(history_at(moved, "digits"))
        mlflow.set_tracking_uri(summary["tracking_uri"])
        model = mlflow.keras.load_model("models:/digits@champion")
        recorded = {
            "run": in_mlflow.run(summary["best"]["uuid"]).data.tags["kerastudy.verified"],
            "version": in_mlflow.champion.tags["kerastudy.verified"],
            "note": in_mlflow.parent.data.tags["mlflow.note.content"],
        }
    finally:
        mlflow.set_tracking_uri(None)
        shutil.move(folder / "hidden", folder / "kerastudy-store")
    best = document["best"]
    assert (again["identical"], again["trainer"]) == (True, "plain")
    assert (again["trial"], again["epochs"]) == (best["trial"], best["epochs"])
    assert {*again["weights_sha256"].values()} == {best["weights_sha256"]}
    assert len(best["weights_sha256"]) == 64
    assert again["environment_differences"] == []
    assert Path(summary["best"]["checkpoint"]).is_relative_to(moved)
    # This result is recorded where people look.
    day = time.strftime("%Y-%m-%d")
    sentence = f"reproduced bit for bit by model.fit, all {best['epochs']} epochs, on {day}"
    assert summary["best"]["verified"] == sentence
    assert recorded["run"] == recorded["version"] == sentence
    assert sentence in recorded["note"] and "kerastudy reproduce" not in recorded["note"]
    text = kerastudy_here(tmp_path, "show", "digits", "--store", moved, COLUMNS="200").stdout
    assert re.search(rf"^checked +{sentence}$", text, re.M) and "kerastudy reproduce" not in text
    part = ks.datasets.digits().load().validation
    value = model.evaluate(part.x, part.y, batch_size=64, verbose=0)[1]
    assert value == pytest.approx(best["value"], abs=1e-6)
