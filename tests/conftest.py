"""What holds for all tests."""

import gc
import os
import signal
import sys

import pytest
from suite import one_thread


def pytest_configure(config: pytest.Config) -> None:
    """Makes processes that tests start hear signals, however the tests themselves were started.

    `nohup`, and `&` in a script, make a process and all that it starts ignore them.
    """
    # Only the tests of the report need a report, which costs two seconds of CPU.
    os.environ.setdefault("KERASTUDY_REPORT", "off")
    # Importing MLflow takes as long. The tests of MLflow bring it up to date themselves.
    os.environ.setdefault("KERASTUDY_MLFLOW", "off")
    # Set by many images of containers: each process would compile TensorFlow and MLflow again,
    # which takes ten seconds of CPU.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGHUP", "SIGTERM"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def threads_of_trials() -> None:
    if "tensorflow" in sys.modules:
        one_thread()


@pytest.fixture(scope="module", autouse=True)
def imported_objects(threads_of_trials: None) -> None:
    """Spares garbage collections the million objects of imported modules and collected tests.

    Workers do the same. Loading a study in this process ends it.
    """
    if not gc.get_freeze_count():
        gc.freeze()
