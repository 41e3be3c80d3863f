"""Fine-tuning learns, is the same each time, goes on after a stop, and leaves a model that is one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save

from embstore.encode.load import load_encoder
from embstore.errors import DiskFailure, InvalidData, InvalidInput, InvalidModel
from embstore.learn.classifier_model import FinetunedClassifier, ModelSource, TextClassifier
from embstore.learn.epochs import disk_failures, replaced
from embstore.learn.finetuning import CHECKPOINTS, FinetuneOptions, _class_weights, finetune
from embstore.learn.parity import gradient_cosine
from embstore.learn.pieces import pieces

FAST = FinetuneOptions(epochs=8, learning_rate=5e-3, batch_size=16)


def problem(n: int = 96) -> tuple[list[str], list[str]]:
    generator = np.random.default_rng(0)
    texts, labels = [], []
    for i in range(n):
        label = ("happy", "sad")[i % 2]
        filler = generator.choice(["the", "train", "cat", "mat", "on"], generator.integers(1, 12))
        texts.append(" ".join([label, *filler]))
        labels.append(label)
    return texts, labels


@pytest.fixture(scope="module")
def source(tiny_bert: Path) -> ModelSource:
    return ModelSource(tiny_bert, "mean", normalize=True, max_length=32)


def test_a_separable_problem_is_learned(source: ModelSource, tmp_path: Path) -> None:
    texts, labels = problem()
    seen = []
    found = finetune(
        source, texts, labels, tmp_path, FAST, validation=(texts[:20], labels[:20]), on_epoch=seen.append
    )
    assert found.epochs == seen
    assert len(found.epochs) == 8
    assert found.epochs[-1].loss < found.epochs[0].loss
    assert max(one.accuracy or 0 for one in found.epochs) >= 0.95
    predicted = found.classifier.probabilities(texts).argmax(axis=1)
    assert np.mean([found.classifier.classes[code] for code in predicted] == np.array(labels)) >= 0.95


def test_two_runs_of_one_seed_are_the_same_and_of_another_are_not(
    source: ModelSource, tmp_path: Path
) -> None:
    texts, labels = problem(32)
    one, same, other = (
        finetune(source, texts, labels, tmp_path / str(place), FinetuneOptions(epochs=1, seed=seed))
        for place, seed in enumerate((1, 1, 2))
    )
    first = one.classifier.probabilities(texts)
    assert np.array_equal(first, same.classifier.probabilities(texts))
    assert not np.array_equal(first, other.classifier.probabilities(texts))


def test_pieces_hold_each_text_once_and_like_lengths() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 64).tolist()
    found = pieces(lengths)
    assert sorted(place for piece in found for place in piece) == list(range(64))
    assert len(found) == 4
    ends = [(min(lengths[i] for i in piece), max(lengths[i] for i in piece)) for piece in found]
    assert all(one[1] <= other[0] for one, other in pairwise(ends))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("balanced", [False, True])
def test_pieces_give_the_gradient_of_the_whole_padded_batch(
    source: ModelSource, pooling: str, balanced: bool
) -> None:
    torch.manual_seed(0)
    start = FinetunedClassifier.start(source, ["happy", "sad"])
    model = TextClassifier(start.model.encoder, 2, pooling).eval()  # no dropout
    ids = start.token_ids(problem(40)[0])
    labels = torch.tensor([i % 3 == 0 for i in range(40)]).long()
    weights = _class_weights(labels.tolist(), 2) if balanced else None
    whole = torch.nn.functional.cross_entropy(model(ids), labels, weight=weights)
    whole.backward()
    wanted = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    model.zero_grad()
    share = 40.0 if weights is None else weights[labels].sum()
    for piece in pieces([len(one) for one in ids]):
        logits = model([ids[place] for place in piece])
        loss = torch.nn.functional.cross_entropy(logits, labels[piece], weight=weights, reduction="sum")
        (loss / share).backward()
    for name, one in model.named_parameters():
        if one.grad is not None:
            # float32 sums in another order.
            torch.testing.assert_close(one.grad, wanted[name], atol=1e-5, rtol=1e-4)


def test_padding_changes_no_logit(source: ModelSource) -> None:
    model = FinetunedClassifier.start(source, ["a", "b"])
    ids = model.token_ids(problem(10)[0])
    model.model.eval()
    with torch.inference_mode():
        together = model.model(ids)
        for place, one in enumerate(ids):
            torch.testing.assert_close(model.model([one])[0], together[place], atol=1e-5, rtol=1e-4)


def test_the_folder_is_an_encoder_that_a_build_takes(source: ModelSource, tmp_path: Path) -> None:
    texts, labels = problem(32)
    found = finetune(source, texts, labels, tmp_path / "m", FinetuneOptions(epochs=1))
    found.classifier.save(tmp_path / "m")
    encoder = load_encoder(str(tmp_path / "m"), device="cpu")
    assert encoder.config["pooling"] == "mean"
    assert encoder.config["normalize"] is True
    assert encoder.config["max_length"] == 32
    model = found.classifier.model
    with torch.inference_mode():
        states = [
            model.encoder(input_ids=torch.tensor([one])).last_hidden_state.mean(dim=1)[0]
            for one in found.classifier.token_ids(texts)
        ]
    wanted = torch.nn.functional.normalize(torch.stack(states), dim=1).numpy()
    np.testing.assert_allclose(encoder.encode(texts).embeddings, wanted, atol=2e-5)


def test_a_saved_classifier_says_the_same(source: ModelSource, tmp_path: Path) -> None:
    texts, labels = problem(32)
    found = finetune(source, texts, labels, tmp_path / "m", FinetuneOptions(epochs=1))
    found.classifier.save(tmp_path / "m")
    again = FinetunedClassifier.load(tmp_path / "m")
    assert again.classes == ["happy", "sad"]
    assert np.array_equal(again.probabilities(texts), found.classifier.probabilities(texts))


def test_nothing_of_an_older_model_stays_in_the_folder(source: ModelSource, tmp_path: Path) -> None:
    older = ("model-00001-of-00002.safetensors", "pytorch_model.bin", "config_sentence_transformers.json")
    for name in (*older, "notes.txt"):
        (tmp_path / name).write_text("{}")
    FinetunedClassifier.start(source, ["happy", "sad"]).save(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert not left & set(older)
    assert {"notes.txt", "model.safetensors", "tokenizer.json"} <= left
    encoder = load_encoder(str(tmp_path), device="cpu")
    assert encoder.config["prompt"] == ""


SCRIPT = """
import json, sys, time
from pathlib import Path
from embstore.learn.classifier_model import ModelSource
from embstore.learn.finetuning import FinetuneOptions, finetune
model, output, wait = sys.argv[1:]
texts, labels = json.load(sys.stdin)
def slow(one):
    if wait == "wait":
        time.sleep(0.3)
def halt(done, total):
    if wait == "wait" and done > total // 2:
        print("halfway", flush=True)
        time.sleep(60)
finetune(ModelSource(Path(model), "mean", True, 32), texts, labels, Path(output),
         FinetuneOptions(epochs=2, learning_rate=5e-3, batch_size=16), progress=halt, on_epoch=slow)
"""


def test_a_killed_run_goes_on_after_its_last_epoch_with_the_same_result(
    source: ModelSource, tmp_path: Path
) -> None:
    texts, labels = problem(64)
    arguments = [sys.executable, "-c", SCRIPT, str(source.folder), str(tmp_path / "killed"), "wait"]
    child = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps([texts, labels]))
    child.stdin.close()
    assert "halfway" in child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    options = FinetuneOptions(epochs=2, learning_rate=5e-3, batch_size=16)
    begun = time.perf_counter()
    resumed = finetune(source, texts, labels, tmp_path / "killed", options)
    assert time.perf_counter() - begun < 60
    whole = finetune(source, texts, labels, tmp_path / "whole", options)
    assert [one.epoch for one in resumed.epochs] == [1, 2]
    np.testing.assert_allclose(
        resumed.classifier.probabilities(texts), whole.classifier.probabilities(texts), atol=1e-5
    )


def test_a_write_that_is_cut_short_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "epochs.json").write_text("[]")
    writing = replaced(tmp_path / "epochs.json")
    writing.__enter__().write_text("[{")
    assert not writing.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert (tmp_path / "epochs.json").read_text() == "[]"


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
    ],
    ids=["system", "safetensors", "torch"],
)
def test_a_disk_that_refuses_is_one_error_whichever_library_writes(tmp_path: Path, error: Exception) -> None:
    with (
        pytest.raises(DiskFailure, match=r"Writing to .*/model failed: (.|\n)*df -h"),
        disk_failures(tmp_path / "model"),
    ):
        raise error


def test_an_error_of_arithmetic_is_none_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(torch.OutOfMemoryError), disk_failures(tmp_path):
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("name", ["get_last_checkpoint", "load_file"], ids=["resuming", "best weights"])
def test_fine_tuning_translates_the_disk_before_and_after_training(
    source: ModelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    texts, labels = problem(16)
    options = FinetuneOptions(epochs=1)
    if name == "get_last_checkpoint":
        finetune(source, texts, labels, tmp_path, options)
    monkeypatch.setattr(f"embstore.learn.finetuning.{name}", refused)
    with pytest.raises(DiskFailure, match="Input/output error"):
        finetune(source, texts, labels, tmp_path, options)


def test_what_another_plan_left_is_not_gone_on_with(source: ModelSource, tmp_path: Path) -> None:
    texts, labels = problem(32)
    finetune(source, texts, labels, tmp_path, FinetuneOptions(epochs=1))
    plan = json.loads((tmp_path / CHECKPOINTS / "plan.json").read_text())
    found = finetune(source, texts, labels, tmp_path, FinetuneOptions(epochs=2))
    assert plan["options"]["epochs"] == 1
    assert len(found.epochs) == 2


def test_a_stopped_run_of_other_labels_is_not_gone_on_with(source: ModelSource, tmp_path: Path) -> None:
    texts, labels = problem(32)
    finetune(source, texts, labels, tmp_path, FinetuneOptions(epochs=1))
    swapped = [{"happy": "sad", "sad": "happy"}[label] for label in labels]
    found = finetune(source, texts, swapped, tmp_path, FinetuneOptions(epochs=1))
    fresh = finetune(source, texts, swapped, tmp_path / "fresh", FinetuneOptions(epochs=1))
    assert np.array_equal(found.classifier.probabilities(texts), fresh.classifier.probabilities(texts))


def test_training_stops_when_it_gets_no_better(source: ModelSource, tmp_path: Path) -> None:
    texts, labels = problem(32)
    options = FinetuneOptions(epochs=9, learning_rate=1e-9, patience=1)
    found = finetune(source, texts, labels, tmp_path, options, validation=(texts[:9], labels[:9]))
    assert len(found.epochs) == 2


def test_a_validation_label_that_training_lacks_counts_as_wrong(source: ModelSource, tmp_path: Path) -> None:
    texts, labels = problem(32)
    found = finetune(
        source, texts, labels, tmp_path, FinetuneOptions(epochs=1), validation=(texts[:4], ["new"] * 4)
    )
    assert found.epochs[0].accuracy == 0.0


def test_one_label_only_is_refused(source: ModelSource, tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="2 labels"):
        finetune(source, ["a", "b"], ["x", "x"], tmp_path, FAST)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"learning_rate": 0.0}, {"dtype": "float16"}], ids=str)
def test_impossible_options_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        FinetuneOptions(**change)


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        ({"learning_rate": float("inf")}, "--learning-rate 2e-05"),
        ({"learning_rate": -1.0}, "--learning-rate 2e-05"),
        ({"weight_decay": -1.0}, "--weight-decay 0.01"),
        ({"weight_decay": float("nan")}, "--weight-decay 0.01"),
        ({"batch_size": 0}, "--batch-size 64"),
        ({"patience": 0}, "--patience 2"),
    ],
    ids=str,
)
def test_a_number_that_cannot_be_is_mended_by_one_that_can(change: dict[str, object], fix: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        FinetuneOptions(**change)
    assert refused.value.fix == fix
    assert FinetuneOptions(weight_decay=0.0).weight_decay == 0.0


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_the_generators_do_not_take_is_refused(seed: int) -> None:
    with pytest.raises(InvalidInput, match="--seed 0"):
        FinetuneOptions(seed=seed)
    assert FinetuneOptions(seed=2**32 - 1).seed == 2**32 - 1


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel):
        FinetunedClassifier.load(tmp_path)
    with pytest.raises(InvalidModel):
        FinetunedClassifier.start(ModelSource(tmp_path, "mean", True, 32), ["a", "b"])


def test_gradients_of_bfloat16_agree_and_leave_the_model_as_it_was(source: ModelSource) -> None:
    texts, labels = problem(16)
    torch.manual_seed(0)
    classifier = FinetunedClassifier.start(source, ["happy", "sad"])
    before = [one.clone() for one in classifier.model.parameters()]
    codes = torch.tensor([classifier.classes.index(label) for label in labels])
    cosine = gradient_cosine(classifier.model, classifier.token_ids(texts), codes)
    assert 0.99 < cosine < 1.0
    assert all(
        torch.equal(one, other) for one, other in zip(before, classifier.model.parameters(), strict=True)
    )
    assert all(one.grad is None for one in classifier.model.parameters())


@pytest.mark.parametrize(("cosine", "used"), [(0.999, True), (0.5, False), (float("nan"), False)])
def test_bfloat16_is_used_only_where_its_gradients_agree(
    source: ModelSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    cosine: float,
    used: bool,
) -> None:
    monkeypatch.setattr("embstore.learn.finetuning.gradient_cosine", lambda *_: cosine)
    asked = FinetuneOptions(epochs=1, dtype="bfloat16")
    texts, labels = problem(16)
    found = finetune(source, texts, labels, tmp_path / "asked", asked)
    assert found.options.dtype == ("bfloat16" if used else "float32")
    plain = finetune(source, texts, labels, tmp_path / "plain", FinetuneOptions(epochs=1))
    same = all(
        torch.equal(one, other)
        for one, other in zip(
            found.classifier.model.parameters(), plain.classifier.model.parameters(), strict=True
        )
    )
    assert same is not used
    assert ("bfloat16 is not used" in caplog.text) is not used


def test_a_classifier_takes_a_sequence_of_texts(source: ModelSource) -> None:
    classifier = FinetunedClassifier.start(source, ["happy", "sad"])
    assert classifier.probabilities([]).shape == (0, 2)
    with pytest.raises(InvalidInput, match="not the string 'sad'"):
        classifier.probabilities("sad")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("head.safetensors", b"cut short"),
        ("head.safetensors", save({"other": torch.zeros(1)})),
        ("head.json", b"{}"),
        ("head.json", b'{"classes": ["a", "b"], "source": {"pool": "mean"}}'),
        ("head.json", b"[]"),
    ],
    ids=["cut", "other weights", "nothing said", "other words", "a list"],
)
def test_a_damaged_classifier_is_refused(
    source: ModelSource, tmp_path: Path, name: str, content: bytes
) -> None:
    FinetunedClassifier.start(source, ["happy", "sad"]).save(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidModel, match="holds no fine-tuned classifier"):
        FinetunedClassifier.load(tmp_path)


def test_an_error_without_words_is_told_by_its_kind(
    source: ModelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr("embstore.learn.classifier_model.AutoModel.from_pretrained", fail)
    with pytest.raises(InvalidModel, match="Why: OSError"):
        FinetunedClassifier.start(source, ["happy", "sad"])
