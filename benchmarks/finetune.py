"""Fine-tuning speed beside a plain Trainer with padded batches, in the same run; with --full its score too.

Both train all-MiniLM-L6-v2 in float32 on the same emotion texts with batches of 64, AdamW and a linear
schedule. The plain Trainer pads each batch to its longest text. Loading the model and one checkpoint are
included on our side. The score of the same settings over all texts stands with the heads.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from common import RATIOS, interleaved, reference, spread, table, times_as_fast
from embstore.encode.model_files import find_model
from embstore.learn.classifier_model import ModelSource
from embstore.learn.finetuning import FinetuneOptions, finetune


def main() -> None:
    """Print texts a second, the ratio of the same rounds, and with --full the validation accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=1600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="train all texts for 2 epochs at 5e-5 and score")
    arguments = parser.parse_args()
    folder = find_model("all-MiniLM-L6-v2").folder
    texts, labels = rows("train")
    source = ModelSource(folder, "mean", normalize=True, max_length=256)
    with tempfile.TemporaryDirectory() as temporary:
        if arguments.full:
            options = FinetuneOptions(learning_rate=5e-5)
            found = finetune(source, texts, labels, Path(temporary), options, validation=rows("validation"))
            for epoch in found.epochs:
                print(f"epoch {epoch.epoch}: loss {epoch.loss}, validation accuracy {epoch.accuracy}")
            print(f"{found.seconds:.0f} s, {found.texts_per_second:.0f} texts/s; plain: .8765, .907")
            return
        few = texts[: arguments.texts], labels[: arguments.texts]
        once = FinetuneOptions(epochs=1, learning_rate=5e-5)
        seconds = interleaved(
            {
                # A new folder each round: a finished one would be resumed, which takes no time.
                "embstore": lambda: finetune(source, *few, fresh(temporary), once),
                "plain Trainer": lambda: plain(folder, *few, fresh(temporary)),
            },
            arguments.rounds,
        )
    rates = {name: [arguments.texts / value for value in values] for name, values in seconds.items()}
    speeds = [(name, spread(values, ".1f")) for name, values in rates.items()]
    print(table(["", "texts/s, median (range)"], speeds))
    print(table(RATIOS, [times_as_fast("plain Trainer", seconds["plain Trainer"], seconds["embstore"])]))


def fresh(parent: str) -> Path:
    """Return a new folder."""
    return Path(tempfile.mkdtemp(dir=parent))


def rows(split: str) -> tuple[list[str], list[str]]:
    """Return texts and labels of a split of emotion."""
    with (reference("emotion") / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    return [row["text"] for row in found], [row["label"] for row in found]


def plain(folder: Path, texts: list[str], labels: list[str], output: Path) -> None:
    """Train one epoch as the documentation of transformers does."""
    classes = sorted(set(labels))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(texts, truncation=True, max_length=256)
    dataset = [
        {"input_ids": ids, "attention_mask": mask, "label": classes.index(label)}
        for ids, mask, label in zip(encoded["input_ids"], encoded["attention_mask"], labels, strict=True)
    ]
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(classes))
    arguments = TrainingArguments(
        output_dir=str(output),
        num_train_epochs=1,
        learning_rate=5e-5,
        per_device_train_batch_size=64,
        weight_decay=0.01,
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    collator = DataCollatorWithPadding(tokenizer)
    # It prints its own figures, even so.
    with redirect_stdout(sys.stderr):
        Trainer(model=model, args=arguments, train_dataset=dataset, data_collator=collator).train()


if __name__ == "__main__":
    main()
