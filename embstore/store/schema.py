"""The schema of records.db, one numbered change after another."""

from __future__ import annotations

from embstore.store.sqlite_tables import Database, Migrations

# "embs" in ASCII: tells file(1) and us whose database this is.
APPLICATION_ID = 0x656D6273

migrations = Migrations("embstore")


@migrations()
def m001_first_format(db: Database) -> None:
    """Create the tables of format version 1; indices/FORMAT.md describes each column."""
    db.table("state").create({"key": str, "value": int}, pk="key")
    db.table("state").insert({"key": "sequence", "value": 0})
    db.table("segments").create(
        {
            "first_row": int,
            "n": int,
            "shard": int,
            "offset": int,
            "crc32": int,
            "digest": bytes,
            "sequence": int,
        },
        pk="first_row",
    )
    records = db.table("records").create(
        {
            "row": int,
            "id": str,
            "split": str,
            "label": str,
            "text": str,
            "extra": str,
            "text_sha256": bytes,
            "truncated": int,
            "build": int,
            "tombstone": int,
        },
        pk="row",
        not_null={"id", "split", "text", "extra", "text_sha256", "truncated", "build"},
    )
    db.execute("CREATE UNIQUE INDEX live_id ON records(id) WHERE tombstone IS NULL")
    db.execute("CREATE INDEX live_split_label ON records(split, label) WHERE tombstone IS NULL")
    db.execute("CREATE INDEX tombstones ON records(tombstone) WHERE tombstone IS NOT NULL")
    records.create_index(["text_sha256"])
    db.table("indexes").create(
        {
            "generation": int,
            "file": str,
            "bytes": int,
            "sha256": str,
            "ntotal": int,
            "sequence": int,
            "factory": str,
            "recall": float,
        },
        pk="generation",
    )
    db.table("builds").create(
        {
            "build": int,
            "dataset": str,
            "dataset_fingerprint": str,
            "keep_others": int,
            "next_record": int,
            "started": str,
            "finished": str,
        },
        pk="build",
    )
    db.table("quarantine").create(
        {"build": int, "position": int, "split": str, "id": str, "error": str}, pk=("build", "position")
    )
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 1")


@migrations()
def m002_derived(db: Database) -> None:
    """Create the table of what is derived from the records: heads, the graph."""
    columns = {"kind": str, "name": str, "file": str, "bytes": int, "sha256": str}
    notes = {"sequence": int, "made": str, "facts": str}
    db.table("derived").create({**columns, **notes}, pk=("kind", "name"))
    db.execute("PRAGMA user_version = 2")


@migrations()
def m003_relabels(db: Database) -> None:
    """Create the table of labels that a person changed, so that each change can be undone."""
    columns = {"change": int, "batch": int, "row": int, "before": str, "after": str}
    relabels = db.table("relabels").create(
        {**columns, "source": str, "made": str, "undone": str},
        pk="change",
        not_null={"batch", "row", "source", "made"},
    )
    relabels.create_index(["row"])
    db.execute("PRAGMA user_version = 3")


@migrations()
def m004_certificates(db: Database) -> None:
    """Add to each generation of the index what was measured of it."""
    db.table("indexes").add_column("certificate", str)
    db.execute("PRAGMA user_version = 4")


@migrations()
def m005_certificate_checksums(db: Database) -> None:
    """Add to each certificate its checksum."""
    db.table("indexes").add_column("certificate_sha256", str)
    db.execute("PRAGMA user_version = 5")
