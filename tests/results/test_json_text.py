import json
from pathlib import Path

from flowdpo_pl.results.fork_rows import write_forks
from flowdpo_pl.results.json_text import json_text
from flowdpo_pl.results.tree_io import read_trees
from tests.example_trees import choice, fork, main_only, written
from tests.hostile import HOSTILE

WHOLE = {"text": "é 数 \u2028 \x1b[31m \x00", "half": "\ud83d and \udfff"}


def test_any_text_is_utf_8_and_comes_back() -> None:
    assert json.loads(json_text(WHOLE).encode().decode()) == WHOLE
    assert "é 数" in json_text(WHOLE)


def test_hostile_texts_are_kept_as_trees_and_as_a_table(tmp_path: Path) -> None:
    from flowdpo_pl.results.tree_io import tree_to_dict

    trees = []
    for text in HOSTILE:
        tree = main_only(True, written(text), choice(0), gold=text, name=text)
        other = fork(tree.main, 0, written(text + "!"), [], False)
        trees.append(type(tree)(tree.problem, tree.main, (other,)))
    file = tmp_path / "trees.jsonl"
    file.write_text("".join(json_text(tree_to_dict(tree)) + "\n" for tree in trees), encoding="utf-8")
    assert list(read_trees(file)) == trees
    write_forks(file, tmp_path / "trees.parquet")
    from pyarrow import parquet

    texts = parquet.read_table(tmp_path / "trees.parquet")["taken_text"].to_pylist()
    assert [text.replace("\\ud800", "\ud800") for text in texts] == list(HOSTILE)
