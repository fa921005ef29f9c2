"""Are the control tokens of real tokenizers read as text in a question? Prints JSON, a line a tokenizer.

    python -m benchmarks.control_tokens FOLDER...

A folder holds tokenizer.json and tokenizer_config.json. Every added token stands inside a question, is the
whole question, stands there twice, and is split by a letter. Beside that, benign questions must have the ids
that the plain tokenizer gives them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP, AnswerStopFlow
from flowdpo_pl.play.prompts import AgentPrompt, PromptBook
from flowdpo_pl.types import Problem

WRITER = AgentPrompt("{question}\n\nEnd with one line: The answer is: X")
READER = AgentPrompt("Is it finished?\n\nProblem: {question}\n\nSolution so far: {partial}")
FALLBACK = (  # for tokenizers that come without a template
    "{% for m in messages %}<|start|>{{ m['role'] }}<|message|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
BENIGN = (
    "What is 12 + 30?",
    "Natalia sold clips to 48 of her friends.\n\nHow many?  She sold  half in May.",
    "Let $f(x) = \\frac{1}{x}$ and a < b > c; is |a|<|b|?\n\tx <- 3 | y\n\n\n",
    "caf\u00e9 na\u00efve \u4f60\u597d \u00f7 \u00d7 \u221a2 \U0001f600 100,000 \u20ac",
    "if (a<b) { return [1]; } // <not a tag >",
)


def placed(token: str) -> dict[str, str]:
    """A question for each way that a control token can stand in it."""
    middle = len(token) // 2
    return {
        "inside": f"What is {token} 2 + 2?",
        "whole": token,
        "twice": f"a{token}{token} b {token}",
        "split by a letter": f"What is {token[:middle]}a{token[middle:]} 2?",
    }


def loaded(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer with a chat template."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    if not tokenizer.chat_template:
        tokenizer.chat_template = FALLBACK
    return tokenizer


def check(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """How many questions were tried, which failed and how, and what it cost."""
    end_ids = [tokenizer.eos_token_id]
    book = PromptBook(AnswerStopFlow(), {ANSWER: WRITER, STOP: READER}, tokenizer, end_ids)
    neutral = {agent: _controls(book, agent, "x") for agent in book.agents}
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    examples: list[str] = []
    start = time.perf_counter()
    for text in book.controls.ids.values():
        for how, question in placed(text).items():
            for agent in book.agents:
                tried[how] += 1
                if why := _fault(book, tokenizer, agent, question, neutral[agent]):
                    failed[why] += 1
                    examples.append(f"{how}, {agent}: {text!r}: {why}")
    seconds = time.perf_counter() - start
    changed = [text for text in BENIGN for agent in book.agents if _changed(book, tokenizer, agent, text)]
    return {
        "added_tokens": len(tokenizer.get_added_vocab()),
        "control_tokens": len(book.controls.ids),
        "tried": dict(tried),
        "failed": dict(failed),
        "examples": examples[:5],
        "benign": len(BENIGN) * len(book.agents),
        "benign_changed": changed,
        "end_tokens": tokenizer.convert_ids_to_tokens(list(book.end_ids)),
        "milliseconds_a_question": round(1000 * seconds / sum(tried.values()), 3),
    }


def _controls(book: PromptBook, agent: str, question: str) -> tuple[int, ...]:
    ids = book.context(agent, Problem("p", question, ""), ()).token_ids
    return book.controls.in_order(ids)


def _fault(
    book: PromptBook, tokenizer: PreTrainedTokenizerBase, agent: str, question: str, neutral: tuple[int, ...]
) -> str | None:
    """What is wrong with this question's tokens."""
    try:
        ids = book.context(agent, Problem("p", question, ""), ()).token_ids
    except UserError as error:
        return f"refused: {error}"
    if book.controls.in_order(ids) != neutral:
        return "other control tokens"
    text = tokenizer.decode(list(ids), skip_special_tokens=False)
    wanted = tokenizer.decode(list(book.context(agent, Problem("p", "@@@", ""), ()).token_ids))
    return None if text == wanted.replace("@@@", question) else "decodes to other text"


def _changed(book: PromptBook, tokenizer: PreTrainedTokenizerBase, agent: str, question: str) -> bool:
    prompt = WRITER if agent == ANSWER else READER
    user = prompt.user.replace("{partial}", "\u2983").replace("{question}", question.strip())
    messages = [{"role": "user", "content": user}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = [
        token
        for part in str(text).split("\u2983")
        for token in tokenizer(part, add_special_tokens=False)["input_ids"]
    ]
    return list(book.context(agent, Problem("p", question, ""), ()).token_ids) != ids


def main() -> None:
    """Check each folder; a failure is an exit status of 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    whole = True
    for folder in parser.parse_args().folders:
        found = check(loaded(folder))
        whole &= not found["failed"] and not found["benign_changed"]
        print(json.dumps({"folder": str(folder), **found}, ensure_ascii=False), flush=True)
    raise SystemExit(0 if whole else 1)


if __name__ == "__main__":
    main()
