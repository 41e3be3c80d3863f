"""An encoder with a classification head: what fine-tuning trains, and the folder that it leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from embstore.errors import InvalidModel
from embstore.records import Probabilities, check_sequence

HEAD, ABOUT = "head.safetensors", "head.json"
# Padded tokens that are classified together.
_TOKEN_BUDGET = 4096
_DROPOUT = 0.1
# What an older model in the folder may have that the new one does not write: it would be read with the new.
_OLDER = (
    *("model*.safetensors", "model.safetensors.index.json", "pytorch_model*"),
    *("config_sentence_transformers.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece*.model"),
)


@dataclass(frozen=True)
class ModelSource:
    """An encoder as it lies on the disk, and how its token states become an embedding.

    Parameters
    ----------
    folder : Path
        Holds config.json, safetensors and the tokenizer.
    pooling : {'cls', 'mean'}
        Of the token states.
    normalize : bool
        Whether the frozen encoder scales to unit length; the classification head reads what is not scaled.
    max_length : int
        Tokens read of a text.
    prompt : str
        Put before each text.
    lower_case : bool
        Texts are lower-cased first.
    """

    folder: Path
    pooling: str
    normalize: bool
    max_length: int
    prompt: str = ""
    lower_case: bool = False


class TextClassifier(torch.nn.Module):
    """Token ids to logits: encoder, pooling, dropout and one linear layer.

    Parameters
    ----------
    encoder : PreTrainedModel
        Its last hidden states are pooled.
    n_classes : int
        Logits.
    pooling : {'cls', 'mean'}
        As the frozen encoder's.
    """

    def __init__(self, encoder: PreTrainedModel, n_classes: int, pooling: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = torch.nn.Dropout(_DROPOUT)
        self.head = torch.nn.Linear(int(encoder.config.hidden_size), n_classes)
        self.pooling = pooling
        self._padding = max(0, int(getattr(encoder.config, "pad_token_id", None) or 0))

    def forward(self, input_ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return logits of shape (n, n_classes) of texts' token ids, which need no padding."""
        device = self.head.weight.device
        lengths = [len(one) for one in input_ids]
        width = max(lengths)
        padded = torch.full((len(lengths), width), self._padding)
        for row, one in enumerate(input_ids):
            padded[row, : len(one)] = torch.tensor(one)
        # Where nothing is padded no mask is passed: the fused kernels need none.
        mask = None
        if min(lengths) < width:
            mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long().to(device)
        states = self.encoder(input_ids=padded.to(device), attention_mask=mask).last_hidden_state
        if self.pooling == "cls":
            pooled = states[:, 0]
        elif mask is None:
            pooled = states.mean(dim=1)
        else:
            weights = mask[:, :, None].to(states.dtype)
            pooled = (states * weights).sum(dim=1) / weights.sum(dim=1)
        logits: torch.Tensor = self.head(self.dropout(pooled))
        return logits


class FinetunedClassifier:
    """A fine-tuned encoder with its head and tokenizer.

    Parameters
    ----------
    model : TextClassifier
        Trained.
    tokenizer : transformers fast tokenizer
        Of the encoder.
    source : ModelSource
        How texts are read.
    classes : list of str
        Class names, ascending.
    """

    def __init__(
        self, model: TextClassifier, tokenizer: Any, source: ModelSource, classes: list[str]
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.source = source
        self.classes = classes

    @classmethod
    def start(cls, source: ModelSource, classes: list[str]) -> FinetunedClassifier:
        """Load a frozen encoder and put an untrained head on it.

        Raises
        ------
        InvalidModel
            The model or its tokenizer cannot be loaded.
        """
        try:
            encoder = AutoModel.from_pretrained(source.folder, use_safetensors=True, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(source.folder, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise InvalidModel(
                f"The model in {source.folder} cannot be fine-tuned.", why=_first_line(error)
            ) from error
        return cls(TextClassifier(encoder, len(classes), source.pooling), tokenizer, source, classes)

    @classmethod
    def load(cls, folder: Path) -> FinetunedClassifier:
        """Load what `save` wrote.

        Raises
        ------
        InvalidModel
            The folder holds no fine-tuned classifier, or a damaged one.
        """
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            head = load_file(folder / HEAD)
            found = cls.start(ModelSource(**{**about["source"], "folder": folder}), about["classes"])
            found.model.head.load_state_dict(head)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            why = f"{ABOUT} and {HEAD}: {_first_line(error)}"
            raise InvalidModel(f"{folder} holds no fine-tuned classifier.", why=why) from error
        return found

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids that the model reads of each text, special tokens included."""
        check_sequence("texts", texts)
        if not len(texts):
            return []
        prepared = [self.source.prompt + text for text in texts]
        if self.source.lower_case:
            prepared = [text.lower() for text in prepared]
        encoded = self.tokenizer(
            prepared, truncation=True, max_length=self.source.max_length, return_attention_mask=False
        )
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    @torch.inference_mode()
    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Return the probability of each class, (n, n_classes) float64, for each text in order."""
        ids = self.token_ids(texts)
        out = np.zeros((len(texts), len(self.classes)))
        was_training = self.model.training
        self.model.eval()
        for batch in _batches([len(one) for one in ids]):
            logits = self.model([ids[place] for place in batch]).double()
            out[batch] = torch.softmax(logits, dim=1).cpu().numpy()
        self.model.train(was_training)
        return out

    def save(self, folder: Path) -> None:
        """Write the encoder as ``embstore build --model FOLDER`` takes it, and the head; an older goes."""
        folder.mkdir(parents=True, exist_ok=True)
        for older in [path for pattern in _OLDER for path in folder.glob(pattern) if path.is_file()]:
            older.unlink()
        with quiet():
            self.model.encoder.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        save_file(
            {name: values.contiguous() for name, values in self.model.head.state_dict().items()},
            folder / HEAD,
        )
        source = {name: value for name, value in asdict(self.source).items() if name != "folder"}
        _write_json(folder / ABOUT, {"classes": self.classes, "source": source})
        _declare(folder, self.source, int(self.model.encoder.config.hidden_size))


def _declare(folder: Path, source: ModelSource, dim: int) -> None:
    """Write the files by which sentence-transformers and embstore know pooling, length, prompt and case."""
    kinds = ["Transformer", "Pooling", *(["Normalize"] if source.normalize else [])]
    modules = [
        {
            "idx": place,
            "name": str(place),
            "path": f"{place}_{kind}" if place else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for place, kind in enumerate(kinds)
    ]
    _write_json(folder / "modules.json", modules)
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pooling = {
        "word_embedding_dimension": dim,
        "pooling_mode_cls_token": source.pooling == "cls",
        "pooling_mode_mean_tokens": source.pooling == "mean",
    }
    _write_json(folder / "1_Pooling" / "config.json", pooling)
    length = {"max_seq_length": source.max_length, "do_lower_case": source.lower_case}
    _write_json(folder / "sentence_bert_config.json", length)
    if source.prompt:
        prompts = {"prompts": {"default": source.prompt}, "default_prompt_name": "default"}
        _write_json(folder / "config_sentence_transformers.json", prompts)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _batches(lengths: list[int]) -> list[list[int]]:
    """Return positions, longest first, in batches of at most a number of padded tokens."""
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if not batches or lengths[batches[-1][0]] * (len(batches[-1]) + 1) > _TOKEN_BUDGET:
            batches.append([])
        batches[-1].append(place)
    return batches


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' bars and warnings off stderr while the block runs."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
