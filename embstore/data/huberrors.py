"""What the hub and ``datasets`` can answer, as errors that a user can mend."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from datasets.exceptions import DatasetNotFoundError, DatasetsError
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # base of what its HTTP library raises, whichever that is
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from embstore.data.reading import first_line
from embstore.data.stream import quiet
from embstore.errors import DiskFailure, EmbstoreError, HubUnreachable, InvalidData, InvalidInput, NotFound

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
_LOCAL = "embstore build train=train.csv   (local files need no hub; embstore build sample needs nothing)"
_LOGIN = "hf auth login"


@contextmanager
def asking(name: str, revision: str | None = None) -> Iterator[None]:
    """Turn what can go wrong while the hub is asked for a dataset into errors that a user can mend.

    Parameters
    ----------
    name : str
        Id of the dataset.
    revision : str, optional
        What the user asked for, for the message.
    """
    try:
        with quiet():
            yield
    except (DatasetsError, HTTPError, OSError, ValueError, RuntimeError, pa.ArrowException) as error:
        raise _translate(error, name, revision) from error


def offline(name: str) -> HubUnreachable:
    """Return the error for a hub that must not be asked."""
    return HubUnreachable(
        f"{name} is on the hub, and offline mode forbids asking it.",
        why="HF_HUB_OFFLINE or HF_DATASETS_OFFLINE is set.",
        fix=_LOCAL,
    )


def _translate(error: Exception, name: str, revision: str | None) -> EmbstoreError:
    if isinstance(error, OfflineModeIsEnabled):
        return offline(name)
    if isinstance(error, (RepositoryNotFoundError, RevisionNotFoundError, DatasetNotFoundError)):
        return _absent(error, name, revision)
    if isinstance(error, HfHubHTTPError):
        return _refused(error, name)
    if isinstance(error, (HTTPError, ConnectionError, TimeoutError, LocalEntryNotFoundError)):
        return HubUnreachable(
            f"The hub cannot be reached for {name}.",
            why=f"Nothing on disk has this name, so it may be a dataset of the hub. {first_line(error)}",
            fix=_LOCAL,
        )
    if isinstance(error, HFValidationError):
        return InvalidInput(f"{name!r} cannot be the id of a dataset.", why=first_line(error))
    return _unreadable(error, name)


def _absent(error: Exception, name: str, revision: str | None) -> NotFound:
    if isinstance(error, RevisionNotFoundError):
        return NotFound(f"{name} has no revision {revision!r}.", fix="--revision main")
    # datasets wraps this one into an error of its own; only the message still tells.
    if isinstance(error, GatedRepoError) or "is a gated dataset" in str(error):
        return NotFound(
            f"{name} is gated: its owner asks you to accept terms first.",
            why="The hub knows no token of a user who has.",
            fix=f"{_LOGIN}   # after accepting them on its page",
        )
    return NotFound(
        f"No such dataset: {name}.",
        why="Nothing on disk has this name, and the hub has no such dataset or it is private.",
        fix=f"{_LOGIN}   # for a private one",
    )


def _refused(error: HfHubHTTPError, name: str) -> EmbstoreError:
    status = error.response.status_code
    if status in (401, 403):
        return NotFound(f"The hub does not give you {name}.", why=f"It answers HTTP {status}.", fix=_LOGIN)
    if status in (404, 416):
        return InvalidData(f"{name} cannot be read.", why=first_line(error))
    return HubUnreachable(f"The hub does not give {name} now.", why=f"It answers HTTP {status}.", fix=_LOCAL)


def _unreadable(error: Exception, name: str) -> EmbstoreError:
    if "scripts are no longer supported" in str(error):
        return InvalidData(
            f"{name} is a program that makes the data, and such programs are not run.",
            why=first_line(error),
            fix="--revision refs/convert/parquet   # the hub's own copy of its data",
        )
    if isinstance(error, OSError) and error.errno in _DISK:
        return DiskFailure(
            f"The hub's cache cannot be written: {error.filename}.",
            why=error.strerror or "",
            fix="export HF_HOME=FOLDER   # one with space that you may write to",
        )
    return InvalidData(f"{name} cannot be read.", why=first_line(error))
