"""Ids for records that bring none: made of the text, so that they outlive shuffling and relabelling."""

from __future__ import annotations

from hashlib import sha256


class ContentIds:
    """Gives the records of one split ids such as ``train-9f86d081884c7d65``.

    The id is the split and the first 64 bits of the text's SHA-256. A row number would change when the file
    is sorted, and then every record would look new to a store; the label is left out so that correcting it is
    an update and not a new record. The second record of the same text gets ``-2``, the third ``-3``.

    Parameters
    ----------
    split : str
        Split of all records that will ask.
    """

    def __init__(self, split: str) -> None:
        self._split = split
        # Eight bytes a text and not the id's 22 characters: about 90 MB for a million texts.
        self._seen: dict[bytes, int] = {}

    def give(self, text: str) -> str:
        """Return the id of the next record with this text; it can be encoded as UTF-8."""
        key = sha256(text.encode()).digest()[:8]
        count = self._seen.get(key, 0) + 1
        self._seen[key] = count
        name = f"{self._split}-{key.hex()}"
        return name if count == 1 else f"{name}-{count}"
