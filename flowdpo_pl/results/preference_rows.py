"""Preference pairs in the format of TRL: `prompt`, `chosen`, `rejected` as text, and what they are of.

A pair is two moves of one agent after the same context. The prompt is that context as the agent read it,
control tokens by their names; the moves are without end tokens. The ids beside them are exactly what was read
and written, end tokens included: text that is tokenised anew may fall into other tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.prompts import PromptBook
from flowdpo_pl.results.json_text import json_text
from flowdpo_pl.results.parquet_rows import write_parquet_rows
from flowdpo_pl.types import PreferencePair

FORMATS = (".parquet", ".jsonl")


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """One pair."""

    prompt: str
    chosen: str
    rejected: str
    agent: str
    node: int
    """Index of the move in the main chain."""
    problem_id: str
    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]


def preference_row(pair: PreferencePair, prompts: PromptBook) -> PreferenceRow:
    """A pair in the words of the run's tokenizer and template."""
    read = prompts.context(pair.agent, pair.problem, pair.prefix).token_ids
    return PreferenceRow(
        prompt=prompts.written_out(read),
        chosen=_behind(read, prompts.words([pair.chosen]), prompts),
        rejected=_behind(read, prompts.words([pair.rejected]), prompts),
        agent=pair.agent,
        node=pair.node,
        problem_id=pair.problem.id,
        prompt_ids=read,
        chosen_ids=pair.chosen.token_ids,
        rejected_ids=pair.rejected.token_ids,
    )


def _behind(read: tuple[int, ...], words: tuple[int, ...], prompts: PromptBook) -> str:
    """The words as they follow the prompt: some tokenizers' text has its space between only then."""
    prompt, whole = prompts.written_out(read), prompts.written_out((*read, *words))
    return whole.removeprefix(prompt) if whole.startswith(prompt) else prompts.written_out(words)


def require_format(path: Path) -> None:
    """
    Raises:
        UserError: the name ends otherwise than in .parquet or .jsonl.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"--output {path} says no format: let its name end in {' or '.join(FORMATS)}.")


def write_rows(rows: Iterable[PreferenceRow], path: Path, ends: str) -> None:
    """Write rows as they come.

    Args:
        rows: in any number.
        path: the file.
        ends: how a name of its format ends.
    """
    if ends.lower() == ".jsonl":
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json_text(asdict(row)) + "\n" for row in rows)
        return
    import pyarrow

    ids = pyarrow.list_(pyarrow.int64())
    kinds = {"node": pyarrow.int64(), "prompt_ids": ids, "chosen_ids": ids, "rejected_ids": ids}
    schema = pyarrow.schema(
        [(name, kinds.get(name, pyarrow.string())) for name in PreferenceRow.__dataclass_fields__]
    )
    write_parquet_rows(map(asdict, rows), schema, path)
