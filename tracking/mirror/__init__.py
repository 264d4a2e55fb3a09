"""A copy of a study's record on an MLflow server.

| file | holds |
|---|---|
| `server` | the server's address, and what may go wrong with it |
| `same_study` | whether the server has this study already, or another of its name |
| `study_copy` | what the server has of a study, and what it lacks |
| `mirror` | sending it in the background while the study runs |
"""

from __future__ import annotations

from tracking.mirror.mirror import mirrored
from tracking.mirror.same_study import check_free
from tracking.mirror.server import check_server, server_of_environment
from tracking.mirror.study_copy import StudyCopy

__all__ = ["StudyCopy", "check_free", "check_server", "mirrored", "server_of_environment"]
