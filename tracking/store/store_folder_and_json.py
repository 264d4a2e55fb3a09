"""The store: a folder with a folder for each study.

store.json      the store's format, and the users who trust it
NAME/           a study: journal.db, checkpoints/, champion/, report.html, exports.db
mlflow.db       the store's MLflow database, which the exporter fills from the journals
mlartifacts/    MLflow's artifacts

A study's name is in its journal, so its folder may have any name.

Commands may run the code that is recorded in a store. So ``store.json`` has a fingerprint of the
user who made the store, and of the users who have trusted the store since. A fingerprint is a
digest of user, machine and a random salt. For other users, commands refuse to run the store's code.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import itertools
import json
import os
import platform
import shlex
import unicodedata
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from search_spaces import argument_checks as checks
from search_spaces.errors import (
    KerastudyError,
    StoreError,
    StudyError,
    StudyNameError,
    StudyNotFoundError,
)
from tracking.journal import FILE_NAME, Header, JournalReader
from tracking.store.locks_and_atomic_writing import (
    holder_of,
    locked_store,
    locked_study,
    write_atomically,
)


def default_store_path() -> Path:
    """Returns ``KERASTUDY_STORE`` if it is set, else ``./kerastudy-store``."""
    return Path(os.environ.get("KERASTUDY_STORE") or "kerastudy-store")


class Store:
    """A store's folder, opened by `open_store` or made by `create_store`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def mlflow_uri(self) -> str:
        """The tracking URI of the store's MLflow database."""
        return f"sqlite:///{(self.root / 'mlflow.db').as_posix()}"

    @property
    def artifacts_uri(self) -> str:
        """The address of the folder with MLflow's artifacts."""
        return (self.root / "mlartifacts").as_uri()

    def folders(self) -> list[Path]:
        """Returns the folders of all studies, sorted by path."""
        return sorted(path.parent for path in self.root.glob(f"*/{FILE_NAME}"))

    def studies(self) -> list[tuple[Path, Header]]:
        """Returns the folders and headers of all studies, the last launched first.

        Studies whose journals can't be read are left out.
        """
        headers = []
        for folder in self.folders():
            with contextlib.suppress(StoreError):
                headers.append((folder, JournalReader(folder).header()))
        return sorted(headers, key=lambda entry: -entry[1].launched)

    def folder_of(self, name: str) -> Path | None:
        """Returns the folder of the study that has this name, or None."""
        usual = self.root / name
        for folder in (usual, *self.folders()):
            # A damaged journal in a folder with another name probably belongs to another study, so
            # the damage is ignored.
            ignored = () if folder == usual else (StoreError,)
            with contextlib.suppress(*ignored):
                if (folder / FILE_NAME).is_file() and JournalReader(folder).header().name == name:
                    return folder
        return None

    def new_folder(self, name: str) -> Path:
        """Returns the path for the folder of a new study.

        The folder does not exist yet, or has no files besides a lock and partial files.
        """
        names = itertools.chain([name], (f"{name} ({number})" for number in itertools.count(2)))
        return next(self.root / name for name in names if not _has_files(self.root / name))

    def lock_study(self, folder: Path, study: str) -> AbstractContextManager[None]:
        """Locks a study within the context, or raises StoreLockedError."""
        return locked_study(folder, study)

    def at_work(self) -> dict[str, str]:
        """Returns the processes that run studies, by the names of the studies."""
        processes = {header.name: holder_of(folder) for folder, header in self.studies()}
        return {name: process for name, process in processes.items() if process}

    def inside(self, path: Path) -> Path:
        """Returns a recorded path if it lies in the store. Otherwise raises StoreError.

        A path in a journal from someone else must not lead out of the store. Only the folders
        directly in the store may be links, e.g. to another disk.
        """
        try:
            parts = Path(os.path.normpath(path)).relative_to(self.root).parts
            top = self.root.joinpath(*parts[:1])
            Path(os.path.realpath(path)).relative_to(os.path.realpath(top))
        except ValueError:
            raise StoreError(
                f"The record names {str(path)!r}, which is not in the store {str(self.root)!r}: "
                "kerastudy does not touch it. Was the record changed by hand, or a folder moved?"
            ) from None
        return path


def _has_files(folder: Path) -> bool:
    """Returns whether a folder has other files than a lock and partial files."""
    if not folder.is_dir():
        return folder.exists()
    return any(not path.name.startswith(("lock", "partial-")) for path in folder.iterdir())


def open_store(path: str | Path) -> Store | None:
    """Opens the store in a folder, or returns None if the folder has none.

    Raises StoreError if the path is a file, or if this version can't read the store.
    """
    root = real_folder(path)
    if any(character in str(root) for character in "?#%{}"):
        raise StoreError(
            "A store's path must not contain '?', '#', '%', '{' or '}', which have a meaning in "
            "database addresses",
            received=str(root),
            hint="Choose another folder with --store.",
        )
    if root.exists() and not root.is_dir():
        raise StoreError(
            f"The store must be a folder, and {str(root)!r} is a file. "
            "Choose a folder with --store."
        )
    try:
        read_facts(root)
        return Store(root) if is_store(root) else None
    except PermissionError as error:
        raise StoreError(f"The store {str(root)!r} cannot be read: {error.strerror}.") from None


def real_folder(path: str | Path) -> Path:
    """Returns a path with links and ``~`` resolved."""
    return Path(os.path.realpath(os.path.expanduser(path)))


def create_store(path: str | Path) -> Store:
    """Opens the store in a folder, or makes one. Several processes may call it at once."""
    open_store(path)  # This raises StoreError if the path can't be a store's.
    root = real_folder(path)
    try:
        root.mkdir(parents=True, exist_ok=True)
        check_writable(root)
        if read_facts(root) is None:
            with locked_store(root):
                if read_facts(root) is None:
                    for piece in root.glob("partial-*-store.json"):
                        piece.unlink(missing_ok=True)
                    write_facts(root, new=True)
    except OSError as error:
        raise StoreError(
            f"The store {str(root)!r} cannot be made: {error.strerror or error}. "
            "With --store, choose a folder in which kerastudy can write files."
        ) from None
    return Store(root)


def check_writable(root: Path) -> None:
    """Raises StoreError if a store's folder can't be written, or can't be made."""
    folder = root
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise StoreError(
            f"The store {str(root)!r} cannot be made: {str(folder)!r} is a file. "
            "Choose another folder with --store."
        )
    # No test file is written to find out, because a kill might leave it behind.
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(
            f"The store {str(root)!r} is not writable. Choose another folder with --store, or "
            "change the permissions of the store."
        )


def existing_store(store: str | Path | Store | None) -> Store:
    """Opens a store, by default the one that `default_store_path` names.

    Raises:
        StudyNotFoundError: If there is no store.
    """
    if isinstance(store, Store):
        return store
    if store is not None:
        checks.instance("store", store, StoreError, (str, os.PathLike), "the path of a folder")
    path = Path(store) if store is not None else default_store_path()
    result = open_store(path)
    if result is None:
        raise StudyNotFoundError(
            f"There is no store at {str(path)!r}",
            hint="Name another store, or start a study with: kerastudy launch digits",
        )
    return result


# MLflow's registry refuses '/' and ':'. '@', '?', '#' and '%' would break addresses such as
# "models:/NAME@champion". Windows allows no file names with the other characters.
_FORBIDDEN = set('/\\:@?#%"<>|*')
# These are Unicode's categories of control characters, surrogates, and line ends.
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
_LONGEST_IN_BYTES = 200


def check_study_name(name: object) -> str:
    r"""Checks a study's name and returns it in Unicode's normal form C.

    A name has 1 to 200 bytes of UTF-8, in any script. It has no ``/ \ : @ ? # % " < > | *``, no
    control characters, and no space or dot at either end. Without the normal form, a Korean name
    typed on macOS would differ from the same name typed on Linux.
    """
    expected = "a text"
    if isinstance(name, str):
        name = unicodedata.normalize("NFC", name)
        expected = _expected_of(name)
        if not expected:
            return name
    hint = "Give a plain name such as 'digits' or '손글씨 연구 1'."
    raise StudyNameError.of_setting("A study's name", expected, name, hint)


def _expected_of(name: str) -> str:
    """Returns the rule that a name breaks, or an empty text."""
    forbidden = sorted(
        {c for c in name if c in _FORBIDDEN or unicodedata.category(c) in _UNPRINTABLE}
    )
    if not name.strip():
        return "a text that is not empty"
    if forbidden:
        signs = " ".join(map(repr, forbidden))
        return f"a text without {signs}, as it names a folder and a registered model"
    if name == "Default":
        return "another name than 'Default', as MLflow's own experiment is called"
    if name.startswith("-"):
        return "a text that does not begin with '-', as options do"
    if name != name.strip(" .") or len(name.encode()) > _LONGEST_IN_BYTES:
        return f"at most {_LONGEST_IN_BYTES} bytes long, without a space or a dot at either end"
    return ""


_MEND = "Recorded trials are safe. Fix this, then give the command again."


@contextlib.contextmanager
def as_store_errors() -> Iterator[None]:
    """Turns errors of the file system and of databases into `StoreError`.

    Examples are a full disk, or a database that another program has locked.
    """
    try:
        yield
    except KerastudyError:
        raise
    except OSError as error:
        where = f": {error.filename!r}" if error.filename else ""
        raise StoreError(f"{error.strerror or error}{where}. {_MEND}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("sqlalchemy", "mlflow", "sqlite3"):
            raise
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        lines = str(cause).splitlines() or [type(cause).__name__]
        why = lines[0].rstrip(".")
        raise StoreError(f"The store's database cannot be used: {why}. {_MEND}") from error


STORE_FORMAT = 3


class DamagedStoreError(StoreError):
    """A store's ``store.json`` is damaged. `kerastudy doctor --fix` writes it again."""


def read_facts(root: Path) -> dict[str, Any] | None:
    """Returns the content of ``store.json``, or None if there is no such file.

    Raises DamagedStoreError if the file is damaged, and StoreError if it has the format of another
    version of kerastudy.
    """
    if not (root / "store.json").exists():
        return None
    facts = _facts(root)
    try:
        version = int(facts["format"])
    except (ValueError, KeyError, TypeError, OverflowError):
        raise DamagedStoreError(
            f"{str(root / 'store.json')!r} is damaged. It should read like "
            f'{{"format": {STORE_FORMAT}}}. Mend it with: '
            f"kerastudy doctor --fix --store {shlex.quote(str(root))}"
        ) from None
    if version < STORE_FORMAT:
        raise StoreError(
            f"The store {str(root)!r} was made by an earlier kerastudy (store format {version}; "
            f"this version reads {STORE_FORMAT}). Choose another folder with --store, and launch "
            "the studies there again."
        )
    if version > STORE_FORMAT:
        raise StoreError(
            f"The store {str(root)!r} was made by a newer kerastudy (store format {version}; this "
            f"version reads {STORE_FORMAT}). Upgrade with: pip install -U kerastudy"
        )
    return facts


def is_store(root: Path) -> bool:
    """Returns whether a folder is a store: it has ``store.json``, or at least one study."""
    return (root / "store.json").exists() or any(root.glob(f"*/{FILE_NAME}"))


def write_facts(root: Path, *, new: bool = False) -> None:
    """Writes ``store.json`` in the present format.

    With `new`, the present user is the maker and the only trusted user. Otherwise the users of the
    old file stay.
    """
    if new:
        salt = uuid.uuid4().hex
        maker = f"{_user()} on {platform.node() or 'a machine'}"
        users: Mapping[str, Any] = {"salt": salt, "users": [_fingerprint(salt)], "made_by": maker}
    else:
        facts = _facts(root)
        users = {key: facts[key] for key in ("salt", "users", "made_by") if key in facts}
    _write(root, {"format": STORE_FORMAT, **users})


def stranger(root: Path) -> str:
    """Returns an empty text if this user trusts the store.

    Otherwise returns who made the store, e.g. ``"was made by 'ann on desk'"``.
    """
    facts = _facts(root)
    users = facts.get("users")
    if not isinstance(users, list) or not users:
        return "does not say who made it"
    if _fingerprint(str(facts.get("salt", ""))) in users:
        return ""
    return f"was made by {str(facts.get('made_by', 'somebody else'))[:80]!r}"


def check_trust(root: Path, trusted: bool) -> None:
    """Raises StudyError unless this user trusts the store, or `trusted` is set."""
    owner = "" if trusted else stranger(root)
    if owner:
        raise StudyError(
            f"The store {str(root)!r} {owner}, and this call runs the code in the store. If you "
            "trust the store, pass trust=True."
        )


def trust(root: Path) -> None:
    """Adds this user's fingerprint to a store. Raises OSError if the store can't be written."""
    with locked_store(root):
        facts = _facts(root)
        salt = str(facts.get("salt") or uuid.uuid4().hex)
        users = facts.get("users")
        fingerprints = users if isinstance(users, list) else []
        if facts:
            _write(root, {**facts, "salt": salt, "users": [*fingerprints, _fingerprint(salt)]})


def _facts(root: Path) -> dict[str, Any]:
    """Returns the content of ``store.json``. Empty if the file is missing or damaged."""
    try:
        facts = json.loads((root / "store.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _write(root: Path, facts: Mapping[str, Any]) -> None:
    write_atomically(root / "store.json", json.dumps(facts) + "\n")


def _fingerprint(salt: str) -> str:
    user = os.getuid() if hasattr(os, "getuid") else _user()
    return hashlib.sha256(f"{salt} {user} {_machine()}".encode()).hexdigest()[:32]


def _user() -> str:
    # In a container, the user may have no name.
    with contextlib.suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return "a user"


def _machine() -> str:
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            text = Path(path).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if text:
            return text
    return platform.node()
