"""What the commands say reads as a sentence of a person, whatever the numbers in it are."""

from __future__ import annotations

from pathlib import Path

import pytest

from embstore_cli.main import run
from stub_store import build


def test_fit_leaves_out_what_a_uniform_vote_has_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = build(tmp_path, ["a", "b"] * 10)
    assert run(["fit", "-s", store, "--head", "knn", "--weighting", "uniform"]) == 0
    out = capsys.readouterr().out
    assert "weighting uniform" in out
    assert "None" not in out
    assert run(["fit", "-s", store, "--head", "knn", "--weighting", "similarity"]) == 0
    assert "sharpness" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        ("1", "no text: no threshold has 100 % of them right or more"),
        ("0", "every text"),
        ("0.001", "100.0 % of held-out texts, 0.1 % of them right or more"),
    ],
)
def test_fit_says_how_much_the_head_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], precision: str, said: str
) -> None:
    store = build(tmp_path, ["a", "b"] * 20)
    assert run(["fit", "-s", store, "--precision", precision]) == 0
    assert said in capsys.readouterr().out
