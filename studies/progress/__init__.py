"""Progress of a study for the user, on standard error.

| module | holds |
|---|---|
| `plain` | what happens in a study, for whatever shows it; plain lines |
| `live` | running trials and a bar at a terminal; which of them suits standard error |
"""

from studies.progress.live import LiveProgress, make_progress, showing, waiting
from studies.progress.plain import LineProgress, NoProgress, Progress

__all__ = [
    "LineProgress",
    "LiveProgress",
    "NoProgress",
    "Progress",
    "make_progress",
    "showing",
    "waiting",
]
