"""Pictures of a projection: they hold what they should, whatever the labels are."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib import image

from embstore.errors import InvalidData, InvalidInput
from embstore.maps.figures import Estimate, accuracy_figure
from embstore.maps.pictures import COLORS, LabelledPoints, density_picture, scatter_picture


def points(n_labels: int = 6, n: int = 200, dim: int = 2) -> LabelledPoints:
    generator = np.random.default_rng(0)
    labels: list[str | None] = [f"label {i % n_labels}" for i in range(n)]
    labels[0] = None
    return LabelledPoints(
        generator.normal(size=(n, dim)).astype(np.float32), labels, "emotion: 200 texts, tiny", "UMAP, cosine"
    )


@pytest.mark.parametrize("draw", [scatter_picture, density_picture])
@pytest.mark.parametrize("n_labels", [1, 6, 77])
def test_a_picture_is_drawn_for_any_number_of_labels(draw: object, n_labels: int) -> None:
    png = draw(points(n_labels), ".png")  # type: ignore[operator]
    height, width, _ = image.imread(io.BytesIO(png)).shape
    assert min(width, height) > 400
    svg = draw(points(n_labels), ".svg").decode()  # type: ignore[operator]
    assert svg.startswith("<?xml")


@pytest.mark.parametrize("draw", [scatter_picture, density_picture])
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_points_give_the_same_bytes(draw: object, suffix: str) -> None:
    assert draw(points(), suffix) == draw(points(), suffix)  # type: ignore[operator]


@pytest.mark.parametrize("draw", [scatter_picture, density_picture])
def test_texts_that_look_like_formulas_or_markup_are_drawn(draw: object) -> None:
    hostile = ["$x^", "_hidden", "<b>&", "\x00\ud800", "a" * 500, "日本語", "$$", "$\\frac{$"]
    found = points(8)
    labels = [hostile[i % 8] for i in range(200)]
    shown = LabelledPoints(found.coordinates, labels, "$title^ <b>", "\n$")
    assert draw(shown, ".svg").startswith(b"<?xml")  # type: ignore[operator]


def test_all_pictures_wait_for_the_same_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    entered = []

    class Lock:
        def __enter__(self) -> None:
            entered.append(self)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr("embstore.maps.drawing._LOCK", Lock())
    scatter_picture(points(), ".svg")
    density_picture(points(), ".svg")
    accuracy_figure([Estimate("knn", 0.5, 0.4, 0.6)])
    assert len(entered) == 3


def test_few_points_are_drawn_large_enough_to_tell_their_colors() -> None:
    picture = image.imread(io.BytesIO(scatter_picture(points(n=900), ".png")))[:, :, :3]
    colored = picture.max(axis=2) - picture.min(axis=2) > 0.2
    assert colored.mean() > 0.02


def test_the_hexagons_of_a_density_are_as_wide_as_few_points_need() -> None:
    few, many = (density_picture(points(1, n=n), ".svg").count(b"<use") for n in (200, 20_000))
    assert few < many / 3


def test_labels_stand_by_frequency_and_those_without_one_last() -> None:
    found = LabelledPoints(np.zeros((6, 2), dtype=np.float32), ["b", None, "a", "b", None, None], "", "")
    assert [(name, int(flags.sum())) for name, flags in found.groups()] == [
        ("b", 2),
        ("a", 1),
        ("no label", 3),
    ]


def test_a_label_that_is_called_no_label_is_not_what_has_none() -> None:
    found = LabelledPoints(np.zeros((2, 2), dtype=np.float32), ["", None], "", "")
    assert len(found.groups()) == 2


def test_colors_stay_apart_from_white_and_from_each_other() -> None:
    values = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in COLORS]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (1.05 / (luminance + 0.05) > 1.9).all()
    assert len(set(COLORS)) == len(COLORS)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InvalidInput, match="2 dimensions"):
        scatter_picture(points(dim=3), ".png")
    with pytest.raises(InvalidInput, match="too many"):
        density_picture(points(150), ".png")
    broken = points()
    broken.coordinates[3] = np.nan
    with pytest.raises(InvalidData, match="NaN"):
        scatter_picture(broken, ".png")
