"""What holds of reading rows, whatever they hold: each comes once, as it was written."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from flowdpo_pl.data.rows import open_rows
from tests.properties import few, texts

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts),
    lambda one: st.lists(one, max_size=3),
    max_leaves=5,
)
tables = st.lists(
    st.dictionaries(texts.filter(bool), values, min_size=1, max_size=4), min_size=1, max_size=20
)


@few
@given(
    tables,
    st.sampled_from(["a.jsonl", "a.jsonl.gz", "a.json"]),
    st.integers(1, 8),
    st.none() | st.integers(0, 9),
)
def test_every_row_comes_once_as_it_was_written(
    table: list[dict[str, object]], name: str, size: int, seed: int | None
) -> None:
    text = json.dumps(table) if name == "a.json" else "".join(json.dumps(row) + "\n" for row in table)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
        rows = open_rows(str(file))
        chunks = list(rows.chunks(size, seed))
        again = list(rows.chunks(size, seed))
    read = [row for chunk in chunks for row in chunk]
    assert rows.total == len(read) == len(table)
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert again == chunks
    by_place = {row.where: row.values for row in read}
    assert len(by_place) == len(table)
    ordered = [row.values for row in read] if seed is None else sorted((row.values for row in read), key=repr)
    assert ordered == (table if seed is None else sorted(table, key=repr))
