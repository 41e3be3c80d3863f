"""Every error that embstore raises on purpose: what happened, why, and what mends it.

One family, so that the command line turns an error into an exit code and the service into an HTTP status in
one place each. A child says only what differs: its exit code and its status.
"""

from __future__ import annotations

from typing import ClassVar


class EmbstoreError(Exception):
    """Base of all errors that a user can cause or mend.

    Parameters
    ----------
    what : str
        What happened, with the value that caused it.
    why : str, optional
        The reason, with both numbers where two do not fit together.
    fix : str, optional
        A line to paste, or the one thing to do.
    """

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        parts = [self.what, self.why and f"  Why: {self.why}", self.fix and f"  Fix: {self.fix}"]
        return "\n".join(part for part in parts if part)


class InvalidInput(EmbstoreError):
    """An argument has a value that cannot be used."""

    exit_code = 2
    http_status = 422


class NotFound(EmbstoreError):
    """A store, file, dataset, model, column, split or record that was named does not exist."""

    http_status = 404


class InvalidData(EmbstoreError):
    """A dataset exists but cannot be read as labelled text."""

    http_status = 422


class InvalidModel(EmbstoreError):
    """A model exists but cannot be used as an encoder."""

    http_status = 422


class HubUnreachable(EmbstoreError):
    """The model and dataset hub does not answer, or offline mode forbids asking it."""

    http_status = 503


class StoreLocked(EmbstoreError):
    """Another process is writing to the store."""

    exit_code = 4
    http_status = 409


class StoreDamaged(EmbstoreError):
    """The files of a store contradict each other or their checksums."""

    exit_code = 5
    http_status = 503


class DiskFailure(EmbstoreError):
    """The disk is full, read-only or failing; what was committed before is intact."""

    exit_code = 6
    http_status = 507


class EncoderMismatch(EmbstoreError):
    """The encoder is not the one whose embeddings the store holds."""

    exit_code = 7
    http_status = 409


class NotReady(EmbstoreError):
    """A service has no store or no encoder now, or no report; what was asked for may be there later.

    Parameters
    ----------
    retry_after : int
        Seconds until it is worth asking again.
    """

    http_status = 503

    def __init__(self, what: str, *, why: str = "", fix: str = "", retry_after: int = 5) -> None:
        super().__init__(what, why=why, fix=fix)
        self.retry_after = retry_after


class Interrupted(EmbstoreError):
    """The user stopped the work; what was committed is kept."""

    exit_code = 130
    http_status = 503
