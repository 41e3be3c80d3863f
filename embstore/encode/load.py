"""Loading a frozen transformer. The door to transformers."""

from __future__ import annotations

from functools import partial

import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from embstore.encode.config import ADAPTIVE, EncoderConfig, EncoderOptions, resolve
from embstore.encode.model_files import ModelFiles, WrongSetting, first_line
from embstore.encode.tokens import TextTokenizer
from embstore.encode.torch_encoder import TorchEncoder
from embstore.errors import InvalidInput, InvalidModel

# What transformers raises on files that it cannot use; ImportError where a model needs another library.
_UNLOADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, WrongSetting)


def load_encoder(
    options: EncoderOptions | str | None = None, *, device: str = "auto", token_budget: int | None = None
) -> TorchEncoder:
    """Load a frozen transformer.

    Parameters
    ----------
    options : EncoderOptions or str, optional
        What to load; a str is the model's name. None loads the default model.
    device : {'auto', 'cpu', 'cuda', 'mps'} or a torch device such as ``cuda:1``
        ``auto`` takes CUDA, then Apple's MPS, then the CPU.
    token_budget : int, optional
        See `TorchEncoder`.

    Raises
    ------
    InvalidInput
        An option, or a device that this machine lacks.
    NotFound, HubUnreachable
        The model cannot be found or fetched.
    InvalidModel
        It is no encoder, has no safetensors, or its weights do not fill it.
    """
    if options is None or isinstance(options, str):
        options = EncoderOptions() if options is None else EncoderOptions(model=options)
    if token_budget is not None and token_budget < 1:
        raise InvalidInput(f"A token budget of {token_budget} holds no text.", fix="token_budget=1024")
    place = _find_device(device)
    files, config = resolve(options)
    model = _load_model(files, config)
    model.to(place)  # type: ignore[arg-type]
    reload = None if place.type == "cpu" else partial(_load_model, files, config)
    return TorchEncoder(model, _load_tokenizer(files, config), config, token_budget, reload)


def _find_device(device: str) -> torch.device:
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InvalidInput(
            f"This machine has no device {device!r}.", why=first_line(error), fix="--device auto"
        ) from error
    return found


def _load_model(files: ModelFiles, config: EncoderConfig) -> PreTrainedModel:
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model, report = AutoModel.from_pretrained(
            files.folder,
            dtype=torch.float32 if config.dtype in ADAPTIVE else getattr(torch, config.dtype),
            trust_remote_code=config.trust_remote_code,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except (*_UNLOADABLE, SafetensorError) as error:
        raise InvalidModel(f"The model {files.name} cannot be loaded.", why=first_line(error)) from error
    finally:
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    if getattr(model.config, "is_encoder_decoder", False):
        raise InvalidModel(f"The model {files.name} is an encoder-decoder.", why="embstore reads encoders.")
    if not isinstance(getattr(model.config, "hidden_size", None), int):
        raise InvalidModel(f"The model {files.name} is no text encoder.", why="It has no hidden_size.")
    # The pooler is not used; anything else that is missing would be random numbers.
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise InvalidModel(
            f"The weights of {files.name} do not fill the model.",
            why=f"{len(missing)} tensors are missing, {missing[0]} first; they would be random.",
        )
    loaded: PreTrainedModel = model.eval()
    return loaded


def _load_tokenizer(files: ModelFiles, config: EncoderConfig) -> TextTokenizer:
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            files.folder, trust_remote_code=config.trust_remote_code, local_files_only=True
        )
    except Exception as error:
        # On a tokenizer.json of a newer format tokenizers raises Exception itself, no child of it.
        if type(error) is not Exception and not isinstance(error, _UNLOADABLE):
            raise
        raise InvalidModel(
            f"The tokenizer of {files.name} cannot be loaded.", why=first_line(error)
        ) from error
    if not tokenizer.is_fast:
        raise InvalidModel(
            f"The model {files.name} has only a slow Python tokenizer.",
            why="embstore reads tokenizer.json.",
            fix="save a fast tokenizer beside the model: tokenizer.save_pretrained(FOLDER)",
        )
    return TextTokenizer(
        tokenizer.backend_tokenizer,
        max_length=config.max_length,
        prompt=config.prompt,
        lower_case=config.lower_case,
    )
