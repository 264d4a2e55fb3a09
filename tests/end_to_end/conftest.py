"""What holds for all end-to-end tests."""

import os
import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver
from suite import one_thread


@pytest.fixture(scope="session", autouse=True)
def threads_before_any_command() -> None:
    """Gives TensorFlow the threads of a trial, also if no test module has imported it yet."""
    one_thread()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium, which keeps what its pages print, and what they ask a network for."""
    driver = shutil.which("chromedriver")
    if driver is None:
        assert not os.environ.get("KERASTUDY_REQUIRE_BROWSER"), "chromedriver is not installed"
        pytest.skip("no chromedriver here: install Chromium and its driver to run this")
    options = webdriver.ChromeOptions()
    switches = (
        "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
        "disable-component-update disable-sync window-size=2200,1400"
    ).split()
    for switch in (*switches, f"user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()
