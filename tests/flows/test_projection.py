"""Projections through the public names: known neighbors, kept ones, and every file that is written."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.manifold import trustworthiness

import embstore
import stub_store
from embstore.errors import InvalidData, InvalidInput, NotFound, StoreDamaged
from embstore.flows.map_content import map_content
from embstore.maps.layout import Nearest, minmax
from embstore.maps.projection import Projector
from embstore.store.derived import list_derived
from embstore.store.graph import graph_of
from embstore.store.keeping import drop_derived
from embstore_cli.main import run
from flows.test_classify import build, rows

Options = embstore.ProjectionOptions


@pytest.fixture
def store(tmp_path: Path, tiny_bert: Path) -> str:
    records = [*rows(40), {"id": "bare", "split": "test", "label": None, "text": '=the cat\nsat, "so"'}]
    build(tmp_path, tiny_bert, records)
    return "mine"


def kept(store: str) -> int:
    with embstore.Store.open(store) as opened:
        return len(list_derived(opened.reader, "projection"))


def test_the_page_of_a_store_beside_another_of_its_name_shows_its_own_neighbors(
    tmp_path: Path, tiny_bert: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    records = [{"id": f"here {i}", "split": "train", "label": "a", "text": f"{i} cats sat"} for i in range(9)]
    table = here / "records.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in records), encoding="utf-8")
    embstore.build_store(table, store, encoder=str(tiny_bert), home=here)
    monkeypatch.chdir(here)
    # Its path is its name alone, which elsewhere is looked up in the usual home.
    near, far = (
        map_content(embstore.project_store(store, home=home, options=Options(neighbors=3)))
        for home in (".", here)
    )
    assert near["similarities"] == far["similarities"]
    assert near["neighbors"] == far["neighbors"]


def test_a_record_whose_neighbors_have_no_label_is_predicted_none(tmp_path: Path) -> None:
    stub_store.build(tmp_path, ["b", "b", *[None] * 60, "a", "a"])
    found = map_content(embstore.project_store("mine"))
    with embstore.Store.open("mine") as opened:
        _, voting = graph_of(opened).within(opened.rows(), k=30)
    for said, near in zip(found["predicted"], voting.tolist(), strict=True):
        assert (said is None) == all(found["labels"][row] is None for row in near)
    assert None in found["predicted"]


def test_a_projection_keeps_neighbors_together_and_is_the_same_again() -> None:
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(5, 16))
    embeddings = (centers[np.arange(300) % 5] + 0.4 * generator.normal(size=(300, 16))).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = embeddings @ embeddings.T
    np.fill_diagonal(cosines, -2)
    order = np.argsort(-cosines, axis=1)[:, :15]
    nearest = Nearest(np.take_along_axis(cosines, order, axis=1), order)
    first = Projector(Options()).fit(embeddings, nearest)
    assert first.shape == (300, 2)
    assert first.tobytes() == Projector(Options()).fit(embeddings, nearest).tobytes()
    own = Projector(Options()).fit(embeddings)
    ours, stock = (
        trustworthiness(embeddings, found, n_neighbors=15, metric="cosine") for found in (first, own)
    )
    assert ours > stock - 0.01
    placed = Projector(Options())
    placed.fit(embeddings[:250], Nearest(*subset(cosines[:250, :250], 15)))
    found = placed.place(embeddings[250:], Nearest(*subset(cosines[250:, :250], 15)))
    # Each new point lies with those of its own cluster.
    base = placed._umap.embedding_
    near = np.linalg.norm(found[:, None] - base[None], axis=-1).argmin(axis=1)
    assert ((near % 5) == (np.arange(250, 300) % 5)).mean() > 0.9


def subset(cosines: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-cosines, axis=1)[:, :k]
    return np.take_along_axis(cosines, order, axis=1), order


@pytest.mark.parametrize("dim", [2, 3])
def test_as_few_records_as_are_not_refused_are_laid_out(dim: int) -> None:
    options = Options(dim=dim, neighbors=dim + 1)
    embeddings = np.eye(dim + 2, dtype=np.float32)
    assert np.isfinite(Projector(options).fit(embeddings)).all()
    with pytest.raises(InvalidData, match="too few"):
        Projector(Options(dim=dim, neighbors=2)).fit(embeddings[:-1])


def test_a_picture_of_three_dimensions_is_refused_before_any_work(tmp_path: Path) -> None:
    outputs = embstore.ProjectionOutputs(page=str(tmp_path / "map.html"))
    outputs.check(2)
    with pytest.raises(InvalidInput, match="2 dimensions"):
        outputs.check(3)


def test_minmax_spans_the_reference() -> None:
    values = np.array([[1, 5, 2], [3, 5, 4]], dtype=np.float32)
    np.testing.assert_array_equal(minmax(values, values), [[0, 0, 0], [1, 0, 1]])


def test_a_projection_is_kept_until_its_records_or_options_change(
    store: str, tmp_path: Path, tiny_bert: Path
) -> None:
    first = embstore.project_store(store, options=Options(neighbors=5))
    again = embstore.project_store(store, options=Options(neighbors=5))
    assert (first.kept, again.kept) == (False, True)
    assert first.coordinates.tobytes() == again.coordinates.tobytes()
    assert not embstore.project_store(store, options=Options(neighbors=5, seed=1)).kept
    assert kept(store) == 2
    assert embstore.verify_store(store).problems == ()
    build(tmp_path, tiny_bert, rows(30))
    assert not embstore.project_store(store, options=Options(neighbors=5)).kept
    assert kept(store) == 1


def test_a_projection_that_was_damaged_is_laid_out_again_and_kept(store: str) -> None:
    first = embstore.project_store(store, options=Options(neighbors=5))
    (file,) = Path(first.store).glob("projections/*")
    file.write_bytes(file.read_bytes()[:-1])
    assert "it is made again when it is next needed" in embstore.verify_store(store).problems[0]
    again = embstore.project_store(store, options=Options(neighbors=5))
    assert not again.kept
    assert again.coordinates.tobytes() == first.coordinates.tobytes()
    assert embstore.verify_store(store).problems == ()
    assert embstore.project_store(store, options=Options(neighbors=5)).kept


def test_an_old_projection_that_another_process_drops_first_costs_no_layout(
    store: str, tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embstore.project_store(store, options=Options(neighbors=5))
    build(tmp_path, tiny_bert, rows(30))

    def drop_late(path: Path, kind: str, name: str) -> None:
        drop_derived(path, kind, name)
        drop_derived(path, kind, name)

    monkeypatch.setattr("embstore.flows.projection.drop_derived", drop_late)
    assert len(embstore.project_store(store, options=Options(neighbors=5)).coordinates) == 30
    assert kept(store) == 1


def test_another_process_gives_the_same_bytes(store: str) -> None:
    code = (
        "import embstore, hashlib\n"
        "options = embstore.ProjectionOptions(neighbors=5, seed=7)\n"
        f"found = embstore.project_store({store!r}, options=options)\n"
        "print(hashlib.sha256(found.coordinates.tobytes()).hexdigest(), found.kept)"
    )
    with embstore.Store.open(store) as opened:
        home = opened.path.parent
    found = set()
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={"EMBSTORE_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
        digest, was_kept = done.stdout.split()
        assert was_kept == "False"
        found.add(digest)
        with embstore.Store.open(store) as opened:
            for file in (opened.path / "projections").iterdir():
                file.unlink()
    assert len(found) == 1


@pytest.mark.parametrize(
    "options",
    [
        Options(neighbors=5, fit_on="train"),
        Options(neighbors=5, fit_on="train", scale="minmax", dim=3),
        Options(neighbors=5, metric="euclidean"),
        Options(neighbors=5, supervised=True, min_dist=0.5),
    ],
)
def test_options_give_finite_coordinates_for_all_records(store: str, options: Options) -> None:
    found = embstore.project_store(store, options=options)
    assert found.coordinates.shape == (41, options.dim)
    assert np.isfinite(found.coordinates).all()
    frame = found.frame()
    assert list(frame.columns) == [*("X", "Y", "Z")[: options.dim], "label"]
    assert list(frame.index) == found.ids


def test_splits_are_projected_alone(store: str) -> None:
    found = embstore.project_store(store, splits=["train"], options=Options(neighbors=5))
    assert set(found.splits) == {"train"}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"splits": ["dev"]}, NotFound, "no split 'dev'"),
        ({"options": Options(neighbors=41)}, InvalidData, "41 records: too few"),
        ({"splits": ["test"], "options": Options(neighbors=2)}, InvalidData, "1 record: too few"),
        ({"options": Options(fit_on="dev")}, NotFound, "no split 'dev'"),
        ({"splits": ["test"], "options": Options(neighbors=5, supervised=True)}, InvalidData, "too few"),
    ],
)
def test_what_cannot_be_projected_is_refused(
    store: str, call: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        embstore.project_store(store, **call)  # type: ignore[arg-type]


def test_a_split_to_fit_on_that_is_not_there_is_mended_by_its_own_option(store: str) -> None:
    with pytest.raises(NotFound) as told:
        embstore.project_store(store, options=Options(fit_on="dev"))
    assert told.value.fix.split() in (["--fit-on", name] for name in ("train", "validation", "test"))


@pytest.mark.parametrize(
    "values",
    [{"dim": 4}, {"neighbors": 1}, {"min_dist": 2}, {"metric": "manhatan"}, {"scale": "log"}, {"seed": -1}],
)
def test_options_that_cannot_be_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        Options(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_an_embedding_that_is_not_finite_names_the_store_to_verify(tmp_path: Path, metric: str) -> None:
    stub_store.build(tmp_path, ["a"] * 40)
    path = tmp_path / "home" / "mine"
    with (path / "embeddings" / "000001.f32").open("r+b") as shard:
        shard.seek(4096)
        shard.write(np.full(16, np.nan, dtype="<f4").tobytes())
    with pytest.raises(StoreDamaged, match="NaN") as caught:
        embstore.project_store("mine", options=Options(metric=metric))
    assert caught.value.fix == f"embstore verify -s {path}"


def test_one_label_cannot_supervise(tmp_path: Path, tiny_bert: Path) -> None:
    build(tmp_path, tiny_bert, [{**row, "label": "only"} for row in rows(20)], "single")
    with pytest.raises(InvalidData, match="needs 2 labels"):
        embstore.project_store("single", options=Options(neighbors=5, supervised=True))


def test_every_file_holds_the_projection(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["a.csv", "a.jsonl", "a.parquet", "a.npy"]
    command = ["umap", "-s", store, "--neighbors", "5"]
    for name in names:
        command += ["--output", str(tmp_path / name)]
    pictures = {"--picture": "p.png", "--density": "d.svg", "--html": "m.html"}
    for option, name in pictures.items():
        command += [option, str(tmp_path / name)]
    assert run([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 41
    found = embstore.project_store(store, options=Options(neighbors=5))
    with (tmp_path / "a.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["id"] for row in table] == found.ids
    assert table[-1]["text"] == '\'=the cat\nsat, "so"'
    np.testing.assert_array_equal(
        np.array([row["X"] for row in table], dtype=np.float32), found.coordinates[:, 0]
    )
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines[-1]["label"] is None
    assert pq.read_table(tmp_path / "a.parquet").column("text").to_pylist() == found.texts
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), found.coordinates)
    assert all((tmp_path / name).stat().st_size > 5000 for name in pictures.values())
    assert run(command) == 2
    assert "exists already" in capsys.readouterr().err
    assert run([*command, "--overwrite", "--raw"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "a.xlsx"], "no format"),
        (["--output", "a.png"], "Fix: --picture a.png"),
        (["--picture", "a.gif"], "no format"),
        (["--html", "none/a.html"], "no folder"),
        (["--dim", "3", "--picture", "a.png", "--neighbors", "5"], "2 dimensions"),
        (["--neighbors", "100"], "too few"),
    ],
)
def test_the_command_says_what_is_wrong(
    store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["umap", "-s", store, *arguments]) in (1, 2)
    assert message in capsys.readouterr().err


def test_a_full_disk_leaves_the_older_picture(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "p.png"
    target.write_text("older")
    projection = embstore.project_store(store, options=Options(neighbors=5))
    outputs = embstore.ProjectionOutputs(picture=target, overwrite=True)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(embstore.EmbstoreError, match="No space left"):
        outputs.write(projection)
    assert target.read_text() == "older"
    assert [one.name for one in tmp_path.iterdir() if "unfinished" in one.name] == []


def test_a_record_without_a_direction_once_scaled_is_no_damage(tmp_path: Path, tiny_bert: Path) -> None:
    build(tmp_path, tiny_bert, [{**row, "text": "the cat"} for row in rows(40)])
    with pytest.raises(InvalidData, match="no direction once scaled") as caught:
        embstore.project_store("mine", options=Options(scale="minmax"))
    assert "--metric euclidean" in caught.value.fix
    found = embstore.project_store("mine", options=Options(scale="minmax", metric="euclidean"))
    assert np.isfinite(found.coordinates).all()


def test_the_labels_that_supervise_are_those_of_the_split_that_is_fitted(
    tmp_path: Path, tiny_bert: Path
) -> None:
    bare = [{"id": f"bare {i}", "split": "bare", "label": None, "text": f"{i} cats"} for i in range(20)]
    build(tmp_path, tiny_bert, [*rows(40), *bare])
    with pytest.raises(InvalidData, match="needs 2 labels; the records that it is fitted on have 0"):
        embstore.project_store("mine", options=Options(supervised=True, fit_on="bare"))


def test_an_empty_split_to_fit_on_and_one_string_of_splits_are_refused(store: str) -> None:
    with pytest.raises(NotFound, match="no split ''"):
        embstore.project_store(store, options=Options(fit_on=""))
    with pytest.raises(InvalidInput, match="not the string 'train'"):
        embstore.project_store(store, splits="train")
