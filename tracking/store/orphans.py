"""Moves files without a study aside, instead of deleting them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tracking.store.atomic import remove_pieces
from tracking.store.folder import Store

FOLDER = "orphans"


def move_to_orphans(store: Store, path: Path) -> Path:
    """Moves a file or folder of the store to its folder of orphans; returns the new path.

    Partial files of killed processes are removed instead.
    """
    to = store.root / FOLDER / store.inside(path).relative_to(store.root)
    for folder in (path, *(each for each in path.rglob("*") if each.is_dir())):
        remove_pieces(folder)
    to.parent.mkdir(parents=True, exist_ok=True)
    place, count = to, 1
    while os.path.lexists(place):
        count += 1
        place = to.with_name(f"{count}-{to.name}")
    # It may be on another disk, if one of the store's folders is a link.
    shutil.move(path, place)
    return place
