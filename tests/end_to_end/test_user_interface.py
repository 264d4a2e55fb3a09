"""The MLflow UI, in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from scripted import ScriptedExecutor, describe, run_study
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from suite import exhaustive_but
from user_commands import KERASTUDY, environment

from studies.progress import NoProgress
from tracking.history.study_history import StudyHistory


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> StudyHistory:
    store = tmp_path_factory.mktemp("ui") / "store"
    executor = ScriptedExecutor(describe(name="연구 1", trials=6, notes="What this is for."))
    return run_study(executor, store=store, progress=NoProgress())


@pytest.fixture(scope="module")
def server(history: StudyHistory) -> Iterator[dict[str, Any]]:
    """`kerastudy ui`, stopped with Ctrl-C; afterwards none of its processes is left.

    Behind a proxy that knows nothing of this machine, as in many offices.
    """
    process = subprocess.Popen(
        [*KERASTUDY, "ui", "연구 1", "--store", str(history.store.root), "--json", "--no-open"],
        env=environment(http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
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


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    driver = shutil.which("chromedriver")
    if driver is None:
        assert not os.environ.get("KERASTUDY_REQUIRE_BROWSER"), "chromedriver is not installed"
        pytest.skip("no chromedriver here: install Chromium and its driver to run this")
    options = webdriver.ChromeOptions()
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1500,1100",
        f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
    ):
        options.add_argument(argument)
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


def see(browser: webdriver.Chrome, address: str, *texts: str) -> str:
    """Opens a page and waits until it shows the texts."""
    browser.get("about:blank")
    browser.get(address)

    def shown(driver: webdriver.Chrome) -> str | None:
        for folded in driver.find_elements(By.XPATH, "//button[normalize-space(.) = 'Show more']"):
            folded.click()
        text = driver.find_element(By.TAG_NAME, "body").text
        return text if all(wanted in text for wanted in texts) else None

    wait = WebDriverWait(browser, 60, ignored_exceptions=[Exception])
    return wait.until(shown, f"{texts} not on {address}")


@pytest.mark.parametrize(
    "sent", exhaustive_but([signal.SIGHUP], [signal.SIGHUP, signal.SIGTERM]), ids=["HUP", "TERM"]
)
def test_a_closed_terminal_leaves_no_server_even_while_it_starts(
    history: StudyHistory, sent: signal.Signals
) -> None:
    process = subprocess.Popen(
        [*KERASTUDY, "ui", "--store", str(history.store.root), "--no-open"],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "starting" in process.stderr.readline()
    started = psutil.Process(process.pid)
    while not (children := started.children(recursive=True)):
        assert process.poll() is None
    process.send_signal(sent)
    assert process.wait(timeout=30) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


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


def test_opens_at_the_study(
    browser: webdriver.Chrome, server: dict[str, Any], history: StudyHistory
) -> None:
    """Its runs are there: the parent, and its trials below it."""
    see(browser, server["url"], "연구 1", "연구 1 (optuna:tpe)")


def test_the_parent_run_reads_as_a_summary(
    browser: webdriver.Chrome, server: dict[str, Any], history: StudyHistory
) -> None:
    page = f"{server['address']}/#/experiments/{history.experiment_id}/runs/{history.parent_run_id}"
    best = history.best
    assert best is not None
    see(browser, page, f"Best: trial {best.number}", "What this is for.", "kerastudy reproduce")


def test_a_trial_shows_its_hyperparameters_and_metrics(
    browser: webdriver.Chrome, server: dict[str, Any], history: StudyHistory
) -> None:
    trial = history.trials[0]
    page = f"{server['address']}/#/experiments/{history.experiment_id}/runs/{trial.run_id}"
    see(browser, page, "trial 0", "rate", "units", "best_val_loss", "best_epoch")
