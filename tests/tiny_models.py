"""Real transformers with random weights, small enough for every test run."""

from __future__ import annotations

import json
import string
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

WORDS = "the train was late again i feel happy sad angry a cat sat on mat why is it so this test".split()


def make_tokenizer(folder: Path, max_length: int = 64) -> None:
    """Save a WordPiece tokenizer with a vocabulary of its own that can spell every ASCII word."""
    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS,
        *letters,
        *("##" + one for one in letters),
    ]
    vocabulary = {piece: position for position, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, mask_token="[MASK]", model_max_length=max_length, **special
    ).save_pretrained(folder)


def make_transformer(folder: Path, kind: str, *, sentence_transformers: bool = False, seed: int = 0) -> None:
    """Save a transformer with random weights, 2 layers of 32 units, as safetensors."""
    torch.manual_seed(seed)
    n_pieces = len(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"])
    if kind == "bert":
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        model = BertModel(BertConfig(vocab_size=n_pieces, max_position_embeddings=64, **sizes))
    else:
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
        model = DistilBertModel(DistilBertConfig(vocab_size=n_pieces, max_position_embeddings=64, **sizes))
    model.save_pretrained(folder)
    if sentence_transformers:
        _declare_mean_pooling(folder)


def make_roberta(folder: Path) -> Path:
    """Save a RoBERTa, whose positions are counted from behind its padding token's id; return its folder."""
    make_tokenizer(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = RobertaConfig(vocab_size=200, max_position_embeddings=34, pad_token_id=1, **sizes)
    RobertaModel(config).save_pretrained(folder)
    return folder


def _declare_mean_pooling(folder: Path) -> None:
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [
        {
            "idx": i,
            "name": str(i),
            "path": f"{i}_{kind}" if i else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for i, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32}))
