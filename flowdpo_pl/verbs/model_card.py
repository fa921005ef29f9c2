"""The model card of an export: what the agents are, how to load them, what they learnt, how good they are."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from flowdpo_pl.report.markdown import literal, table
from flowdpo_pl.results.curves import Curve
from flowdpo_pl.results.learnt_from import LearntFrom
from flowdpo_pl.results.scores import Score, shown
from flowdpo_pl.types import Agent
from flowdpo_pl.verbs.card_code import CardCode
from flowdpo_pl.verbs.flow_recipe import FlowRecipe, without_places

_MOST_POINTS = 8
_NOT_SHOWN = ("team", "check", "sampling", "verifier")
"""Settings of the module that `flow.yaml` has, or that say nothing of what was learnt."""
CURVE = "accuracy_curve.png"


@dataclass(frozen=True)
class ModelCard:
    """What `README.md` says."""

    title: str
    which: str
    """Of the run's adapters."""
    recipe: FlowRecipe
    code: CardCode
    settings: Mapping[str, Any]
    """Of the run's module."""
    data: Sequence[LearntFrom]
    summary: Mapping[str, Any]
    """Of the run; empty if it wrote none."""
    curve: Curve | None
    scores: Sequence[Score]

    def text(self) -> str:
        """All of it."""
        front = yaml.safe_dump(self._front(), sort_keys=False, allow_unicode=True)
        sections = [
            self._beginning(),
            self._loading(),
            self._prompts(),
            self._data(),
            self._settings(),
            self._curve(),
            self._scores(),
            self._versions(),
        ]
        return f"---\n{front}---\n\n" + "\n\n".join(filter(None, sections)) + "\n"

    def _front(self) -> dict[str, Any]:
        """What the hub reads. A licence is the base's to give, and stands nowhere in a run."""
        merged, base = self.code.merged, self.recipe.base
        front: dict[str, Any] = {}
        if base.on_hub:
            front |= {"base_model": base.path, "base_model_relation": "finetune" if merged else "adapter"}
        front |= {"library_name": "transformers" if merged else "peft", "pipeline_tag": "text-generation"}
        if datasets := [source.name for source in self.data if source.on_hub]:
            front["datasets"] = list(dict.fromkeys(datasets))
        return {**front, "tags": ["flowdpo_pl", "dpo", *([] if merged else ["lora"]), "multi-agent"]}

    def _beginning(self) -> str:
        recipe, flow = self.recipe, type(self.recipe.flow)
        rules = inspect.cleandoc(flow.__doc__ or "")
        base = f"`{recipe.base.path}`" + (
            "" if recipe.base.on_hub else " (a folder; its name on the hub is not known)"
        )
        kind = "models, each merged with its adapter" if self.code.merged else "LoRA adapters"
        lines = [
            f"# {self.title}",
            "",
            f"The agents of a flow as {kind}, on the base {base}, trained by flowdpo_pl ([Flow-DPO]"
            f"(https://arxiv.org/abs/2410.22304)). They are the run's `{self.which}`.",
            "",
            f"The flow is `{flow.__name__}`: {' '.join(rules.split())}",
            "",
            table(("agent", "is", "its turn"), (self._agent(agent) for agent in recipe.prompts.agents)),
        ]
        if not flow.__module__.startswith("flowdpo_pl."):
            lines += [
                "",
                f"Its rules are `{flow.__module__}.{flow.__name__}`, a class that flowdpo_pl does not hold.",
            ]
        return "\n".join(lines)

    def _agent(self, agent: Agent) -> tuple[str, ...]:
        told = self.recipe.plain()["agents"][agent]
        words = " or ".join(f"`{word}`" for word in told.get("chooses", {}))
        turn = [f"writes at most {told['writes']:,} tokens"] if "writes" in told else []
        turn += ["going on from what was written (`own`)"] if self.recipe.prompts.goes_on(agent) else []
        turn += [f"chooses {words}"] if words else []
        return agent, f"`{agent}/`" if agent in self.recipe.adapters else "the base", ", ".join(turn)

    def _loading(self) -> str:
        code, writer = self.code, self.recipe.flow.writer
        system = str(self.recipe.team["prompts"][writer].get("system") or "")
        parts = [
            "## How to load it",
            "Each agent is a model of its own. flowdpo_pl plays an export of adapters."
            if code.merged
            else "flowdpo_pl plays the whole flow:",
            "" if code.merged else _fenced('python -m flowdpo_pl ask FOLDER "a question"', "sh"),
            "An agent reads the token ids of its rendered prompt, with those of what was said in their "
            "places, without their end token and never tokenised again. `prompts.json` has the prompts. "
            "This and the next block go on from each other:",
            _fenced(code.reading(), "python"),
            "Plain transformers" + ("" if code.merged else " and PEFT") + ":",
            _fenced(code.playing(), "python"),
            "For example:",
            _fenced(self._example(), "python"),
            "vLLM, in the place of the block before, and as a server (clients name an agent as the model):",
            _fenced(code.vllm(), "python"),
            _fenced(code.serving(), "sh"),
        ]
        if writer in self.recipe.adapters:
            parts += [
                f"lm-evaluation-harness asks `{writer}` alone, whose turn is then as long as the task says:",
                _fenced(code.harness(writer, system), "sh"),
            ]
        return "\n\n".join(filter(None, parts))

    def _example(self) -> str:
        first = next(position.turn for position in self.recipe.flow.positions if not position.moves)
        assert first is not None
        question = "Tom has 6 stones. He loses 3. How many has he?"
        told = self.recipe.plain()["agents"][first.agent]
        lines = [f'ids = read("{first.agent}", "{question}")']
        if "writes" in told:
            lines += [f'print(tokenizer.decode(write("{first.agent}", ids), skip_special_tokens=True))']
        else:
            lines += [f'print(choose("{first.agent}", ids))']
        return "\n".join(lines)

    def _prompts(self) -> str:
        parts = ["## Prompts", "As the chat template renders them, `{question}` being the problem:"]
        for agent in self.recipe.prompts.agents:
            shown = "".join(self.recipe.prompts.plain(agent))
            parts += [f"`{agent}`", _fenced(shown, "text")]
        names = ", ".join(
            f"`{self.recipe.prompts.written_out([token])}`" for token in self.recipe.prompts.end_ids
        )
        return "\n\n".join([*parts, f"A turn ends with {names}."])

    def _data(self) -> str:
        if not self.data:
            return ""
        rows = [
            (
                f"[{one.name}](https://huggingface.co/datasets/{one.name})"
                if one.on_hub
                else f"`{one.name}`",
                literal(", ".join(f"{key}: {without_places(value)}" for key, value in one.settings.items())),
            )
            for one in self.data
        ]
        lines = ["## Data", "", table(("source", "read as"), rows)]
        if remembered := self.data[0].rows:
            lines += [
                "",
                f"The rows that were read: {literal(remembered)}"
                + (" (a digest)." if " " not in remembered else "."),
            ]
        if isinstance(seen := self.summary.get("problems_seen"), int):
            lines += ["", f"{seen:,} problems were learnt from."]
        return "\n".join(lines)

    def _settings(self) -> str:
        team = {"lora": self.recipe.team.get("lora")}
        rest = {
            key: value
            for key, value in self.settings.items()
            if key not in _NOT_SHOWN and value not in (None, [])
        }
        told = yaml.safe_dump(without_places({**team, **rest}), sort_keys=False, allow_unicode=True)
        parts = ["## Settings", "How they learnt; how they play is in `flow.yaml`."]
        return "\n\n".join([*parts, _fenced(told, "yaml")])

    def _curve(self) -> str:
        if self.curve is None:
            return ""
        count = len(self.curve.problems)
        points = sorted({round(k * (count - 1) / (_MOST_POINTS - 1)) for k in range(_MOST_POINTS)})
        all_, latest = self.curve.of("progressive"), self.curve.of("window")
        rows = [
            (
                f"{self.curve.problems[k]:,}",
                *(f"{a[k]:.1%} ({b[k]:.1%} to {c[k]:.1%})" for a, b, c in (all_, latest)),
            )
            for k in points
        ]
        head = ("problems", "right, all so far", "right, the latest")
        return "\n".join(
            ["## Curve", "", f"![right answers against problems]({CURVE})", "", table(head, rows)]
        )

    def _scores(self) -> str:
        if not self.scores:
            return ""
        head = ("problems of", "number", "right (95 %)", "how")
        rows = ([literal(cell) for cell in row] for row in shown([*self.scores]))
        return "\n".join(["## Scores", "", table(head, rows)])

    def _versions(self) -> str:
        versions, identity = (self.summary.get(key) for key in ("versions", "identity"))
        given = versions if isinstance(versions, Mapping) else {}
        known = {name: number for name, number in given.items() if isinstance(number, str) and number}
        base = identity.get("base") if isinstance(identity, Mapping) else None
        lines = [f"The base's weights have the fingerprint `{base}`."] if isinstance(base, str) else []
        lines += (
            [f"Trained with {', '.join(f'{name} {number}' for name, number in known.items())}."]
            if known
            else []
        )
        return "\n\n".join(["## Made with", *lines]) if lines else ""


def _fenced(text: str, language: str) -> str:
    """A block whose fence is longer than any in the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
