"""The page is one file that runs nothing but its own scripts; texts stay texts.

Also tests `report.reported_run`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.report import overview
from flowdpo_pl.report.markup import Markup
from flowdpo_pl.report.page import page
from flowdpo_pl.report.reported_run import ReportedRun, name_of
from flowdpo_pl.view.selection import Selection
from tests.example_trees import path, random_tree, written
from tests.finished_runs import copied
from tests.hostile import HOSTILE
from tests.mutants import mutants
from tests.tree_files import write_trees
from tests.view.test_page import Elements


def elements(*runs: Path, title: str = "runs/x") -> Elements:
    read = [ReportedRun.at(run, run.parent.name) for run in runs]
    return Elements(page(title, read, Markup(""), Selection(), runs[0] / "report.html"))


def texts(found: Elements) -> str:
    return " ".join(
        content
        for (tag, _), content in zip(found.found, found.contents, strict=True)
        if tag not in ("script", "style")
    )


def charts(found: Elements) -> list[str]:
    return [str(a["id"]) for a, _ in found.of("script") if str(a.get("id", "")).startswith("chart-")]


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    return copied(finished_run, tmp_path / "one")


def test_everything_of_a_run_is_there(run: Path) -> None:
    found = elements(run)
    titles = [content for _, content in found.of("h2")]
    kinds = ["Accuracy", "What limits learning", "Pairs and ties", "The chooser", "Learning"]
    assert titles == [*kinds, "Time and tokens", "Trees"]
    assert len(charts(found)) == len([a for a, _ in found.of("div") if "data-chart" in a]) == 8
    told = texts(found)
    assert "It finished, ended by max_problems." in told and "AnswerStopFlow (chunk_tokens 12" in told
    links = [a["href"] for a, _ in found.of("a")]
    assert set(links) >= {"config.yaml", "metrics.csv", "summary.json"}
    assert all((run / str(link)).exists() for link in links)


def test_the_policy_allows_these_scripts_alone_and_nothing_is_fetched(run: Path) -> None:
    found = elements(run)
    (told,) = (a["content"] for a, _ in found.of("meta") if a.get("http-equiv"))
    assert told is not None and told.startswith("default-src 'none'; ")
    assert told.split("; ")[1:3] == ["style-src 'unsafe-inline'", "img-src data:"]
    allowed = told.partition("script-src ")[2].partition(";")[0].split()
    scripts = [content for a, content in found.of("script") if "type" not in a]
    assert allowed == [
        f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in scripts
    ]
    assert len(scripts) == 3 and "unsafe" not in told.replace("style-src 'unsafe-inline'", "")
    assert not [a for _, a in found.found if "src" in a or str(a.get("href", "")).startswith("http")]


def test_hostile_texts_stay_texts(run: Path) -> None:
    config = (run / "config.yaml").read_text(encoding="utf-8")
    first, *_ = HOSTILE
    config = config.replace("path: quickstart/problems/train.jsonl", f"path: {json.dumps(first)}", 1)
    config = config.replace("user: '{question}'", f"user: {json.dumps(' '.join([*HOSTILE][:7]))}", 1)
    (run / "config.yaml").write_text(config, encoding="utf-8")
    metrics = (run / "metrics.csv").read_text(encoding="utf-8")
    (run / "metrics.csv").write_text(metrics.replace("answer/", "<img src=x>/"), encoding="utf-8")
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    summary |= {"ended": first, "findings": [{"sentence": one, "try": one} for one in HOSTILE]}
    (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    trees = []
    for number, text in enumerate(HOSTILE):
        tree = random_tree(number)
        move = replace(written("w"), text=text, agent=first)
        main = path([move], True)
        problem = replace(tree.problem, question=text, gold=text, id=text)
        trees.append(replace(tree, problem=problem, main=main, forks=(), nodes_without_alternative=(0,)))
    write_trees(run, trees)
    before = [tag for tag, _ in elements(run).found]
    found = elements(run, title=first)
    names = [tag for tag, _ in found.found]
    assert names == before and not {"img", "b", "iframe", "link"} & set(names)
    assert all(
        json.loads(content) for a, content in found.of("script") if a.get("type") == "application/json"
    )
    assert len([a for a, _ in found.of("script") if "type" not in a]) == 3
    assert found.of("title")[0][1] == first and first in texts(found)


def test_a_run_that_has_not_ended_is_shown_as_far_as_it_is(run: Path) -> None:
    findings = ReportedRun.at(run, "one").findings()
    (run / "summary.json").unlink()
    found = elements(run)
    assert "has not ended" in texts(found) and len(charts(found)) == 8
    assert ReportedRun.at(run, "one").findings() == findings


def test_what_is_missing_is_left_out_with_a_sentence(run: Path) -> None:
    for name in ("metrics.csv", "trees.jsonl"):
        (run / name).unlink()
    found = elements(run)
    assert len(charts(found)) == 1
    assert "nothing of it: pairs and ties, the chooser, learning, time and tokens, trees." in texts(found)
    (run / "accuracy_curve.csv").unlink()
    assert charts(elements(run)) == []
    (run / "summary.json").unlink()
    with pytest.raises(UserError, match=r"has nothing to report yet: no metrics\.csv"):
        elements(run)


def test_a_summary_with_anything_in_any_place_is_told_as_far_as_it_is_one(run: Path) -> None:
    file = run / "summary.json"
    summary = json.loads(file.read_text(encoding="utf-8"))
    first = {"sentence": "it stands still", "try": "a larger rate"}
    kept = {key: summary[key] for key in ("ended", "ended_by", "pairs", "seconds")}
    for mutant in mutants({**kept, "loss": 0.5, "findings": [first]}):
        file.write_text(json.dumps(mutant), encoding="utf-8")
        read = ReportedRun.at(run, "one")
        assert all(told(read) is not None for told in (overview.facts, overview.findings))
        assert overview.runs_table([read])


def test_a_curve_of_another_form_is_refused_or_left_out(run: Path) -> None:
    file = run / "accuracy_curve.csv"
    head = file.read_bytes().splitlines()[0]
    for content in (b"\xff\xfe\n\xff\n", head + b"\n8,x,x,x,x,x,x\n", b"[" * 9 + b"\n1\n"):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"accuracy_curve\.csv"):
            elements(run)
    file.write_bytes(head + b"\n8,0")  # killed in its first row
    assert ReportedRun.at(run, "one").curve is not None, "that of metrics.csv"
    metrics = run / "metrics.csv"
    lines = metrics.read_text(encoding="utf-8").splitlines()
    cells = ["1e308" if "window_high" in name else "1" for name in lines[0].split(",")]
    metrics.write_text("\n".join([lines[0], ",".join(cells), ""]), encoding="utf-8")
    assert ReportedRun.at(run, "one").curve is None


def test_without_its_curve_a_run_has_that_of_its_metrics(run: Path) -> None:
    before = ReportedRun.at(run, "one").curve
    (run / "accuracy_curve.csv").unlink()
    after = ReportedRun.at(run, "one").curve
    assert before is not None and after is not None and after.problems == before.problems
    for kind in ("progressive", "window"):
        for one, other in zip(before.of(kind), after.of(kind), strict=True):
            assert other == pytest.approx(one, abs=1e-6)


def test_runs_of_one_experiment_differ_in_the_seed_alone(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "two" / run.name
    shutil.copytree(run, other)
    config = other / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("seed_everything: 3", "seed_everything: 4"), encoding="utf-8")
    one, two = ReportedRun.at(run, "one"), ReportedRun.at(other, "two")
    assert one.experiment == two.experiment and (one.seed, two.seed) == (3, 4)
    assert name_of([one]) == "one" and name_of([one, two]) == run.name
    found = elements(run, other)
    assert [a["id"] for a, _ in found.of("details") if a.get("class") == "run"] == ["run-1", "run-2"]
    together = next(content for a, content in found.of("script") if a.get("id") == "chart-runs-0")
    assert f"{run.name}, mean of 2 seeds" in together
    config.write_text(text.replace("lr: 0.003", "lr: 0.004"), encoding="utf-8")
    assert ReportedRun.at(other, "two").experiment != one.experiment


def test_a_fine_tuning_has_its_loss_and_no_word_of_play(run: Path) -> None:
    config = run / "config.yaml"
    text = config.read_text(encoding="utf-8").replace(
        "class_path: flowdpo_pl.FlowDPOModule", "class_path: flowdpo_pl.SFTModule"
    )
    config.write_text(text, encoding="utf-8")
    for name in ("trees.jsonl", "accuracy_curve.csv"):
        (run / name).unlink()
    (run / "metrics.csv").write_text(
        "step,train/loss,completion_tokens\n1,2.0,8\n2,1.5,8\n", encoding="utf-8"
    )
    summary = {"ended": "finished", "ended_by": "max_epochs", "loss": 1.25, "seconds": 3.5}
    (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    found = elements(run)
    assert charts(found) == ["chart-learning-1-0"] and [told for _, told in found.of("h2")] == ["Learning"]
    assert "1.250" in texts(found) and "0:00:04" in texts(found) and "Not shown" not in texts(found)
