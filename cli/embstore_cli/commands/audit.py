"""``embstore audit``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

import embstore
from embstore.wording import counted, store_argument
from embstore_cli.options import home_option, json_option, refuse_unless, store_option

# Rows of each kind that the terminal shows.
_SHOWN = 10


@click.command(epilog="Example: embstore audit -s emotion --output review.csv --report audit")
@store_option("the one built last")
@home_option
@click.option("--split", "splits", metavar="SPLIT", multiple=True, help="Only this split; may be repeated.")
@click.option("--near", type=float, default=0.95, show_default=True, help="Cosine of nearly the same texts.")
@click.option("--most", type=int, default=100, show_default=True, help="Rows of a kind in JSON and report.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the folds.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Label errors and conflicts to review: .csv or .jsonl."
)
@click.option("--report", type=click.Path(path_type=Path), help="Write a page to this folder.")
@click.option("--raw", is_flag=True, help="Leave CSV cells that look like formulas as they are.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@json_option
def audit(
    store: str | None,
    home: str | None,
    output: Path | None,
    report: Path | None,
    raw: bool,
    overwrite: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Find likely label errors, conflicts, duplicates, leaks between splits and outliers.

    Nothing is encoded and nothing changed. Fill in the column new_label of the output file and hand it to
    embstore relabel.
    """
    from embstore_cli import output as screen

    refuse_unless(output is not None, "--output", "raw")
    refuse_unless(bool(output or report), "--output or --report", "overwrite")
    if output:
        embstore.check_output(output, overwrite=overwrite)
    if report:
        embstore.check_folder(report, overwrite=overwrite)
    found = embstore.audit_store(store, home=home, options=embstore.AuditOptions(**chosen))
    if report:
        # First, for it takes an empty folder, and the output may stand in the same.
        page = embstore.write_audit(found, report, overwrite=overwrite)
        screen.print_note(f"Report: {page}")
    if output:
        n = embstore.write_rows(output, found.review, raw=raw, columns=found.columns)
        # Of the store by its path: without it the line would change another store.
        line = f"embstore relabel {shlex.quote(str(output))} {store_argument(Path(found.content['store']))}"
        then = f"; fill in new_label, then: {line}" if n else ""
        screen.print_note(f"{counted(n, 'row')} to review in {output}{then}")
    if as_json:
        screen.print_json(found.as_json())
        return
    content = found.content
    screen.print_facts(_facts(content))
    errors = content["label_errors"]
    if shown := errors["rows"][:_SHOWN]:
        rows = counted(len(found.review), "row")
        screen.print_note(f"Most suspicious labels, {len(shown)} of {rows} to review:")
        screen.print_table(("label", "p", "suggested", "p", "id", "text"), map(_suspect, shown))
    if content["conflicts"]["rows"]:
        screen.print_note("The same text, other labels:")
        screen.print_table(
            ("labels", "similarity", "ids", "text"), map(_group, content["conflicts"]["rows"][:_SHOWN])
        )


def _facts(content: dict[str, Any]) -> list[tuple[str, str]]:
    errors, groups, conflicts = content["label_errors"], content["duplicates"], content["conflicts"]
    near = content["near"]
    facts = [("store", content["store"])]
    facts += [
        (
            one["split"],
            f"{counted(one['records'], 'record')}, {counted(one['distinct'], 'distinct text')}, "
            f"{one['labelled']:,} labelled",
        )
        for one in content["splits"]
    ]
    if errors["estimate"] is None:
        facts.append(("label errors", "not judged: that takes 2 labels of 2 records each"))
    else:
        sentence = f"about {errors['estimate']:,} of {errors['judged']:,} ({100 * errors['share']:.1f} %)"
        facts.append(("label errors", sentence))
        facts += [("", note) for note in [errors["note"]] if note]
    facts += [
        (
            "conflicts",
            f"{counted(conflicts['groups'], 'group')} of equal or nearly equal texts with several labels",
        ),
        (
            "duplicates",
            f"{counted(groups['exact_groups'], 'group')} of equal texts, "
            f"{groups['groups'] - groups['exact_groups']:,} of nearly equal ones (cosine {near:g} or more)",
        ),
    ]
    facts += [
        (
            "leaks",
            f"{one['exact']:,} of {counted(one['records'], one['split'] + ' text')} in {one['stands_in']} "
            f"too, {one['near']:,} more nearly so",
        )
        for one in content["leakage"]
    ]
    return [
        *facts,
        ("outliers", f"{content['outliers']['records']:,}"),
        ("cut", f"{counted(content['truncated'], 'text')} longer than the encoder reads"),
    ]


def _suspect(row: dict[str, Any]) -> tuple[Any, ...]:
    return (
        row["label"],
        f"{row['label_probability']:.3f}",
        row["suggested"],
        f"{row['suggested_probability']:.3f}",
        row["id"],
        row["text"],
    )


def _group(row: dict[str, Any]) -> tuple[Any, ...]:
    ids = ", ".join(one["id"] for one in row["records"][:3])
    return (", ".join(row["labels"]), f"{row['similarity']:.3f}", ids, row["records"][0]["text"])
