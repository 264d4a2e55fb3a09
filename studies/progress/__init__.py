"""Progress of a study for the user, on standard error.

| module | holds |
|---|---|
| `events` | what happens in a study, for whatever shows it |
| `plain` | plain lines |
| `live`, `redrawing` | running trials and a bar at a terminal; how they are drawn |
| `making` | the one that suits standard error |
"""

from studies.progress.events import NoProgress, Progress
from studies.progress.live import LiveProgress
from studies.progress.making import make_progress, showing, waiting
from studies.progress.plain import LineProgress

__all__ = [
    "LineProgress",
    "LiveProgress",
    "NoProgress",
    "Progress",
    "make_progress",
    "showing",
    "waiting",
]
