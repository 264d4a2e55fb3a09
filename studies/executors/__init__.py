"""Executors: where trials run.

| module | holds |
|---|---|
| `executor` | `Executor` and `Handler`, the seam |
| `session` | a study loaded and ready: describes itself, runs trials, saves the champion |
| `in_process` | trials in this process |
| `worker` | trials in one worker process, from the driver's side |
| `worker_process` | the process, and the connection to it |
| `worker_main` | the worker process's own side |
| `memory` | the memory of a worker, for when it is killed |
| `pool` | trials in several of them |
| `local` | the workers of a launch on this machine |
| `sizing`, `devices` | how many suit the machine; its GPUs |
| `kinds` | which trials the same program is likely to train |
| `messages` | what the two say to each other |
"""

from typing import Literal

ExecutorName = Literal["in-process", "worker"]

__all__ = ["ExecutorName"]
