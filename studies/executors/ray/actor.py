"""The class that Ray runs on a node.

Ray sends it by value: on a node, kerastudy must be imported first, by its own name. The folder that
the driver runs in is on the path there, and may have packages with the names of ours.
"""

from __future__ import annotations

from typing import Any


class Worker:
    """Runs a worker process on a node of the cluster.

    `arrival` is a pickled `Arrival`, `files` are references into Ray's object store by name.
    """

    def __init__(self, arrival: bytes, files: dict[str, Any]) -> None:
        import importlib
        import pickle

        self._hosting: Any = None
        self._refused = ""
        try:
            importlib.import_module("kerastudy")
            hosting = importlib.import_module("studies.executors.ray.hosting")
            self._hosting = hosting.Hosting(pickle.loads(arrival), files)
        except Exception as error:
            import socket

            self._refused = (
                f"The node {socket.gethostname()} can't run trials: {type(error).__name__}: "
                f"{error}. It needs the same version of kerastudy as this machine."
            )

    def next(self) -> Any:
        """Waits for messages, and returns them; a text if the node can't work at all."""
        return self._refused or self._hosting.next()

    def send(self, message: Any) -> None:
        """Takes a message for the worker process."""
        self._hosting.send(message)

    def end(self) -> None:
        """Ends the worker process, and removes its files."""
        if self._hosting is not None:
            self._hosting.end()
