"""What a model's own files declare: the conventions of sentence-transformers and transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
_FETCH = "fetch the model's files again"
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
        A declared module or pooling that embstore does not have, or a setting of the wrong type.
    """
    kinds = _declared_modules(folder / "modules.json")
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
    sentence_file = sentence_files[0] if sentence_files else folder / "sentence_bert_config.json"
    sentence = read_json(sentence_file, {})
    return Declared(
        pooling=_declared_pooling(pooling_config, folder) if pools and not pooling_given else None,
        normalize="Normalize" in kinds,
        max_length=_whole_number(sentence, "max_seq_length", sentence_file),
        prompt=_default_prompt(folder / "config_sentence_transformers.json"),
        pool_prompt=pooling_config.get("include_prompt", True),
        lower_case=bool(sentence.get("do_lower_case")),
    )


def longest_input(folder: Path) -> int:
    """Return the most tokens that the model can read, from its tokenizer's and its own configuration."""
    path = folder / "config.json"
    config = read_json(path, {})
    named = (_whole_number(config, key, path) for key in ("max_position_embeddings", "n_positions"))
    positions = next(filter(None, named), 512)
    if positions < 1:  # -1 where positions are relative
        positions = 512
    if str(config.get("model_type")) in _OFFSET_POSITIONS:
        positions -= 2
    path = folder / "tokenizer_config.json"
    return min(_whole_number(read_json(path, {}), "model_max_length", path) or positions, positions)


def _declared_modules(path: Path) -> dict[str, str]:
    """Return the folder of each module by the last part of its type."""
    modules = read_json(path, [])
    if not all(isinstance(module, dict) for module in modules):
        raise InvalidModel(
            f"{path} lists something else than modules.",
            why="Each must be a JSON object with a type and a path.",
            fix=_FETCH,
        )
    return {str(module.get("type", "")).rsplit(".", 1)[-1]: str(module.get("path", "")) for module in modules}


def _default_prompt(path: Path) -> str:
    settings = read_json(path, {})
    name = settings.get("default_prompt_name")
    if name is None:
        return ""
    prompts = settings.get("prompts") or {}
    prompt = prompts.get(name) if isinstance(prompts, dict) and isinstance(name, str) else None
    if not isinstance(prompt, str):
        raise InvalidModel(
            f"{path} has {name!r} as its default_prompt_name, which names no prompt.",
            why=f"Its prompts are: {', '.join(prompts) or 'none'}." if isinstance(prompts, dict) else "",
            fix=_FETCH,
        )
    return prompt


def _whole_number(values: Mapping[str, Any], key: str, path: Path) -> int | None:
    value = values.get(key)
    if isinstance(value, float) and value.is_integer():  # 1e30 is some tokenizers' way to say: no limit
        return int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise InvalidModel(f"{path} has {value!r} as its {key}, where a whole number is due.", fix=_FETCH)


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
            fix="--pooling mean   # embeddings will not be those of the model's authors",
        )
    return named[modes[0]]


def read_json(path: Path, absent: Any) -> Any:
    """Return what a JSON file holds, which must be of the type of ``absent``; that itself without a file."""
    if not path.is_file():
        return absent
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidModel(f"{path} is not JSON: {error}.", fix=_FETCH) from error
    if not isinstance(found, type(absent)):
        raise InvalidModel(
            f"{path} holds a JSON {type(found).__name__} where a {type(absent).__name__} is due.",
            fix=_FETCH,
        )
    return found
