"""Records and embeddings as the files of other tools: Parquet, and folders that ``datasets`` loads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from datasets import Sequence as FixedList

from embstore.data.stream import quiet
from embstore.records import Embeddings, Record, Rows, Similarities

_TEXTS = [(name, pa.string()) for name in ("id", "split", "label", "text", "extra")]


def write_records_parquet(
    file: IO[bytes], dim: int | None, blocks: Iterable[tuple[Rows, list[Record], Embeddings]]
) -> None:
    """Write records block by block, a row group each.

    Parameters
    ----------
    file : binary file
        Where to.
    dim : int, optional
        Floats of an embedding; None leaves the column ``embedding`` out.
    blocks : iterable of (rows, records, embeddings)
        Entry i of each is the same record.
    """
    fields = [("row", pa.int64()), *_TEXTS]
    if dim is not None:
        fields.append(("embedding", pa.list_(pa.float32(), dim)))
    with pq.ParquetWriter(file, pa.schema(fields)) as writer:
        for rows, records, embeddings in blocks:
            columns = [pa.array(rows), *(pa.array(column) for column in _columns(records))]
            if dim is not None:
                columns.append(_fixed(embeddings))
            writer.write_table(pa.table(columns, schema=pa.schema(fields)))


def write_atlas_parquet(
    file: IO[bytes],
    columns: Mapping[str, Sequence[Any]],
    coordinates: Embeddings,
    similarities: Similarities,
    neighbors: Rows,
) -> None:
    """Write the Parquet file that embedding-atlas opens as it is.

    Parameters
    ----------
    file : binary file
        Where to.
    columns : mapping of str to sequence of n
        Shown beside each point.
    coordinates : ndarray of shape (n, 2), float32
        Columns ``projection_x`` and ``projection_y``.
    similarities, neighbors : ndarray of shape (n, k)
        Column ``neighbors``: positions in the file and distances 1 - cosine, nearest first.
    """
    k = neighbors.shape[1]
    offsets = pa.array(np.arange(len(neighbors) + 1, dtype=np.int32) * k)
    distances = np.maximum(1 - similarities, 0).astype(np.float32)
    lists = [pa.ListArray.from_arrays(offsets, pa.array(values.ravel())) for values in (neighbors, distances)]
    arrays = {name: pa.array(values) for name, values in columns.items()}
    arrays["projection_x"], arrays["projection_y"] = (pa.array(coordinates[:, axis]) for axis in (0, 1))
    arrays["neighbors"] = pa.StructArray.from_arrays(lists, names=["ids", "distances"])
    pq.write_table(pa.table(arrays), file)


def save_dataset(
    folder: Path, splits: Mapping[str, tuple[list[Record], Embeddings | None]], classes: Sequence[str]
) -> None:
    """Save splits as a folder that ``datasets.load_from_disk`` opens.

    Parameters
    ----------
    folder : Path
        Does not exist yet.
    splits : mapping of str to (records, embeddings)
        By name of the split; without embeddings the column is left out.
    classes : sequence of str
        Class names, ascending. Where each record has a label it is a ``ClassLabel``, else a string.
    """
    complete = all(record.label is not None for records, _ in splits.values() for record in records)
    label = ClassLabel(names=list(classes)) if complete and classes else Value("string")
    made = {}
    for name, (records, embeddings) in splits.items():
        ids, _, labels, texts, extra = _columns(records)
        columns = {"id": pa.array(ids), "text": pa.array(texts), "extra": pa.array(extra)}
        features = {"id": Value("string"), "text": Value("string"), "extra": Value("string"), "label": label}
        if isinstance(label, ClassLabel):
            columns["label"] = pa.array([label.str2int(one) for one in labels], pa.int64())
        else:
            columns["label"] = pa.array(labels, pa.string())
        if embeddings is not None:
            columns["embedding"] = _fixed(embeddings)
            features["embedding"] = FixedList(Value("float32"), length=embeddings.shape[1])
        with quiet():
            made[name] = Dataset(pa.table(columns)).cast(Features({one: features[one] for one in columns}))
    with quiet():
        DatasetDict(made).save_to_disk(str(folder))


def _columns(records: Sequence[Record]) -> list[list[Any]]:
    named = [[getattr(one, name) for one in records] for name in ("id", "split", "label", "text")]
    return [*named, [json.dumps(dict(one.extra), ensure_ascii=False, sort_keys=True) for one in records]]


def _fixed(embeddings: Embeddings) -> Any:
    flat = pa.array(np.ascontiguousarray(embeddings, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, embeddings.shape[1])
