"""The git commit of a study's code, if it is in a repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from studies.user_code.user_modules import place_of
from tracking import tags
from tracking.records import CodeDescription

# On a repository of a hundred thousand files it takes a second or two.
_SECONDS = 10.0


def commit_tags(code: CodeDescription) -> dict[str, str]:
    """Returns the tags with the commit of a study's code; empty ones if there is none.

    It is dirty if a tracked file has changed, or if git does not track one of the study's own
    files. Other untracked files, such as a store, don't count.
    """
    found = {tags.COMMIT: "", tags.DIRTY: ""}
    path = Path(code.path or Path(code.folder or ".") / "notebook")
    git = shutil.which("git")
    if git is None or not path.parent.is_dir():
        return found
    files = [str(path)] if code.path else []
    files += [str(place_of(path, place)) for place in code.modules or {}]
    commit = _asked(git, path.parent, "rev-parse", "HEAD")
    if not commit:
        return found
    changed = _asked(git, path.parent, "status", "--porcelain", "--untracked-files=no")
    if not changed and files:
        known = _asked(git, path.parent, "ls-files", "--error-unmatch", "--", *files)
        changed = "untracked" if known is None else ""
    return {tags.COMMIT: commit.strip(), tags.DIRTY: "false" if changed == "" else "true"}


def _asked(git: str, folder: Path, *arguments: str) -> str | None:
    """Returns git's output; None if it fails."""
    # The first option: a repository's settings may name a program for git to run.
    command = [git, "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
