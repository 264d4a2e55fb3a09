"""Sends a study's record to an MLflow server too."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tracking import tags
from tracking.mirror import check_server, mirrored, server_of_environment
from tracking.runs.study_runs import StudyRuns
from tracking.store.folder import Store


def server_for(store: Store | None, name: str, asked: str | None) -> str | None:
    """Returns the address of the MLflow server that gets a study too, or None.

    Args:
        store: Where the study is; None if there is no store yet.
        name: The study's name.
        asked: The address; None: that of the last launch, or of ``MLFLOW_TRACKING_URI``. ``"off"``:
            none, from now on.

    Raises:
        TrackingError: If it is no address of a server.
    """
    if asked is not None:
        address: str | None = check_server(asked)
    else:
        here = None if store is None else store.client.get_experiment_by_name(name)
        address = None if here is None else here.tags.get(tags.SERVER)
        address = address or server_of_environment()
    return None if address == tags.NO_SERVER else address


@contextlib.contextmanager
def mirroring(runs: StudyRuns, address: str | None, say: Callable[[str], None]) -> Iterator[None]:
    """Sends a study's record to a server in the background, and the rest at the end.

    Without an address nothing is sent, now and in the next launch.
    """
    store, name = runs.store, runs.description.name
    before = store.client.get_experiment(runs.experiment_id).tags.get(tags.SERVER)
    wanted = address or tags.NO_SERVER
    if before != wanted and (before or address):
        store.client.set_experiment_tag(runs.experiment_id, tags.SERVER, wanted)
    if address is None:
        yield
        return
    say(f"the MLflow server {address} gets this study too")
    with mirrored(store, name, address, say) as mirror:
        runs.on_written = mirror.changed
        yield
