"""The house keeps its shape: who imports whom, one door a library, short modules."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted([*(ROOT / "embstore").rglob("*.py"), *(ROOT / "cli").rglob("*.py")])
FLOORS = {
    "errors": 0,
    "wording": 0,
    "outputs": 1,
    "records": 1,
    "directions": 1,
    "data": 2,
    "encode": 2,
    "store": 2,
    "learn": 2,
    "maps": 2,
    "flows": 3,
    "service": 4,
    "cli": 4,
}
FINETUNING = {
    f"embstore/learn/{name}.py" for name in ("classifier_model", "epochs", "finetuning", "parity", "pieces")
}
DOORS = {
    "faiss": {"embstore/store/structures/"},
    "sqlite_utils": {"embstore/store/sqlite_tables.py"},
    "datasets": {"embstore/data/"},
    "pyarrow": {"embstore/data/"},
    "pandas": {"embstore/flows/projection.py"},
    "umap": {"embstore/maps/projection.py"},
    "numba": {"embstore/maps/descent.py"},
    "plotly": {"embstore/maps/map_page.py"},
    "transformers": {
        "embstore/encode/",
        *FINETUNING,
    },
    "torch": {"embstore/encode/", *FINETUNING, "embstore/flows/finetune.py"},
    "tokenizers": {"embstore/encode/"},
    "safetensors": {
        "embstore/encode/",
        "embstore/store/derived.py",
        "embstore/store/handover.py",
        "embstore/store/keeping.py",
        *FINETUNING,
    },
    "sklearn": {"embstore/learn/"},
    "scipy": {"embstore/learn/"},
    "threadpoolctl": {"embstore/learn/logistic.py", "embstore/service/encoder_process.py"},
    "onnxruntime": {"embstore/encode/onnx_encoder.py", "embstore/encode/onnx_export.py"},
    "onnx": {"embstore/encode/onnx_graph.py"},
    "matplotlib": {"embstore/maps/"},
    "jinja2": {"embstore/maps/"},
    "huggingface_hub": {"embstore/encode/model_files.py", "embstore/data/"},
    "sqlite3": {"embstore/store/"},
    "rich": {"cli/embstore_cli/output.py"},
    "click": {"cli/embstore_cli/"},
    "fastapi": {"embstore/service/"},
    "starlette": {"embstore/service/"},
    "pydantic": {"embstore/service/"},
    "pydantic_core": {"embstore/service/"},
    "uvicorn": {"embstore/service/server.py"},
    "prometheus_client": {"embstore/service/metrics.py"},
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield each imported module and whether it is imported inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {id(node) for one in ast.walk(tree) if isinstance(one, FUNCTIONS) for node in ast.walk(one)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in inner) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, id(node) in inner


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def floor(module: str) -> tuple[str, int] | None:
    parts = module.split(".")
    room = "cli" if parts[0] == "embstore_cli" else parts[1] if parts[0] == "embstore" and parts[1:] else ""
    return (room, FLOORS[room]) if room in FLOORS else None


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_lower_floors_and_its_own_room(path: Path) -> None:
    here = floor(".".join(path.relative_to(ROOT / ("cli" if "embstore_cli" in path.parts else ".")).parts))
    if here is None or path == ROOT / "embstore" / "__init__.py":
        return
    for module, _ in imports(path):
        there = floor(module)
        if there and there[0] != here[0]:
            assert there[1] < here[1], f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_library_has_one_door(path: Path) -> None:
    for module, _ in imports(path):
        doors = DOORS.get(module.split(".")[0])
        if doors:
            assert any(name_of(path).startswith(door) for door in doors), f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_stand_at_the_top_but_for_a_commands_output(path: Path) -> None:
    lazy = {module for module, inside in imports(path) if inside}
    allowed = {"embstore_cli"} if "commands" in path.parts else set()
    assert lazy <= allowed


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_has_at_most_300_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_the_public_names_are_those_that_are_typed() -> None:
    import embstore

    tree = ast.parse((ROOT / "embstore" / "__init__.py").read_text(encoding="utf-8"))
    typed = next(one for one in tree.body if isinstance(one, ast.If))
    names = [alias.name for one in typed.body if isinstance(one, ast.ImportFrom) for alias in one.names]
    assert sorted(names) == sorted(embstore._HOME_OF) == sorted(embstore.__all__)
    for name in embstore.__all__:
        assert getattr(embstore, name) is not None
    assert set(embstore.__all__) <= set(dir(embstore))


def loaded(code: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter has loaded after some code."""
    script = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'cli'}", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    return set(done.stdout.split("\n")[-2].split())


def test_help_loads_click_alone() -> None:
    heavy = {
        "numpy",
        "torch",
        "transformers",
        "datasets",
        "faiss",
        "rich",
        "sqlite_utils",
        "sqlite3",
        "pandas",
    }
    packages = loaded("from embstore_cli.main import run\nrun(['--help'])")
    assert "click" in packages
    assert not packages & heavy


def test_a_text_file_is_read_without_datasets() -> None:
    packages = loaded("import embstore\nlist(embstore.open_dataset('sample'))")
    assert not packages & {"datasets", "pyarrow", "pandas"}


def test_opening_a_store_loads_no_encoder_and_no_writer() -> None:
    packages = loaded("import embstore\nembstore.Store, embstore.find_neighbors_of_record")
    assert "faiss" in packages
    assert not packages & HEAVY


def test_classifying_loads_no_encoder_and_nothing_to_learn_with() -> None:
    packages = loaded("import embstore\nembstore.Classifier, embstore.classify_texts")
    assert "faiss" in packages
    assert not packages & HEAVY


def test_a_command_writes_without_pandas_which_can_be_loaded_all_the_same() -> None:
    writer = "import embstore_cli.main\nimport embstore.store.writer\n"
    assert "sqlite_utils" in loaded(writer)
    assert "pandas" not in loaded(writer)
    assert "pandas" in loaded(f"{writer}import pandas")


def test_others_who_use_sqlite_utils_find_it_as_it_is() -> None:
    ours = "import embstore.store.writer\n"
    insert = "sqlite_utils.Database(memory=True)['t'].insert({'at': pandas.Timestamp(0)})"
    assert "pandas" in loaded(f"{ours}import pandas, sqlite_utils\n{insert}")


HEAVY = {"torch", "transformers", "datasets", "sqlite_utils", "pandas", "sklearn", "scipy", "onnx"}
