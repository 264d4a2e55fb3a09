"""How a study is launched: all options that are not part of its definition."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from search_spaces.errors import StudyError
from studies.definition.settings import Verify, check_count, check_verify
from studies.executors import ExecutorName
from studies.executors.ray import RayOptions
from studies.running.budget import AtTheEnd
from tracking.mirror import check_server
from tracking.store.folder import default_store_path


@dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """The options of a launch, checked. `Study.launch` describes them.

    Raises:
        StudyError: If one is not as described.
        TrackingError: If the tracking URI is no address of a server.
    """

    store: str | Path | None = None
    executor: ExecutorName | None = None
    workers: int | None = None
    progress: bool = True
    at_the_end: AtTheEnd = "finish"
    tracking_uri: str | None = None
    verify: Verify = "some"
    retry_infeasible: bool = False
    report: bool | None = None
    ray: RayOptions | None = None
    any_hardware: bool = False

    def __post_init__(self) -> None:
        """Checks the options."""
        if self.workers is not None:
            check_count("workers", self.workers)
        if self.executor not in (None, *get_args(ExecutorName)):
            raise StudyError(
                f"executor must be 'in-process', 'worker' or 'ray'. Received: {self.executor!r}."
            )
        if self.ray is not None and not isinstance(self.ray, RayOptions):
            raise StudyError(
                "ray must be a RayOptions, such as RayOptions(address='auto'). "
                f"Received: {self.ray!r}."
            )
        if self.ray is not None and self.executor not in (None, "ray"):
            raise StudyError(
                f"Options of a Ray cluster have no effect with the executor {self.executor!r}. "
                "Leave them out, or use the executor 'ray'."
            )
        if self.executor == "in-process" and self.workers is not None:
            raise StudyError(
                "The executor 'in-process' runs one trial at a time, in this process, so it takes "
                f"no number of workers. Received: {self.workers!r}. Leave one of the two out."
            )
        if self.at_the_end not in get_args(AtTheEnd):
            raise StudyError(
                f"at_the_end must be 'finish' or 'cut'. Received: {self.at_the_end!r}."
            )
        check_verify(self.verify)
        if self.tracking_uri is not None:
            object.__setattr__(self, "tracking_uri", check_server(self.tracking_uri))

    @property
    def reports(self) -> bool:
        """Whether the launch writes a report."""
        if self.report is not None:
            return self.report
        return os.environ.get("KERASTUDY_REPORT", "") not in ("off", "0")

    @property
    def place(self) -> Path:
        """The store's folder."""
        return default_store_path() if self.store is None else Path(self.store)

    def runs_in(self, otherwise: ExecutorName) -> ExecutorName:
        """Returns where trials run; ``otherwise`` where no option says so."""
        if self.executor is not None:
            return self.executor
        if self.ray is not None:
            return "ray"
        return otherwise if self.workers is None else "worker"
