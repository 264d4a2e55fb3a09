"""Writes the journal of a study. Only the process that has the study's lock may do so."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tracking.journal.database_file import FILE_NAME, as_journal_errors, create, open_for_writing
from tracking.records import (
    Confirmation,
    EpochResult,
    Evaluation,
    Proposal,
    Repeat,
    StudyDescription,
    TrialResult,
    TrialSpec,
    sha256,
    to_json,
)

_ALL: Final = "all"
"""The value of `keeps` if a study keeps all checkpoints."""


class Journal:
    """The journal of a study, open for writing.

    Each method writes a transaction of its own. Within `together`, all methods share one
    transaction. Transactions that begin or end a trial are synced to disk. The next transaction, or
    `flush`, writes the logged epochs.
    """

    def __init__(self, folder: Path, description: StudyDescription) -> None:
        self.folder, self.description = folder, description
        self._path = folder / FILE_NAME
        self._opened: sqlite3.Connection | None = None
        # The revision of the last transaction, which may still be open, and the time when it began.
        self._revision = self._time = 0
        # The epochs that the next commit writes.
        self._epochs: list[tuple[str, EpochResult, int]] = []
        self._together = False

    def __enter__(self) -> Journal:
        """Returns the journal itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the journal."""
        self.close()

    @classmethod
    def begin(cls, folder: Path, description: StudyDescription) -> Journal:
        """Records a new study, or begins a recorded one anew, without its trials.

        The caller must make sure that a recorded study has no finished trial.
        """
        folder.mkdir(parents=True, exist_ok=True)
        journal, path = cls(folder, description), folder / FILE_NAME
        row = {"run": _uuid(), "definition": to_json(description), "status": "RUNNING"}
        if path.exists():
            with journal._transaction(synced=True) as database:
                for table in ("epochs", "fits", "trials"):
                    database.execute(f"DELETE FROM {table}")
                journal._change(**row, created=journal._time, keeps="", looked="", corrected="")
        else:
            now = _wall_clock()
            row |= {"uuid": _uuid(), "name": description.name}
            with as_journal_errors(path):
                create(path, {**row, "created": now, "launched": now})
        journal.write_definition(description)
        return journal

    def write_definition(self, description: StudyDescription) -> None:
        """Writes the study's definition and its source texts."""
        self.description, code = description, description.code
        texts = [text for text in (code.source, *code.texts.values()) if text]
        texts += [code.manifest] if code.texts else []
        with self._transaction() as database:
            database.executemany(
                "INSERT OR IGNORE INTO code (digest, content) VALUES (?, ?)",
                [(sha256(text), text) for text in texts],
            )
            self._change(definition=to_json(description))
            if description.looked is not None:
                self._change(looked=to_json(description.looked))

    def set_running(self, git: str = "") -> None:
        """Records that a launch begins, and the git commit of the study's code."""
        with self._transaction(synced=True):
            # A later launch may keep fewer checkpoints, but not more, because the other checkpoints
            # are already deleted.
            before = self._value("keeps")
            former = None if before in ("", _ALL) else int(before)
            counts = [count for count in (self.description.keep, former) if count is not None]
            self._change(
                launched=self._now(),
                status="RUNNING",
                git=git,
                keeps=str(min(counts, default=_ALL)),
                ended_by="",
                stopped="",
            )

    def end(self, status: str, ended_by: str, stopped: str) -> None:
        """Records that the study ended: FINISHED, KILLED (interrupted) or FAILED, and why."""
        self.settle()
        with self._transaction(synced=True):
            self._change(status=status, ended=self._now(), ended_by=ended_by, stopped=stopped)
        self.close()

    def set_server(self, address: str) -> None:
        """Records the MLflow server that gets a copy of the study, or "off"."""
        with self._transaction():
            self._change(server=address)

    def set_corrected(self, text: str) -> None:
        """Records the correction of the study's best value: a JSON text of `record_corrected`."""
        with self._transaction():
            self._change(corrected=text)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Writes everything within the context in one transaction, which is synced to disk."""
        self._together = True
        try:
            yield
            self._together = False
            if self._epochs or (self._opened is not None and self._opened.in_transaction):
                with self._transaction(synced=True):
                    pass  # The commit writes everything, also the epochs.
        finally:
            self.settle()

    def begin_trial(
        self, spec: TrialSpec, proposal: Proposal, environment: Mapping[str, str], losses: int = 0
    ) -> str:
        """Records that an attempt at a trial begins. Returns the attempt's uuid."""
        with self._transaction(synced=True):
            return self._begin(
                "trials",
                _uuid(),
                started=self._now(),
                revision=self._revision,
                number=spec.number,
                spec=to_json(spec),
                engine_state=json.dumps(dict(proposal.state)),
                environment=json.dumps(dict(environment)),
                code_digest=self.description.code.digest,
                losses=losses,
            )

    def begin_fit(self, trial: str, spec: TrialSpec, *, only: bool = False) -> str:
        """Records that a fit of a trial begins. Returns the fit's uuid.

        With `only`, the trial has no other fit, and the fit has the trial's uuid.
        """
        with self._transaction():
            uuid = trial if only else _uuid()
            return self._begin("fits", uuid, trial=trial, spec=to_json(spec))

    def log_epoch(self, fit: str, epoch: EpochResult) -> None:
        """Keeps the metrics of an epoch in memory. The next transaction or `flush` writes them."""
        self._epochs.append((fit, epoch, self._now()))

    def flush(self) -> None:
        """Writes the logged epochs."""
        if self._epochs:
            with self._transaction():
                pass  # The commit writes the epochs.

    @contextlib.contextmanager
    def flushing(self) -> Iterator[None]:
        """Writes the epochs that are logged within the context."""
        yield
        self.flush()

    def end_fit(self, fit: str, result: TrialResult | None) -> None:
        """Records the result of a fit. None means that the fit was interrupted.

        If a trial has only one fit, the methods that end the trial also end the fit.
        """
        values: dict[str, object] = {"state": "interrupted"}
        if result is not None:
            values = {"state": result.state, "result": to_json(result)}
        with self._transaction(synced=True):
            self._update("fits", fit, **values)

    def end_trial(self, trial: str, result: TrialResult) -> None:
        """Records the result of an attempt at a trial."""
        self._end_trial(trial, result.state, result=to_json(result))

    def lose_trial(self, trial: str, losses: int) -> None:
        """Ends an attempt whose process died.

        `losses` is the number of the trial's attempts that ended in this way.
        """
        self._end_trial(trial, "interrupted", losses=losses)

    def end_left_over(self) -> None:
        """Ends trials, fits and confirmations that a killed process left running."""
        with self._transaction() as database:
            database.execute(
                "UPDATE trials SET state = 'interrupted', ended = ?, revision = ? "
                "WHERE state = 'running'",
                (self._now(), self._revision),
            )
            for table in ("fits", "confirmations"):
                database.execute(
                    f"UPDATE {table} SET state = 'interrupted' WHERE state = 'running'"
                )

    def set_verified(self, trial: str, text: str) -> None:
        """Records whether plain `model.fit` verified a trial: a text of `verification_texts`."""
        with self._transaction(synced=True):
            self._update_trial(trial, verified=text)

    def set_whole(self, trial: str, whole: Repeat) -> None:
        """Records the training of a cross-validated trial's model on the data of all folds."""
        with self._transaction(synced=True):
            self._update_trial(trial, whole=to_json(whole))

    def set_champion(self, trial: str, folder: str, reason: str, predictions: str = "") -> None:
        """Records a saved model as the study's champion, instead of the former one.

        `folder` is the model's folder, relative to the study's folder.
        """
        with self._transaction(synced=True) as database:
            database.execute("UPDATE champions SET withdrawn = 1")
            self._insert(
                "champions",
                trial=trial,
                folder=folder,
                reason=reason,
                predictions=predictions,
            )

    def set_reason(self, reason: str) -> None:
        """Records why the champion was chosen. If `reason` is empty, launches choose again."""
        with self._transaction(synced=True) as database:
            database.execute("UPDATE champions SET reason = ? WHERE NOT withdrawn", (reason,))

    def withdraw_champion(self) -> None:
        """Records that the study has no champion."""
        with self._transaction(synced=True) as database:
            database.execute("UPDATE champions SET withdrawn = 1")

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Records an evaluation on the test part."""
        with self._transaction(synced=True):
            self._insert(
                "evaluations",
                digest=evaluation.digest,
                time=evaluation.time,
                content=to_json(evaluation),
            )
            self._change()

    def begin_confirmation(self, plan: str, unfinished: str = "") -> str:
        """Records that a confirmation begins, and returns its uuid.

        `unfinished` is the uuid of an interrupted confirmation that resumes, or empty.
        """
        self.end_left_over()
        with self._transaction(synced=True):
            if unfinished:
                self._update("confirmations", unfinished, state="running")
                return unfinished
            return self._begin("confirmations", _uuid(), plan=plan)

    def begin_training(self, confirmation: str, spec: TrialSpec, identity: str) -> str:
        """Records that a training of a confirmation begins. Returns the training's uuid.

        `identity` is a digest of everything that the training depends on.
        """
        owner = {"confirmation": confirmation, "identity": identity}
        with self._transaction():
            return self._begin("fits", _uuid(), spec=to_json(spec), **owner)

    def end_confirmation(self, confirmation: str, outcome: Confirmation | None) -> None:
        """Records the outcome of a confirmation. None means that it did not finish."""
        self.settle()
        values: dict[str, object] = {"state": "interrupted"}
        if outcome is not None:
            values = {"state": "complete", "outcome": to_json(outcome)}
        with self._transaction(synced=True) as database:
            self._update("confirmations", confirmation, **values)
            database.execute(
                "UPDATE fits SET state = 'interrupted' "
                "WHERE confirmation = ? AND state = 'running'",
                (confirmation,),
            )

    def settle(self) -> None:
        """Rolls back an open transaction. The logged epochs stay for the next commit."""
        self._together = False
        if self._opened is not None and self._opened.in_transaction:
            self._opened.rollback()

    def close(self) -> None:
        """Writes the logged epochs and closes the file. The next write opens it again."""
        self.flush()
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _begin(self, table: str, uuid: str, **values: object) -> str:
        """Adds a trial, fit or confirmation that begins to run, and returns its uuid."""
        self._insert(table, uuid=uuid, state="running", **values)
        return uuid

    def _end_trial(self, trial: str, state: str, **values: object) -> None:
        with self._transaction(synced=True) as database:
            self._update_trial(trial, state=state, ended=self._now(), **values)
            database.execute(
                "UPDATE fits SET state = CASE WHEN uuid = trial THEN ? ELSE 'interrupted' END "
                "WHERE trial = ? AND state = 'running'",
                (state, trial),
            )

    @property
    def _database(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = open_for_writing(self._path)
        return self._opened

    def _insert(self, table: str, **values: object) -> int:
        """Adds a row, and returns its id."""
        places = ", ".join("?" * len(values))
        row = self._database.execute(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", tuple(values.values())
        )
        return int(row.lastrowid or 0)

    def _update(self, table: str, uuid: str, **values: object) -> None:
        """Changes a row."""
        self._database.execute(
            f"UPDATE {table} SET {_assignments(values)} WHERE uuid = ?", (*values.values(), uuid)
        )

    def _update_trial(self, trial: str, **values: object) -> None:
        """Changes the row of an attempt at a trial, and sets its revision."""
        self._update("trials", trial, revision=self._revision, **values)

    def _change(self, **values: object) -> None:
        """Changes columns of the table `study`, and sets the row's revision."""
        values = {**values, "changed": self._revision}
        self._database.execute(f"UPDATE study SET {_assignments(values)}", (*values.values(),))

    def _value(self, column: str) -> str:
        return str(self._database.execute(f"SELECT {column} FROM study").fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self, *, synced: bool = False) -> Iterator[sqlite3.Connection]:
        """Begins a transaction, or continues the open one. At the end, commits it with the epochs.

        Within `together`, the transaction stays open.
        """
        with as_journal_errors(self._path):
            database = self._database
            try:
                if not database.in_transaction:
                    mode = "FULL" if synced or self._together else "NORMAL"
                    database.execute(f"PRAGMA synchronous={mode}")
                    database.execute("BEGIN IMMEDIATE")
                    self._revision, self._time = database.execute(
                        "UPDATE study SET revision = revision + 1, time = max(time, ?) "
                        "RETURNING revision, time",
                        (_wall_clock(),),
                    ).fetchone()
                yield database
                if not self._together:
                    # Epochs are left out if the beginning of their fit was rolled back.
                    database.executemany(
                        "INSERT INTO epochs (epoch, time, metrics, fit) "
                        "SELECT ?, ?, ?, id FROM fits WHERE uuid = ?",
                        [
                            (epoch.epoch, now, json.dumps(dict(epoch.metrics)), fit)
                            for fit, epoch, now in self._epochs
                        ],
                    )
                    database.execute("COMMIT")
                    self._epochs.clear()
            finally:
                if not self._together:
                    self.settle()

    def _now(self) -> int:
        """Returns the Unix time in milliseconds. Within a journal, the time never goes back."""
        return max(self._time, _wall_clock())


def _assignments(values: Mapping[str, object]) -> str:
    return ", ".join(f"{column} = ?" for column in values)


def _uuid() -> str:
    return uuid.uuid4().hex


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000
