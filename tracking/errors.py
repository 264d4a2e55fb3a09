"""What can go wrong in tracking, as a tree.

TrackingError
├── StoreError        the store's folder or databases
│   └── StoreLockedError   somebody else is at work in it
├── ServerAwayError   an MLflow server does not answer now
├── ServerRefusedError
├── StudyNotFoundError
│   └── StudyDeletedError  it was deleted in MLflow, in whole or in part
├── StudyNameError
├── NotRecordableError
└── StudyChangedError
"""

from __future__ import annotations


class TrackingError(Exception):
    """Base of all errors of tracking; its text is one clear message for the user."""


class StoreError(TrackingError):
    """The store cannot be used: not there, not writable, damaged, or too new."""


class StoreLockedError(StoreError):
    """Another process is at work in the store."""


class ServerAwayError(TrackingError):
    """An MLflow server does not answer now, or not as it should; it may later."""


class ServerRefusedError(TrackingError):
    """An MLflow server will not take what it is sent, however often."""


class StudyNotFoundError(TrackingError):
    """The store has no such study or trial."""


class StudyDeletedError(StudyNotFoundError):
    """The study, or a part that it can't do without, was deleted in MLflow; says what to do."""


class StudyNameError(TrackingError, ValueError):
    """A study's name is empty or has characters that names cannot have."""


class NotRecordableError(TrackingError, ValueError):
    """MLflow can't take the name of a hyperparameter or of a metric."""


class StudyChangedError(TrackingError):
    """A study of this name is recorded with another definition."""
