"""``embstore fit``."""

from __future__ import annotations

from typing import Any

import click

import embstore
from embstore.wording import counted
from embstore_cli.options import home_option, json_option, store_option


@click.command(epilog="Example: embstore fit -s sample --head knn --precision 0.9")
@store_option("the one built last")
@home_option
@click.option(
    "--head", type=click.Choice(["logistic", "knn"]), default="logistic", show_default=True, help="Kind."
)
@click.option("--name", metavar="NAME", help="Its name in the store.  [logistic or knn]")
@click.option("--train", default="train", show_default=True, metavar="SPLIT", help="Split to learn from.")
@click.option(
    "--precision", type=float, default=0.8, show_default=True, help="Share of right answers; else abstain."
)
@click.option("-k", "k", type=int, help="Neighbors that vote (knn).  [chosen]")
@click.option(
    "--weighting",
    type=click.Choice(["auto", "uniform", "similarity"]),
    default="auto",
    help="Of the votes (knn).",
)
@click.option("--balanced", is_flag=True, help="Weigh classes by the inverse of their frequency (logistic).")
@json_option
def fit(
    k: int | None, weighting: str, balanced: bool, store: str | None, as_json: bool, **chosen: Any
) -> None:
    """Fit a head on the embeddings of a store and keep it there for classify.

    Its settings are chosen on held-out texts: by leave-one-out (knn), or on the split validation, else by
    cross-validation (logistic). Nothing is encoded.
    """
    from embstore_cli import output

    options = embstore.HeadOptions(k=k, weighting=weighting, balanced=balanced)
    report = embstore.fit_head(store, options=options, **chosen)
    if report.note:
        output.print_note(report.note)
    if as_json:
        output.print_json(report.as_json())
    else:
        output.print_facts(_facts(report))


def _facts(report: embstore.FitReport) -> list[tuple[str, str]]:
    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items())
    unlabelled = f"   ({report.unlabelled:,} without a label left out)" if report.unlabelled else ""
    return [
        ("store", report.store),
        ("head", f"{report.name}   ({settings})"),
        (
            "trained on",
            f"{report.trained_on}, {counted(report.records, 'record')}, "
            f"{counted(len(report.labels), 'label')}{unlabelled}",
        ),
        ("tuned on", report.tuned_on),
        ("accuracy", _accuracy(report)),
        ("answers", _answers(report)),
        ("took", f"{report.seconds:.1f} s"),
    ]


def _accuracy(report: embstore.FitReport) -> str:
    if report.accuracy is None:
        return "unknown: no text is held out, for no label has two records"
    return f"{report.accuracy:.4f} on {counted(report.held_out, 'held-out text')}"


def _answers(report: embstore.FitReport) -> str:
    wanted = f"{100 * report.precision:g} % of them right or more"
    if not report.coverage:
        return f"no text: no threshold has {wanted}"
    if not report.precision:
        return "every text"
    return f"{100 * report.coverage:.1f} % of held-out texts, {wanted}"
