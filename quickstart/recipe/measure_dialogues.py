"""Measures the untrained flows of the second model on the validation problems.

How often they are right as they are, with a perfect agent in one place, and with an agent's words for the
next problem in place of its own.

It plays by text rather than by ids, which is the same for a word-level tokenizer.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, TypeVar, cast

import torch

from quickstart.recipe import critiques, debates, plans
from quickstart.recipe.mistakes import Kind, possible_mistakes, write_draft
from quickstart.recipe.problems import SIZES
from quickstart.recipe.world import Story, draw_stories

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

DRAFT_TOKENS = 72
PLAN_TOKENS = 16
NOTE_TOKENS = 8
MAX_REVISIONS = 2
T = TypeVar("T")
Critic = Callable[[list[str]], list[str | None]]
"""What a critic says of each problem's draft: a note, or None to keep it."""


class Player:
    """The model, sampled at temperature 1."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.model = cast("LlamaForCausalLM", AutoModelForCausalLM.from_pretrained(folder))
        self.tokenizer = cast("PreTrainedTokenizerFast", AutoTokenizer.from_pretrained(folder))

    def write(self, messages: Sequence[str], tokens: int, begun: str = "") -> list[str]:
        """Replies of up to so many tokens, behind a word with which they have begun."""
        batch = self._batch(messages, begun)
        ids = self.model.generate(**batch, max_new_tokens=tokens, do_sample=True, top_k=0)
        written = ids[:, batch["input_ids"].shape[1] :]
        return [str(text) for text in self.tokenizer.batch_decode(written, skip_special_tokens=True)]

    @torch.no_grad()
    def choose(self, messages: Sequence[str], words: Sequence[str]) -> list[int]:
        """Which of the words each reply is."""
        scores = self.model(**self._batch(messages), logits_to_keep=1).logits[:, -1]
        chances = scores[:, self.tokenizer.convert_tokens_to_ids(list(words))].softmax(-1)
        return [int(choice) for choice in torch.multinomial(chances, 1)]

    def _batch(self, messages: Sequence[str], begun: str = "") -> dict[str, torch.Tensor]:
        turns = [[{"role": "user", "content": message}] for message in messages]
        prompts = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        texts = [f"{prompt}{begun}" for prompt in prompts]
        batch = self.tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
        return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


def validation_stories() -> list[Story]:
    """The stories of `valid.jsonl` with their steps, in its order."""
    stories: dict[str, Story] = {}
    for story in draw_stories("valid", random.Random("valid 0")):
        stories.setdefault(story.question, story)
        if len(stories) == SIZES["valid"]:
            break
    return list(stories.values())


def measure_planner(player: Player, stories: Sequence[Story]) -> dict[str, float]:
    """Planner and Solver."""

    def solve(written: Sequence[str]) -> float:
        read = zip(stories, written, strict=True)
        messages = [plans.SOLVER_MESSAGE.format(question=s.question, planner=plan) for s, plan in read]
        return mean(_right(stories, player.write(messages, DRAFT_TOKENS)))

    own = player.write(
        [plans.PLANNER_MESSAGE.format(question=story.question) for story in stories], PLAN_TOKENS
    )
    perfect = [plans.write_plan(story.steps) for story in stories]
    return {
        "right plans": mean(a == b for a, b in zip(own, perfect, strict=True)),
        "untrained": solve(own),
        "perfect plans": solve(perfect),
        "the next problem's plans": solve(_next(own)),
        "the next problem's perfect plans": solve(_next(perfect)),
    }


def measure_debate(player: Player, stories: Sequence[Story]) -> dict[str, float]:
    """Debate."""

    def choose(alice: Sequence[str], bob: Sequence[str]) -> list[int]:
        messages = [
            debates.JUDGE_MESSAGE.format(question=story.question, alice=a, bob=b)
            for story, a, b in zip(stories, alice, bob, strict=True)
        ]
        return player.choose(messages, debates.CHOICES)

    def accuracy(alice: Sequence[str], bob: Sequence[str], choices: Sequence[int]) -> float:
        chosen = [both[choice] for *both, choice in zip(alice, bob, choices, strict=True)]
        return mean(_right(stories, chosen))

    alice, bob = (
        player.write([message.format(question=story.question) for story in stories], DRAFT_TOKENS)
        for message in (debates.ALICE_MESSAGE, debates.BOB_MESSAGE)
    )
    choices = choose(alice, bob)
    perfect = [int(not right) for right in _right(stories, alice)]
    one = [
        int(choice == best)
        for a, b, choice, best in zip(
            _right(stories, alice), _right(stories, bob), choices, perfect, strict=True
        )
        if a != b
    ]
    return {
        "Alice alone": mean(_right(stories, alice)),
        "Bob alone": mean(_right(stories, bob)),
        "right choices where one is right": mean(one),
        "untrained": accuracy(alice, bob, choices),
        "perfect choices": accuracy(alice, bob, perfect),
        "the next problem's choices": accuracy(alice, bob, _next(choices)),
        "the next problem's perfect choices": accuracy(alice, bob, _next(perfect)),
        "Alice's draft of the next problem": accuracy(_next(alice), bob, choose(_next(alice), bob)),
        "Bob's draft of the next problem": accuracy(alice, _next(bob), choose(alice, _next(bob))),
    }


def measure_critic(player: Player, stories: Sequence[Story]) -> dict[str, float]:
    """Critic."""

    def draft(tried: Sequence[str], notes: Sequence[str | None]) -> list[str]:
        messages = [
            critiques.SOLVER_MESSAGE.format(question=story.question, solver=old, critic=note or "")
            for story, old, note in zip(stories, tried, notes, strict=True)
        ]
        return player.write(messages, DRAFT_TOKENS)

    def asked(drafts: Sequence[str]) -> list[str]:
        return [
            critiques.CRITIC_MESSAGE.format(question=story.question, partial=text)
            for story, text in zip(stories, drafts, strict=True)
        ]

    def noted(drafts: Sequence[str], revises: Sequence[bool]) -> list[str | None]:
        notes = player.write(asked(drafts), NOTE_TOKENS, begun=critiques.CHOICES[1])
        return [note if revise else None for note, revise in zip(notes, revises, strict=True)]

    def own(drafts: Sequence[str]) -> list[str | None]:
        return noted(drafts, [bool(choice) for choice in player.choose(asked(drafts), critiques.CHOICES)])

    def perfect(drafts: list[str]) -> list[str | None]:
        return [_perfect_note(story, text) for story, text in zip(stories, drafts, strict=True)]

    def play(critic: Critic) -> float:
        drafts = first
        running = [True] * len(stories)
        for _ in range(MAX_REVISIONS):
            notes = critic(drafts)
            running = [goes_on and note is not None for goes_on, note in zip(running, notes, strict=True)]
            revised = draft(drafts, notes)
            drafts = [b if on else a for a, b, on in zip(drafts, revised, running, strict=True)]
        return mean(_right(stories, drafts))

    nothing = [""] * len(stories)
    first = draft(nothing, nothing)
    right, revises = _right(stories, first), [note is not None for note in own(first)]
    return {
        "first drafts": mean(right),
        "Revise after a wrong first draft": mean(b for a, b in zip(right, revises, strict=True) if not a),
        "Revise after a right first draft": mean(b for a, b in zip(right, revises, strict=True) if a),
        "untrained": play(own),
        "perfect critic": play(perfect),
        "perfect choice, own notes": play(
            lambda drafts: noted(drafts, [not right for right in _right(stories, drafts)])
        ),
        "the next problem's critic": play(lambda drafts: _next(own(drafts))),
        "the next problem's perfect critic": play(lambda drafts: _next(perfect(drafts))),
        "always 'Show every step.'": play(lambda drafts: [critiques.SHOW] * len(drafts)),
    }


def _perfect_note(story: Story, draft: str) -> str | None:
    """What mends this draft; None for a right one."""
    if _right([story], [draft])[0]:
        return None
    for mistake in (m for kind in Kind if kind is not Kind.GUESSED for m in possible_mistakes(story, kind)):
        if write_draft(story, mistake, random.Random(0)) == draft:
            return critiques.mending_note(story, mistake)
    return critiques.SHOW


def _right(stories: Sequence[Story], drafts: Sequence[str]) -> list[bool]:
    """Whether the number behind the last mark is the answer."""
    stated = [re.findall(r"The answer is (\d+)", draft)[-1:] for draft in drafts]
    return [numbers == [str(story.answer)] for story, numbers in zip(stories, stated, strict=True)]


def _next(words: Sequence[T]) -> list[T]:
    """Each problem's words given to the one before."""
    return [*words[1:], words[0]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("quickstart/dialogue_model"), help="its folder")
    parser.add_argument("--seeds", type=int, default=3, help="sets of draws")
    args = parser.parse_args()
    torch.set_num_threads(1)
    player, stories = Player(args.model), validation_stories()
    for measure in (measure_critic, measure_debate, measure_planner):
        print(measure.__doc__)
        rows = []
        for seed in range(args.seeds):
            torch.manual_seed(seed)
            rows.append(measure(player, stories))
        for name in rows[0]:
            print(f"  {name:36}", *(f"{100 * row[name]:5.1f}" for row in rows), flush=True)


if __name__ == "__main__":
    main()
