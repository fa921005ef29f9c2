import csv
from pathlib import Path
from typing import Any

import pytest

from callbacks import AccuracyCurve, AdapterCheckpoint
from callbacks.accuracy_curve import draw_curve
from flowdpo_pl.errors import UserError
from tests.callbacks.playing import Playing, Stopped, fit, stop_at, validate


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "accuracy_curve.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def problems(folder: Path) -> list[int]:
    return [int(row["problems"]) for row in rows(folder)]


def assert_is_a_picture(path: Path) -> None:
    from matplotlib.image import imread

    pixels = imread(path)
    assert path.read_bytes().startswith(b"\x89PNG") and pixels.ndim == 3
    assert len({tuple(pixel) for pixel in pixels.reshape(-1, pixels.shape[2])[::50].tolist()}) > 3, "blank"


def test_every_batch_is_a_row_and_the_end_a_picture(tmp_path: Path) -> None:
    module = fit(tmp_path, AccuracyCurve())
    table = rows(tmp_path)
    assert problems(tmp_path) == [4, 8, 12, 16]
    assert list(table[0]) == [
        "problems",
        *(f"progressive_{part}" for part in ("accuracy", "low", "high")),
        *(f"window_{part}" for part in ("accuracy", "low", "high")),
        "answer_pairs",
        "stop_pairs",
    ]
    final = module.accuracy.compute()
    assert float(table[-1]["progressive_accuracy"]) == pytest.approx(
        final["progressive_accuracy"].item(), abs=1e-6
    )
    assert float(table[-1]["window_high"]) == pytest.approx(final["window_high"].item(), abs=1e-6)
    assert_is_a_picture(tmp_path / "accuracy_curve.png")


def test_validate_draws_one_bar_of_all_its_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[tuple[Any, ...]] = []
    monkeypatch.setattr("callbacks.accuracy_curve.draw_measured", lambda *given: measured.append(given))
    module = validate(tmp_path, AccuracyCurve())
    over_all = module.accuracy.compute()
    parts = [pytest.approx(float(over_all[name])) for name in ("accuracy", "low", "high")]
    assert measured == [(*parts, 16, tmp_path / "accuracy_curve.png")]


def test_validate_writes_the_curve_too(tmp_path: Path) -> None:
    validate(tmp_path, AccuracyCurve())
    assert problems(tmp_path) == [4, 8, 12, 16]
    assert_is_a_picture(tmp_path / "accuracy_curve.png")


def test_a_validation_inside_fit_is_left_out(tmp_path: Path) -> None:
    class ValidatedToo(Playing):
        def on_validation_start(self) -> None:
            pass

        def validation_step(self, batch: Any, batch_idx: int) -> dict[str, float]:
            return {}

    fit(tmp_path, AccuracyCurve(), module=ValidatedToo(), limit_val_batches=1, val_check_interval=2)
    assert problems(tmp_path) == [4, 8, 12, 16]


def test_on_resume_rows_beyond_the_checkpoint_are_removed(tmp_path: Path) -> None:
    curve, checkpoint = AccuracyCurve(), AdapterCheckpoint(every_n_problems=8)
    with pytest.raises(Stopped):
        fit(tmp_path, curve, checkpoint, module=Playing(before_batch=stop_at(12)), enable_checkpointing=True)
    assert problems(tmp_path) == [4, 8, 12]
    first = rows(tmp_path)[:2]
    with (tmp_path / "accuracy_curve.csv").open("a") as file:
        file.write("16,0.5,0.")  # killed while writing
    fit(tmp_path, AccuracyCurve(), ckpt_path=tmp_path / "checkpoints" / "last.ckpt")
    assert problems(tmp_path) == [4, 8, 12, 16]
    assert rows(tmp_path)[:2] == first


def test_a_fresh_run_in_the_same_folder_begins_a_new_table(tmp_path: Path) -> None:
    fit(tmp_path, AccuracyCurve())
    fit(tmp_path, AccuracyCurve(), module=Playing(max_problems=8))
    assert problems(tmp_path) == [4, 8]


def test_a_stopped_run_has_its_picture(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        fit(tmp_path, AccuracyCurve(), module=Playing(before_batch=stop_at(4)))
    assert_is_a_picture(tmp_path / "accuracy_curve.png")


def test_it_is_drawn_while_the_run_goes_on(tmp_path: Path) -> None:
    def look(seen: int) -> None:
        assert (tmp_path / "accuracy_curve.png").exists() == (seen >= 8)

    fit(tmp_path, AccuracyCurve(every_n_problems=8), module=Playing(before_batch=look))


def test_a_drawing_that_fails_leaves_the_old_picture(tmp_path: Path) -> None:
    fit(tmp_path, AccuracyCurve())
    table, picture = tmp_path / "accuracy_curve.csv", tmp_path / "accuracy_curve.png"
    before = picture.read_bytes()
    table.write_text(table.read_text().replace("0.", "x.", 1))
    with pytest.raises(ValueError, match=r"x\."):
        draw_curve(table, picture)
    assert picture.read_bytes() == before and not list(tmp_path.glob(".*"))


def test_a_foreign_line_is_named_on_resume(tmp_path: Path) -> None:
    fit(tmp_path, AdapterCheckpoint(every_n_problems=8), enable_checkpointing=True)
    (tmp_path / "accuracy_curve.csv").write_text("problems,x\nnine,1\n")
    with pytest.raises(UserError, match=r"accuracy_curve\.csv, line 2: not a line of this log"):
        fit(tmp_path, AccuracyCurve(), ckpt_path=tmp_path / "checkpoints" / "problems_000008.ckpt")
