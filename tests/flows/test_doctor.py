"""Doctor measures every way to run an encoder on the user's texts and settles what auto takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import embstore
from embstore.encode import paths
from embstore.encode.int8 import NAME, has_int8
from embstore.errors import InvalidData, InvalidInput
from embstore.records import Embeddings
from embstore_cli.main import run
from stub_encoder import StubEncoder

WORDS = ("happy", "sad", "angry", "late", "train", "cat", "mat")


pytestmark = pytest.mark.usefixtures("has_bfloat16")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rows = [
        {"text": f"{WORDS[i % 7]} {WORDS[i % 5]} " * (1 + i % 4) + str(i), "label": WORDS[i % 2]}
        for i in range(120)
    ]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_every_path_is_compared_with_the_model_as_transformers_runs_it(
    tiny_bert: Path, dataset: Path
) -> None:
    found = embstore.examine_encoder(dataset, encoder=str(tiny_bert), device="cpu")
    names = [one.name for one in found.paths]
    assert names == ["torch float32", "fused float32", "fused bfloat16", *([NAME] if has_int8() else [])]
    assert (found.texts, found.held_out) == (120, 24)
    reference, exact, low = found.paths[:3]
    assert reference.least_cosine == pytest.approx(1, abs=1e-6)
    assert exact.least_cosine > 0.999999
    assert exact.passes
    assert 0.99 < low.least_cosine < exact.least_cosine
    assert all(one.accuracy is not None and 0 <= one.accuracy <= 1 for one in found.paths)


@pytest.mark.skipif(not has_int8(), reason="this processor multiplies no bytes")
@pytest.mark.parametrize("dtype", ["auto", "bfloat16", "int8"])
def test_int8_is_shown_behind_a_gate_of_its_own_and_auto_does_not_take_it(
    tiny_bert: Path, dataset: Path, dtype: str
) -> None:
    options = embstore.EncoderOptions(str(tiny_bert), dtype=dtype)
    found = embstore.examine_encoder(dataset, encoder=options, device="cpu")
    shown = {one.name: one for one in found.paths}
    assert (NAME in shown) == (dtype != "bfloat16")
    if NAME in shown:
        assert (shown[NAME].gate, shown[NAME].passes) == ("heads", True)
        assert shown["fused bfloat16"].gate == "neighbors"
    assert (NAME in found.why) == (dtype == "int8")
    assert dtype == "int8" or found.choice != NAME


def test_the_paths_take_turns_and_the_median_is_told(
    tiny_bert: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def run_disturbed(forward: paths.Forward, ids: list[list[int]], budget: int) -> tuple[Embeddings, float]:
        order.append(forward.name)
        # Something else takes the machine while the reference has its second turn.
        disturbed = forward.name == order[0] and order.count(order[0]) == 2
        return paths.run(forward, ids, budget)[0], 500.0 if disturbed else 2.0

    monkeypatch.setattr("embstore.flows.doctor.run", run_disturbed)
    found = embstore.examine_encoder(dataset, encoder=str(tiny_bert), device="cpu")
    assert order == [one.name for one in found.paths] * 4
    assert {one.texts_per_second for one in found.paths} == {60.0}


def test_what_was_found_is_what_auto_takes(tiny_bert: Path, dataset: Path) -> None:
    found = embstore.examine_encoder(dataset, encoder=str(tiny_bert), device="cpu")
    kept = paths.read_choice(found.fingerprint, "cpu")
    assert kept is not None
    assert (kept.name, kept.token_budget, kept.why) == (found.choice, found.token_budget, found.why)


def test_a_store_gives_its_own_texts_and_encoder(tiny_bert: Path, dataset: Path, tmp_path: Path) -> None:
    embstore.build_store(dataset, tmp_path / "store", encoder=str(tiny_bert), device="cpu")
    found = embstore.examine_encoder(store=tmp_path / "store", n_texts=70, device="cpu")
    assert (found.texts, found.model) == (70, str(tiny_bert))


def test_more_texts_than_a_store_has_are_all_of_them(tiny_bert: Path, dataset: Path, tmp_path: Path) -> None:
    embstore.build_store(dataset, tmp_path / "store", encoder=str(tiny_bert), device="cpu")
    found = embstore.examine_encoder(store=tmp_path / "store", n_texts=10**15, device="cpu")
    assert found.texts == 120


def test_texts_without_labels_have_no_accuracy(tiny_bert: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(f"a cat {i}" for i in range(80)))
    found = embstore.examine_encoder(path, encoder=str(tiny_bert), device="cpu")
    assert found.held_out == 0
    assert {one.accuracy for one in found.paths} == {None}


def test_too_few_texts_are_refused(tiny_bert: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="10 texts are too few"):
        embstore.examine_encoder(dataset, encoder=str(tiny_bert), n_texts=10)
    few = tmp_path / "few.txt"
    few.write_text("one\ntwo\n")
    with pytest.raises(InvalidData, match="only 2 texts"):
        embstore.examine_encoder(few, encoder=str(tiny_bert), device="cpu")


def test_a_store_without_records_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("poison one\npoison two\n")
    with pytest.raises(InvalidData, match="could be stored"):
        embstore.build_store(tmp_path / "bad.txt", tmp_path / "store", encoder=StubEncoder())
    with pytest.raises(InvalidData, match="only 0 texts"):
        embstore.examine_encoder(store=tmp_path / "store", device="cpu")


@pytest.mark.parametrize("as_json", [False, True], ids=["table", "JSON"])
def test_the_command_shows_each_path_and_the_choice(
    tiny_bert: Path, dataset: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    code = run(["doctor", str(dataset), "--model", str(tiny_bert), *(["--json"] if as_json else [])])
    out = capsys.readouterr().out
    assert code == 0
    assert all(said in out for said in ("fused float32", "fused bfloat16", "torch float32"))
    if as_json:
        assert json.loads(out)["choice"].startswith("fused")
    else:
        assert "reference" in out


def test_two_labels_of_a_text_each_leave_nothing_to_judge(tiny_bert: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    labels = ["a", "b", *[None] * 62]
    path.write_text("\n".join(json.dumps({"text": f"cat {i}", "label": one}) for i, one in enumerate(labels)))
    found = embstore.examine_encoder(path, encoder=str(tiny_bert), device="cpu")
    assert (found.texts, found.held_out) == (64, 0)
    assert {one.accuracy for one in found.paths} == {None}


def test_a_seed_that_cannot_be_is_refused_before_any_work() -> None:
    with pytest.raises(InvalidInput, match="--seed -1"):
        embstore.examine_encoder("nowhere", seed=-1)


def test_a_dataset_does_not_ask_for_the_store_that_one_stands_in(
    dataset: Path, tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embstore.build_store(dataset, tmp_path / "store", encoder=StubEncoder())
    monkeypatch.chdir(tmp_path / "store")
    asked: list[object] = []
    monkeypatch.setattr("embstore.flows.encoders.load_encoder", lambda choice, **_: asked.append(choice))
    with pytest.raises(InvalidInput, match="torch runs"):
        embstore.examine_encoder(dataset, device="cpu")
    assert asked == [None]
