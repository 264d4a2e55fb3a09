"""Executors: where trials run.

| module | holds |
|---|---|
| `executor` | `Executor` and `Handler`, the protocols |
| `session` | a loaded study: describes itself, runs trials, saves the champion; in this process |
| `objective_session` | the same for an objective function that does everything itself |
| `worker` | trials in one worker process, from the driver's side |
| `worker_process` | the process, and the connection to it |
| `worker_main` | the same, from the worker's side |
| `pool` | trials in several workers; a launch's workers on this machine |
| `ray/` | a launch's workers on a Ray cluster: a room of its own |
| `sizing` | how many suit the machine; its GPUs |
| `messages` | the messages between a worker's two sides |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
