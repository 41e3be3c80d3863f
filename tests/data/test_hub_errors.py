from __future__ import annotations

import errno
from types import SimpleNamespace

import pyarrow as pa
import pytest
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from embstore.data.huberrors import asking
from embstore.errors import DiskFailure, EmbstoreError, HubUnreachable, InvalidData, InvalidInput, NotFound


def answered(status: int, kind: type[HfHubHTTPError] = HfHubHTTPError) -> HfHubHTTPError:
    response = SimpleNamespace(status_code=status, headers={}, request=None)
    return kind(f"HTTP {status}", response=response)


@pytest.mark.parametrize(
    ("error", "expected", "says"),
    [
        (OfflineModeIsEnabled("x"), HubUnreachable, "offline mode"),
        (ConnectionError("refused"), HubUnreachable, "refused"),
        (TimeoutError("too slow"), HubUnreachable, "too slow"),
        (LocalEntryNotFoundError("not cached"), HubUnreachable, "not cached"),
        (answered(429), HubUnreachable, "HTTP 429"),
        (answered(502), HubUnreachable, "HTTP 502"),
        (answered(403), NotFound, "hf auth login"),
        (answered(404), InvalidData, "HTTP 404"),
        (answered(401, GatedRepoError), NotFound, "is gated"),
        (answered(401, RepositoryNotFoundError), NotFound, "No such dataset: owner/name"),
        (answered(404, RevisionNotFoundError), NotFound, "has no revision 'v9'"),
        (DatasetNotFoundError("Dataset 'owner/name' is a gated dataset on the Hub."), NotFound, "is gated"),
        (DatasetNotFoundError("gone"), NotFound, "No such dataset: owner/name"),
        (HFValidationError("bad id"), InvalidInput, "bad id"),
        (
            RuntimeError("Dataset scripts are no longer supported, but found x.py"),
            InvalidData,
            "is a program",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "cache"), DiskFailure, "No space left on device"),
        (pa.ArrowInvalid("bad page"), InvalidData, "bad page"),
        (ValueError(), InvalidData, "ValueError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_each_answer_of_the_hub_is_an_error_of_ours(
    error: Exception, expected: type[EmbstoreError], says: str
) -> None:
    with pytest.raises(EmbstoreError) as caught, asking("owner/name", "v9"):
        raise error
    assert type(caught.value) is expected
    assert says in str(caught.value)


def test_an_error_that_is_no_answer_of_the_hub_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), asking("owner/name"):
        raise ZeroDivisionError
