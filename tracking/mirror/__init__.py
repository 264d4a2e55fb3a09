"""A study's record on an MLflow server too, beside that of its store.

server      the server's address, and what may go wrong with it
study_copy  what of a study is there, and what is missing
mirror      sends it in the background while the study runs
"""

from __future__ import annotations

from tracking.mirror.mirror import Mirror
from tracking.mirror.server import check_server, server_of_environment
from tracking.mirror.study_copy import StudyCopy, check_free

__all__ = [
    "Mirror",
    "StudyCopy",
    "check_free",
    "check_server",
    "server_of_environment",
]
