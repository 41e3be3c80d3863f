"""What a model's own files declare: the conventions of sentence-transformers and transformers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embstore.errors import InvalidModel

# These families count positions from padding_idx + 1, so two of them are never reached by a token.
_OFFSET_POSITIONS = {
    "camembert",
    "data2vec-text",
    "esm",
    "ibert",
    "lilt",
    "longformer",
    "luke",
    "markuplm",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
}
_SUPPORTED_MODULES = {"Transformer", "Pooling", "Normalize"}


@dataclass(frozen=True)
class Declared:
    """What the files beside the weights say; None where they are silent.

    Parameters
    ----------
    pooling : str or None
        ``cls`` or ``mean``.
    normalize : bool
        A Normalize module is declared.
    max_length : int or None
        Tokens, special tokens included.
    prompt : str
        The default prompt, or the empty string.
    pool_prompt : bool
        The prompt's tokens take part in mean pooling.
    lower_case : bool
        Texts are to be lower-cased first.
    """

    pooling: str | None = None
    normalize: bool = False
    max_length: int | None = None
    prompt: str = ""
    pool_prompt: bool = True
    lower_case: bool = False


def declared_settings(folder: Path, *, pooling_given: bool = False) -> Declared:
    """Read modules.json, the pooling's config, sentence_bert_config.json and the prompts.

    Parameters
    ----------
    folder : Path
        The model's files.
    pooling_given : bool
        The caller chose a pooling, so that one which embstore lacks is no error.

    Raises
    ------
    InvalidModel
        A declared module or pooling that embstore does not have.
    """
    modules = read_json(folder / "modules.json", [])
    kinds = {
        str(module.get("type", "")).rsplit(".", 1)[-1]: str(module.get("path", "")) for module in modules
    }
    foreign = sorted(set(kinds) - _SUPPORTED_MODULES)
    if foreign:
        raise InvalidModel(
            f"The model in {folder} declares a {foreign[0]} module after the transformer.",
            why=f"embstore runs {', '.join(sorted(_SUPPORTED_MODULES))}; the embeddings would differ.",
            fix="remove modules.json from a copy of the folder and pass --pooling",
        )
    pools = "Pooling" in kinds
    pooling_config = read_json(folder / kinds["Pooling"] / "config.json", {}) if pools else {}
    # Old releases name this file after the model's family: sentence_roberta_config.json.
    sentence_files = sorted(folder.glob("sentence_*_config.json"))
    sentence = read_json(sentence_files[0], {}) if sentence_files else {}
    prompts = read_json(folder / "config_sentence_transformers.json", {})
    default_prompt = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name"))
    return Declared(
        pooling=_declared_pooling(pooling_config, folder) if pools and not pooling_given else None,
        normalize="Normalize" in kinds,
        max_length=sentence.get("max_seq_length"),
        prompt=default_prompt or "",
        pool_prompt=pooling_config.get("include_prompt", True),
        lower_case=bool(sentence.get("do_lower_case")),
    )


def longest_input(folder: Path) -> int:
    """Return the most tokens that the model can read, from its tokenizer's and its own configuration."""
    config = read_json(folder / "config.json", {})
    positions = int(config.get("max_position_embeddings") or config.get("n_positions") or 512)
    if positions < 1:  # -1 where positions are relative
        positions = 512
    if config.get("model_type") in _OFFSET_POSITIONS:
        positions -= 2
    declared = read_json(folder / "tokenizer_config.json", {}).get("model_max_length") or positions
    return int(min(declared, positions))


def _declared_pooling(config: dict[str, Any], folder: Path) -> str:
    mode = config.get("pooling_mode")
    flags = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    modes = [mode] if isinstance(mode, str) else flags
    named = {
        "cls": "cls",
        "mean": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_mean_tokens": "mean",
    }
    if len(modes) != 1 or modes[0] not in named:
        raise InvalidModel(
            f"The model in {folder} declares the pooling {'+'.join(map(str, modes)) or 'none'}.",
            why="embstore has cls and mean.",
            fix="--pooling mean   (embeddings will not be those of the model's authors)",
        )
    return named[modes[0]]


def read_json(path: Path, absent: Any) -> Any:
    """Return what a JSON file holds, which must be of the type of ``absent``; that itself without a file."""
    if not path.is_file():
        return absent
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidModel(f"{path} is not JSON: {error}.", fix="fetch the model's files again") from error
    if not isinstance(found, type(absent)):
        raise InvalidModel(
            f"{path} holds a JSON {type(found).__name__} where a {type(absent).__name__} is due.",
            fix="fetch the model's files again",
        )
    return found
