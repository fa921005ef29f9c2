"""A tokenizer and an engine without weights: flow, rollouts and pairs are tested with scripted moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from flowdpo_pl.play.engines.protocol import ChooseRequest, Chosen, WriteRequest, Written
from flowdpo_pl.types import Problem, Verdict

END = 0


class WordTokenizer:
    """Every word is a token; the end token is 0."""

    chat_template = "scripted"
    name_or_path = "a scripted tokenizer"
    is_fast = False
    all_special_ids = (END,)
    unk_token_id = None

    def __init__(self) -> None:
        self.words = ["<end>"]

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [self.id(word) for word in text.split()]}

    def id(self, word: str) -> int:
        if word not in self.words:
            self.words.append(word)
        return self.words.index(word)

    def ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.id(word) for word in text.split())

    def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        return " ".join(self.words[i] for i in token_ids if i != END)

    def apply_chat_template(self, messages: list[dict[str, str]], **_: Any) -> str:
        said = {"system": "{}", "user": "{}", "assistant": "{} <end>"}
        return (
            " ".join(said[message["role"]].format(message["content"]) for message in messages) + " assistant:"
        )

    def get_chat_template(self, *_: Any) -> str:
        return self.chat_template

    def get_added_vocab(self) -> dict[str, int]:
        return {"<end>": END}

    def convert_ids_to_tokens(self, token_ids: int | list[int]) -> str | list[str]:
        if isinstance(token_ids, int):
            return self.words[token_ids] if token_ids < len(self.words) else f"<{token_ids}>"
        return [str(self.convert_ids_to_tokens(token)) for token in token_ids]


class ScriptedEngine:
    """Moves come from two functions of what the agent reads; every batch is recorded."""

    def __init__(
        self,
        write: Callable[[WriteRequest], tuple[tuple[int, ...], tuple[int, ...] | None]],
        choose: Callable[[ChooseRequest], int],
    ) -> None:
        self._write, self._choose = write, choose
        self.batches: list[list[WriteRequest | ChooseRequest]] = []
        self.plays = 0

    def write(self, requests: Sequence[WriteRequest]) -> list[Written]:
        self.batches.append(list(requests))
        return [Written(move, -1.0, other, -2.0) for move, other in map(self._write, requests)]

    def choose(self, requests: Sequence[ChooseRequest]) -> list[Chosen]:
        self.batches.append(list(requests))
        return [_chosen(self._choose(request), len(request.options)) for request in requests]

    @contextmanager
    def playing(self) -> Iterator[None]:
        yield
        self.plays += 1


class LastWordJudge:
    """Right when the last word is the gold answer."""

    def submit(self, prediction: str, problem: Problem) -> Future[Verdict]:
        future: Future[Verdict] = Future()
        future.set_result(Verdict(prediction.split()[-1:] == [problem.gold]))
        return future


def _chosen(option: int, words: int) -> Chosen:
    """The alternative is the next word."""
    return Chosen(option, -0.5, 1.0, (option + 1) % words, -1.0)
