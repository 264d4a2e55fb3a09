"""What a launch says of a Ray cluster."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from importlib.util import find_spec

from search_spaces.errors import StudyError

# A Ray of this machine alone.
LOCAL = "local"
_WORDS = ("auto", LOCAL)
_HOST_AND_PORT = re.compile(r"[^\s/]+:(\d+)")


@dataclass(frozen=True, kw_only=True)
class RayOptions:
    """A Ray cluster, and the resources of each trial on it.

    Attributes:
        address: Where the cluster is: ``"auto"`` for the one that this machine belongs to, or
            ``"HOST:PORT"`` of its head. None: ``RAY_ADDRESS``, or else a Ray of this machine alone
            that starts and ends with the launch.
        cpus_per_trial: CPUs that Ray reserves for a trial, above 0; None: as many as the study has
            threads.
        gpus_per_trial: GPUs, or a share of one such as 0.5; None: 1 if the cluster has GPUs.

    Raises:
        StudyError: If one is not as described.
    """

    address: str | None = None
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None

    @property
    def place(self) -> str:
        """The address, that of ``RAY_ADDRESS``, or ``"local"``."""
        return self.address or os.environ.get("RAY_ADDRESS") or LOCAL

    def __post_init__(self) -> None:
        """Checks the options."""
        if self.address is not None:
            check_address(self.address)
        _check_amount("cpus_per_trial", self.cpus_per_trial, least="above 0")
        _check_amount("gpus_per_trial", self.gpus_per_trial, least="of at least 0")
        gpus = self.gpus_per_trial
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise StudyError(
                "gpus_per_trial must be a whole number, or a share below 1, such as 0.5. "
                f"Received: {gpus!r}."
            )


def check_address(address: str) -> None:
    """Raises StudyError if a text can't be the address of a cluster."""
    if isinstance(address, str):
        found = _HOST_AND_PORT.fullmatch(address)
        if address in _WORDS or (found and 0 < int(found[1]) < 2**16):
            return
    of_others = "://" in str(address)
    raise StudyError(
        "The address of a Ray cluster is 'auto' on a machine of it, or 'HOST:PORT' of its head. "
        f"Received: {address!r}"
        + (", one of Ray's client or its job server." if of_others else ".")
        + " Leave it out to start Ray on this machine."
    )


def check_installed() -> None:
    """Raises StudyError if Ray is not installed."""
    if find_spec("ray") is None:
        raise StudyError(
            "The executor 'ray' needs Ray, which is not installed. "
            "Install it: pip install 'kerastudy[ray]'."
        )


def _check_amount(name: str, amount: float | None, least: str) -> None:
    if amount is None:
        return
    number = isinstance(amount, int | float) and not isinstance(amount, bool)
    if not number or not math.isfinite(amount) or amount < 0 or (amount == 0 and "above" in least):
        raise StudyError(f"{name} must be a number {least}. Received: {amount!r}.")
