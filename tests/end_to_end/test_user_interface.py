"""`kerastudy ui`: MLflow's UI in a real browser."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import psutil
import pytest
from in_mlflow import InMlflow
from scripted import WithModel, describe, run_study
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from user_commands import KERASTUDY, environment

import kerastudy as ks

ELSEWHERE = "elsewhere.example"
PICTURE = f"![x](http://{ELSEWHERE}/x.png)"
SPACE = ks.SearchSpace(
    ks.Float("rate", 1e-4, 1e-1, scale="log"),
    ks.Int("units", 4, 64),
    ks.Choice("<b>kind</b>", ["<i>a</i>", PICTURE]),
)
# MLflow's UI causes this message of Chromium, which harms no chart.
RESIZED = "ResizeObserver loop"
FOLD = "//button[normalize-space(.) = 'Show more']"
ON_TOP = """const place = arguments[0].getBoundingClientRect();
const [x, y] = [place.left + place.width / 2, place.top + place.height / 2];
return document.elementFromPoint(x, y) === arguments[0];"""
# MLflow's UI asks who is logged in. A server without accounts answers with an error.
NOBODY = "/mlflow/users/current"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> ks.StudyResults:
    store = tmp_path_factory.mktemp("ui") / "store"
    notes = f"What this is for. <img src='http://{ELSEWHERE}/x.png'> {PICTURE}"
    described = describe(
        name="연구 1", trials=14, notes=notes, space=SPACE, pruner="median", seed=3
    )
    run_study(WithModel(described, infeasible={2}), store=store)
    return ks.read_study("연구 1", store=store)


@pytest.fixture(scope="module")
def in_mlflow(history: ks.StudyResults, server: dict[str, Any]) -> InMlflow:
    """The study in the MLflow that `kerastudy ui` has brought up to date."""
    return InMlflow(history)


@pytest.fixture(scope="module")
def server(history: ks.StudyResults) -> Iterator[dict[str, Any]]:
    """Runs `kerastudy ui`. At the end, Ctrl-C stops it, and none of its processes is left.

    The environment names a proxy that can't reach this machine, as in many offices.
    """
    words = ("ui", "연구 1", "--store", str(history.store.root), "--json", "--no-open")
    process = subprocess.Popen(
        [*KERASTUDY, *words],
        env=environment(http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9"),
        stdout=subprocess.PIPE,
        text=True,
    )
    document = ""
    while not document.rstrip().endswith("}"):
        line = process.stdout.readline()
        assert line, "the server ended"
        document += line
    running = psutil.Process(process.pid).children(recursive=True)
    yield json.loads(document)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    gone, alive = psutil.wait_procs(running, timeout=10)
    assert gone and not alive


def see(browser: webdriver.Chrome, address: str, *texts: str) -> str:
    """Opens a page and waits until it shows the texts."""
    browser.get("about:blank")
    browser.get(address)

    def page_text(driver: webdriver.Chrome) -> str | None:
        for folded in driver.find_elements(By.XPATH, FOLD):
            folded.click()
        text = " ".join(driver.find_element(By.TAG_NAME, "body").text.split())
        return text if all(part in text for part in texts) else None

    wait = WebDriverWait(browser, 60, ignored_exceptions=[Exception])
    return wait.until(page_text, f"{texts} not on {address}")


def test_listens_on_this_machine_alone(server: dict[str, Any]) -> None:
    port = int(server["address"].rpartition(":")[2])
    main = psutil.Process(server["pid"])
    listening = [
        c.laddr.ip
        for p in [main, *main.children(recursive=True)]
        for c in p.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr.port == port
    ]
    assert set(listening) == {"127.0.0.1"}


def errors(browser: webdriver.Chrome, *allowed: str) -> list[str]:
    """Returns the errors in the browser's console since the last call, without known ones."""
    entries = browser.get_log("browser")
    messages = [entry["message"] for entry in entries if entry["level"] == "SEVERE"]
    return [m for m in messages if not any(text in m for text in (NOBODY, *allowed))]


def rows(browser: webdriver.Chrome) -> list[str]:
    """Returns the names of the runs in a table, from top to bottom."""
    cells = browser.find_elements(By.CSS_SELECTOR, ".ag-row [col-id*='Run Name'] a")
    return [cell.text for cell in sorted(cells, key=lambda cell: cell.location["y"])]


def columns(browser: webdriver.Chrome) -> list[str]:
    """Returns the ids of a table's columns for metrics, tags and params, from left to right."""
    cells = browser.find_elements(By.CSS_SELECTOR, ".ag-header-cell")
    names = [
        str(cell.get_attribute("col-id")) for cell in sorted(cells, key=lambda c: c.location["x"])
    ]
    return [name for name in names if name.startswith(("metrics.", "tags.", "params."))]


def wait_for(browser: webdriver.Chrome, condition: Callable[[], Any], what: str) -> Any:
    wait = WebDriverWait(browser, 60, ignored_exceptions=[Exception])
    return wait.until(lambda _: condition(), f"no {what} on {browser.current_url}")


def test_opens_at_the_trials_sorted_with_their_columns(
    browser: webdriver.Chrome, server: dict[str, Any], history: ks.StudyResults
) -> None:
    assert server["url"] == server["views"]["trials"]
    best = history.top(20)
    first = f"#{best[0].number}"
    text = see(browser, server["url"], "best_val_loss", "kerastudy.state", first)
    assert "GenAI" in text and f"{len(history.trials)} matching runs" in text
    names = wait_for(browser, lambda: rows(browser)[: len(best)], "row")
    numbers = [int(name.removeprefix("#").split(" ")[0]) for name in names]
    # MLflow decides the order of equal values.
    values = {trial.number: trial.best.value for trial in best if trial.best}
    assert [values[number] for number in numbers[:5]] == sorted(values.values())[:5]
    assert history.description.name not in {name.split(" (")[0] for name in names}
    expected = ["metrics.`best_val_loss`", "params.`rate`", "params.`units`"]
    wait_for(browser, lambda: columns(browser)[: len(expected)] == expected, f"columns {expected}")
    # The views are listed.
    menu = "[data-testid='saved-views-trigger']"
    wait_for(browser, lambda: browser.find_elements(By.CSS_SELECTOR, menu), "menu")[0].click()
    listed = "[data-testid^='saved-views-item-']"
    headings = wait_for(browser, lambda: browser.find_elements(By.CSS_SELECTOR, listed), "view")
    assert [heading.text for heading in headings] == ["Trials", "Charts", "Curves of the ten best"]


def test_the_parent_run_reads_as_a_summary(
    browser: webdriver.Chrome, server: dict[str, Any], history: ks.StudyResults, in_mlflow: InMlflow
) -> None:
    page = in_mlflow.page(server["address"], in_mlflow.parent)
    best = history.best
    verdict = f"trial {best.number}: val_loss {best.best.value:.6g} at epoch"
    browser.get(page)
    wait_for(browser, lambda: browser.find_elements(By.XPATH, FOLD), "text that is folded")
    for name in ("registered model", "trials", "charts", "curves"):
        link = browser.find_element(By.LINK_TEXT, name)
        # The UI lays a white shade over the lower part of a folded text.
        assert browser.execute_script(ON_TOP, link), f"the link {name} can be seen and clicked"
    text = see(browser, page, verdict, "What this is for.", "Next: ")
    assert "<img" in text
    assert not browser.find_elements(By.CSS_SELECTOR, f"img[src*='{ELSEWHERE}']")
    trial = in_mlflow.page(server["address"], in_mlflow.run(best.uuid))
    see(browser, trial, f"#{best.number}", "rate", "best_val_loss")
    assert "Model training" in browser.find_element(By.TAG_NAME, "body").text


def test_the_registered_model_says_how_to_load_it(
    browser: webdriver.Chrome, server: dict[str, Any], history: ks.StudyResults
) -> None:
    page = f"{server['address']}/#/models/{quote(history.description.name)}"
    code = f"mlflow.set_tracking_uri('{server['address']}')"
    see(browser, page, "Models of the study", code, "models:/연구 1@champion")
    best = history.top(1)[0]
    see(browser, f"{page}/versions/1", f"trial {best.number}", "files", "study.reproduce(")
    files = browser.find_element(By.LINK_TEXT, "files").get_attribute("href")
    assert "Not registered" not in see(browser, files, "champion", "MLmodel")


def test_no_page_has_an_error_or_asks_another_host(
    browser: webdriver.Chrome, server: dict[str, Any]
) -> None:
    """This browser has shown the pages of all tests above."""
    see(browser, server["views"]["trials"], "matching runs")
    assert errors(browser, RESIZED) == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        urlsplit(message["params"]["request"]["url"])
        for message in sent
        if message["method"] == "Network.requestWillBeSent"
    ]
    hosts = {address.netloc for address in asked if address.scheme in ("http", "https")}
    assert hosts == {server["address"].removeprefix("http://")}
