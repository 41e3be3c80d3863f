"""``embstore compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import embstore
from embstore.wording import counted
from embstore_cli.commands.finetune import epoch_line
from embstore_cli.options import (
    finetune_options,
    home_option,
    json_option,
    refuse_unless,
    store_option,
)

_SCORES = ("accuracy", "macro_f1", "weighted_f1", "calibration_error")


@click.command(epilog="Example: embstore compare -s emotion --on validation --curve")
@store_option("the one built last")
@home_option
@click.option("--train", default="train", show_default=True, metavar="SPLIT", help="Split to learn from.")
@click.option(
    "--on", metavar="SPLIT", help="Split to judge by.  [test, else validation, else a fifth of train]"
)
@click.option("--curve", is_flag=True, help="Learning curves over 8, 16, 32... labels a class.")
@click.option("--shots", type=int, multiple=True, help="Labels a class; may be repeated.")
@click.option("--seeds", type=int, default=5, show_default=True, help="Samples of each size.")
@click.option(
    "--protocol", type=click.Choice(["mteb", "setfit"]), default="mteb", help="Of few labels.  [mteb]"
)
@click.option("--worth", type=float, default=0.02, show_default=True, help="Gain worth fine-tuning.")
@click.option("--finetune", "with_finetuning", is_flag=True, help="Fine-tune the encoder too; takes minutes.")
@finetune_options
@click.option(
    "--report", type=click.Path(path_type=Path), help="Write a page for who decides to this folder."
)
@click.option("--overwrite", is_flag=True, help="Replace what that folder holds.")
@json_option
def compare(
    store: str | None,
    home: str | None,
    with_finetuning: bool,
    report: Path | None,
    overwrite: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Compare cheap heads on the frozen embeddings: scores, intervals, tests, costs, and a verdict.

    Both heads are tuned without the texts that judge them. Nothing is encoded but the texts that are timed.
    The options from --epochs to --dtype are those of fine-tuning; --seed and --balanced hold for all.
    """
    from embstore_cli import output

    own = ("train", "on", "curve", "shots", "seeds", "protocol", "worth", "seed")
    settings = {name: chosen.pop(name) for name in own}
    # What is left are the options of fine-tuning, of which --balanced holds for the heads too.
    refuse_unless(with_finetuning, "--finetune", *(chosen.keys() - {"balanced"}))
    refuse_unless(bool(settings["curve"] or settings["shots"]), "--curve or --shots", "seeds", "protocol")
    refuse_unless(report is not None, "--report", "overwrite")
    if report:
        embstore.check_folder(report, overwrite=overwrite)
    options = embstore.CompareOptions(
        **settings,
        heads=embstore.HeadOptions(balanced=chosen["balanced"], seed=settings["seed"]),
        finetune=embstore.FinetuneOptions(**chosen, seed=settings["seed"]) if with_finetuning else None,
    )
    with output.progress_bar("comparing") as progress:
        found = embstore.compare_methods(
            store,
            home=home,
            options=options,
            progress=progress,
            on_epoch=lambda one: output.print_note(epoch_line(one)),
        )
    for note in found.notes:
        output.print_note(note)
    if report:
        page = embstore.write_report(found, report, overwrite=overwrite)
        output.print_note(f"Report: {page}")
    if as_json:
        output.print_json(found.as_json())
        return
    content = found.content
    output.print_facts(_facts(content))
    output.print_table(("method", *_SCORES, "fit s", "ms a text", "MB"), map(_method, content["methods"]))
    if any(one["clean_scores"] for one in content["methods"]):
        output.print_note("Without duplicated and leaked texts:")
        output.print_table(("method", *_SCORES), map(_clean, content["methods"]))
    output.print_table(
        ("first", "second", "only first", "only second", "difference", "p"), map(_pair, content["pairs"])
    )
    names = [one["name"] for one in content["methods"]]
    output.print_table(("label", "texts", *(f"F1 {name}" for name in names)), _classes(content["methods"]))
    if content["curve"]:
        output.print_table(
            ("labels a class", "method", "accuracy", "deviation"), map(_point, content["curve"]["points"])
        )
    output.print_facts(
        [("verdict", f"{found.verdict.answer}: {found.verdict.sentence}"), ("why", found.verdict.reason)]
    )


def _facts(content: dict[str, Any]) -> list[tuple[str, str]]:
    splits, duplicates = content["splits"], content["duplicates"]
    return [
        ("store", content["store"]),
        (
            "trained on",
            f"{splits['train']['name']}, {counted(splits['train']['n'], 'record')}, "
            f"{counted(len(content['labels']), 'label')}",
        ),
        ("tuned on", ", ".join(f"{one['tuned_on']} ({one['name']})" for one in content["methods"][1:])),
        ("judged by", f"{splits['evaluated']['name']}, {counted(splits['evaluated']['n'], 'record')}"),
        (
            "duplicates",
            f"{duplicates['train']:,} in train, {duplicates['evaluated']:,} in what is judged, "
            f"{duplicates['leaked']:,} of it in train too",
        ),
    ]


def _score(one: dict[str, float]) -> str:
    return f"{one['value']:.4f} ({one['low']:.3f} to {one['high']:.3f})"


def _method(one: dict[str, Any]) -> tuple[Any, ...]:
    latency = None if one["latency_ms"] is None else f"{one['latency_ms']:.1f}"
    costs = (f"{one['fit_seconds']:.1f}", latency, f"{one['bytes'] / 1e6:.1f}")
    return (one["name"], *(_score(one["scores"][name]) for name in _SCORES), *costs)


def _clean(one: dict[str, Any]) -> tuple[Any, ...]:
    return (one["name"], *(_score(one["clean_scores"][name]) for name in _SCORES))


def _pair(one: dict[str, Any]) -> tuple[Any, ...]:
    difference = f"{one['difference']:+.4f} ({one['low']:+.3f} to {one['high']:+.3f})"
    return (
        one["first"],
        one["second"],
        one["first_only"],
        one["second_only"],
        difference,
        f"{one['p_value']:.2g}",
    )


def _classes(methods: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    rows = zip(*(one["per_class"] for one in methods), strict=True)
    return [(row[0]["label"], row[0]["support"], *(f"{one['f1']:.3f}" for one in row)) for row in rows]


def _point(one: dict[str, Any]) -> tuple[Any, ...]:
    return (one["shots"], one["method"], f"{one['mean']:.4f}", f"{one['deviation']:.4f}")
