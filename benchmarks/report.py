"""Measures the report of a large study: the time to make it, its size, the time to show it.

    python -m benchmarks.report [--trials 2000] [--json]

The study is simulated, without training (see `benchmarks.scale`): 8 hyperparameters, 5 epochs of 4
metrics. Then `kerastudy report` makes its page in a new process, and Chromium opens it, if it is
installed. The goals, for 2,000 trials: under 20 s to make, at most 3 MB, and the first paint under
2 s.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.scale import SimulatedWorkers
from studies.definition import LaunchOptions
from studies.launching.launch import run_study
from studies.progress import NoProgress


def make(trials: int, folder: Path) -> dict[str, Any]:
    """Simulates a study and makes its page; returns the page's path and size, and the seconds."""
    options = LaunchOptions(store=folder / "store", report=False)
    run_study(SimulatedWorkers("optuna:random", trials, 64), options, progress=NoProgress())
    page = folder / "report.html"
    command = [sys.executable, "-m", "kerastudy", "report", "scale", "--no-open"]
    command += ["--store", str(folder / "store"), "--output", str(page)]
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {
        "page": page,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before,
        "bytes": page.stat().st_size,
    }


def look(page: Path) -> dict[str, float] | None:
    """Opens a page in Chromium; returns seconds until its first paint, and until all is drawn.

    Returns None without Chromium's driver.
    """
    driver = shutil.which("chromedriver")
    if driver is None:
        return None
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,1000"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        browser.get(page.as_uri())
        WebDriverWait(browser, 120).until(
            lambda b: b.execute_script("return document.body.dataset.drawn")
        )
        all_drawn = browser.execute_script("return performance.now()")
        painted = browser.execute_script(
            "return performance.getEntriesByName('first-contentful-paint')[0].startTime"
        )
        return {"first_paint": painted / 1000, "all_drawn": all_drawn / 1000}
    finally:
        browser.quit()


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = make(options.trials, Path(folder))
        chromium = look(figures.pop("page"))
    if options.json:
        json.dump({**figures, "chromium": chromium}, sys.stdout, indent=2)
        print()
        return
    print(
        f"{options.trials} trials: made in {figures['seconds']:.1f} s "
        f"({figures['cpu_seconds']:.1f} s of CPU), {figures['bytes'] / 1e6:.2f} MB"
    )
    if chromium is None:
        print("Chromium's driver is not installed: the page was not opened")
    else:
        print(
            f"in Chromium: first paint after {chromium['first_paint']:.2f} s, all drawn after "
            f"{chromium['all_drawn']:.1f} s"
        )


if __name__ == "__main__":
    main()
