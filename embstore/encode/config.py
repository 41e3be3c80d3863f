"""What is asked of an encoder, what was resolved from the model's files, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from embstore.encode.model_files import ModelFiles, find_model
from embstore.encode.settings import Declared, declared_settings, longest_input
from embstore.errors import InvalidInput, InvalidModel

DEFAULT_MODEL = "all-MiniLM-L6-v2"
POOLINGS = ("auto", "cls", "mean")
DTYPES = ("auto", "float32", "bfloat16", "float16", "int8")
#: float32, but for long builds.
ADAPTIVE = ("auto", "int8")


@dataclass(frozen=True)
class EncoderOptions:
    """What a caller asks for; None or ``auto`` takes what the model's own files declare.

    Parameters
    ----------
    model : str
        Hub id, local folder, or the short name ``all-MiniLM-L6-v2``.
    revision : str, optional
        Branch, tag or commit of a hub model; resolved to a commit and kept. A folder has none.
    pooling : {'auto', 'cls', 'mean'}
        ``auto`` is what sentence-transformers' files beside the model declare, else ``cls``.
    normalize : bool, optional
        Scale each embedding to unit length.
    max_length : int, optional
        Tokens read of a text, special tokens included; the rest is cut and counted.
    prompt : str, optional
        Put before each text.
    dtype : {'auto', 'float32', 'bfloat16', 'float16', 'int8'}
        Arithmetic of the model. ``auto`` is float32, and in long builds whatever is faster on this machine
        and passed the parity gate; both have one fingerprint, since their embeddings may stand side by side.
        ``int8`` is the same with a fingerprint of its own, and in long builds on the CPU also takes int8.
    trust_remote_code : bool
        Run Python files beside the model; of the hub only with a 40-digit commit as ``revision``.
    """

    model: str = DEFAULT_MODEL
    revision: str | None = None
    pooling: str = "auto"
    normalize: bool | None = None
    max_length: int | None = None
    prompt: str | None = None
    dtype: str = "auto"
    trust_remote_code: bool = False

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> EncoderOptions:
        """Return the options that a store's manifest keeps; names that are not options are passed over."""
        known = {entry.name for entry in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


@dataclass(frozen=True)
class EncoderConfig:
    """Everything that decides an embedding, resolved.

    Parameters
    ----------
    model, revision, pooling, normalize, max_length, prompt, dtype, trust_remote_code
        As in `EncoderOptions`, with nothing but dtype left to ``auto``.
    lower_case : bool
        Texts are lower-cased before the tokenizer sees them.
    fingerprint : str
        SHA-256, 64 hex digits, of all of the above but the names, and of the model's weights, tokenizer and
        settings; of its Python files too where they are run.
    """

    model: str
    revision: str | None
    pooling: str
    normalize: bool
    max_length: int
    prompt: str
    dtype: str
    trust_remote_code: bool
    lower_case: bool
    fingerprint: str

    def as_json(self) -> dict[str, Any]:
        """Return JSON values; ``EncoderOptions.from_json`` of them asks for this encoder again."""
        return {name: value for name, value in asdict(self).items() if name != "fingerprint"}


def resolve(options: EncoderOptions) -> tuple[ModelFiles, EncoderConfig]:
    """Find the model's files and settle every option from them.

    Raises
    ------
    InvalidInput
        An option that does not exist, or a length that the model cannot read.
    NotFound, HubUnreachable, InvalidModel
        See `find_model` and `declared_settings`.
    """
    _check_choices(options)
    files = find_model(options.model, options.revision, trust_remote_code=options.trust_remote_code)
    declared = declared_settings(files.folder, pooling_given=options.pooling != "auto")
    prompt = declared.prompt if options.prompt is None else options.prompt
    if prompt and not declared.pool_prompt:
        raise InvalidModel(
            f"The model {files.name} leaves its prompt out of pooling, which embstore does not do.",
            fix="--prompt ''",
        )
    settled: dict[str, Any] = {
        "pooling": options.pooling if options.pooling != "auto" else declared.pooling or "cls",
        "normalize": declared.normalize if options.normalize is None else options.normalize,
        "max_length": _max_length(options, declared, files),
        "prompt": prompt,
        "dtype": "float32" if options.dtype == "auto" else options.dtype,
        "lower_case": declared.lower_case,
    }
    config = EncoderConfig(
        model=files.name,
        revision=files.revision,
        trust_remote_code=options.trust_remote_code,
        fingerprint=_fingerprint(settled, files, remote_code=options.trust_remote_code),
        **{**settled, "dtype": options.dtype},
    )
    return files, config


def _check_choices(options: EncoderOptions) -> None:
    for name, value, choices in (
        ("pooling", options.pooling, POOLINGS),
        ("dtype", options.dtype, DTYPES),
    ):
        if value not in choices:
            raise InvalidInput(f"There is no {name} {value!r}.", fix=f"--{name} {'|'.join(choices)}")


def _max_length(options: EncoderOptions, declared: Declared, files: ModelFiles) -> int:
    longest = longest_input(files.folder)
    asked = options.max_length
    if asked is None:
        return min(declared.max_length or longest, longest)
    if not 3 <= asked <= longest:
        raise InvalidInput(
            f"--max-length {asked} does not fit the model {files.name}.",
            why=f"It reads 3 to {longest} tokens.",
            fix=f"--max-length {longest}",
        )
    return asked


def _fingerprint(settled: Mapping[str, Any], files: ModelFiles, *, remote_code: bool) -> str:
    content: dict[str, Any] = {"settings": settled, "files": files.hashes(remote_code=remote_code)}
    if remote_code:
        content["remote_code"] = True
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
