"""The commit that a study's code is of, if it is in a git repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from studies.own_modules import place_of
from tracking import tags
from tracking.records import CodeDescription

# On a repository of a hundred thousand files it takes a second or two.
_SECONDS = 10.0


def commit_tags(code: CodeDescription) -> dict[str, str]:
    """Returns the tags that say of which commit a study's code is; those are empty if of none.

    It is dirty if a file that git follows has changed, or if one of the study's own is none that
    git follows. Other files that git does not follow, such as a store, don't count.
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
    """Returns what git answers; None if it does not."""
    # The first: a repository's own settings name a program that git would run.
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
