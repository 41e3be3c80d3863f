"""``embstore info``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

import embstore
from embstore.wording import counted
from embstore_cli.options import home_option, json_option, store_option


@click.command(epilog="Example: embstore info -s sample --json")
@store_option("the one built last")
@home_option
@json_option
def info(store: str | None, home: str | None, as_json: bool) -> None:
    """Show what a store is and holds: records, splits, labels, encoder, index, last build."""
    from embstore_cli import output

    found = embstore.describe_store(store, home=home)
    if store is None:
        output.print_note(f"Store: {found.path}")
    if as_json:
        output.print_json(found.as_json())
    else:
        output.print_facts(_facts(found))
        for one in found.quarantine:
            output.print_note(
                f"  record {one['position'] + 1:,} of the dataset, {one['split']}: {one['error']}"
            )
        if (more := found.quarantined - len(found.quarantine)) > 0:
            output.print_note(f"  and {counted(more, 'record')} more")


def _facts(found: embstore.StoreInfo) -> list[tuple[str, object]]:
    encoder = found.encoder
    index = found.index
    unit = ", then unit length" if encoder.get("normalize") else ""
    longest = encoder.get("max_length") or "-"
    return [
        ("store", found.path),
        ("dataset", found.dataset or "-"),
        ("built", found.finished or "stopped before its end: run the same build again"),
        ("records", f"{found.records:,}"),
        ("splits", _counts(found.splits)),
        ("labels", _counts(found.labels) or "-"),
        ("unlabelled", f"{found.unlabelled:,}"),
        ("encoder", f"{encoder.get('model', '-')} {encoder.get('revision') or ''}".strip()),
        ("pooling", f"{encoder.get('pooling', '-')}{unit}"),
        ("max length", f"{longest} tokens; {counted(found.truncated, 'record')} longer"),
        ("dim", found.dim),
        ("fingerprint", found.fingerprint),
        ("index", _index(index) if index else "none"),
        ("measured", _measured(index["certificate"]) if index and index["certificate"] else "-"),
        ("size", f"{found.bytes / 1e6:,.1f} MB"),
        ("quarantined", f"{found.quarantined:,} in the last build"),
    ]


def _index(index: Mapping[str, Any]) -> str:
    size = f"{index['bytes'] / 1e6:,.1f} MB"
    return f"{index['factory']}, {counted(index['ntotal'], 'row')}, {size}, {index['promise']}"


def _measured(certificate: Mapping[str, Any]) -> str:
    others = [f"{one['value']:.3f} at {one['k']}" for one in certificate["recalls"] if one["k"] != 10]
    recall = f"recall {', '.join(others)}; " if others and not certificate["exact"] else ""
    on = f"{certificate['n_queries']:,} {certificate['queries']}; " if certificate["n_queries"] else ""
    return f"{recall}{on}p50 of a query {certificate['p50_ms']:.2f} ms; {certificate['measured']}"


def _counts(counts: Mapping[str, int]) -> str:
    shown = [f"{name} {n:,}" for name, n in list(counts.items())[:20]]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
