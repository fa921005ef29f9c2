"""The verbs of the program: what each is for, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass

from flowdpo_pl.errors import UserError
from flowdpo_pl.suggestions import nearest

PROGRAM = "python -m flowdpo_pl"


@dataclass(frozen=True)
class Verb:
    """One verb."""

    name: str
    meaning: str
    """In a few words."""
    module: str = ""
    """The class that a trainer's verb runs, unless a config says else; empty: a verb of its own."""
    by_position: bool = False
    """What a verb of its own requires is given by position."""
    several: bool = False
    """Every word by position is one of the list that it requires."""
    further: str = ""
    """The key that a further word by position gives, which may be left out."""
    example: str = ""
    """A command that works, after the program's name."""
    like: str = ""
    """The trainer's verb whose arguments it takes; empty: it has its own."""

    of_run: bool = False
    """`--run RUN` gives it the agents of a finished run."""
    looks_ahead: bool = False
    """A function of its own reads a run's config and runs nothing of it."""

    @property
    def is_trainer_s(self) -> bool:
        return bool(self.module) and not self.looks_ahead

    @property
    def takes_a_run(self) -> bool:
        """Whether a run's config and keys may stand behind it."""
        return bool(self.module)

    @property
    def of_trainer(self) -> str:
        """The name by which the trainer knows it."""
        return self.like or self.name


GROUPS: dict[str, tuple[Verb, ...]] = {
    "train and measure": (
        Verb(
            "fit",
            "train a flow online (FlowDPOModule), or one model on traces (SFTModule)",
            "flowdpo_pl.FlowDPOModule",
            example="fit --config configs/quickstart.yaml --model.learning.lr=1e-3",
        ),
        Verb(
            "check",
            "look at what a `fit` rests on, and at its first answers, without training",
            "flowdpo_pl.FlowDPOModule",
            example="check --config configs/quickstart.yaml",
            like="fit",
        ),
        Verb(
            "validate",
            "play the validation problems without learning",
            "flowdpo_pl.FlowDPOModule",
            example="validate --config configs/quickstart.yaml "
            "--ckpt_path=runs/quickstart/checkpoints/last.ckpt",
            of_run=True,
        ),
        Verb(
            "test",
            "measure a base, an adapter or a flow on test problems",
            "flowdpo_pl.EvaluationModule",
            example="test --config configs/quickstart_study/evaluate.yaml --model.samples=4",
            of_run=True,
        ),
        Verb("compare", "two runs of `test` on the same problems, with intervals", by_position=True),
    ),
    "with a finished run": (
        Verb("view", "a page of a run's trees, or of a test's answers, to look at", by_position=True),
        Verb(
            "report",
            "a page of what runs, or a study, came to: charts, what limits them, trees",
            by_position=True,
            several=True,
        ),
        Verb("show", "one problem of a run in the terminal: its tree, or its answers", by_position=True),
        Verb(
            "ask",
            "put a question to a run, and read along while its agents play",
            by_position=True,
            further="question",
        ),
        Verb(
            "export",
            "write a run's agents for transformers, vLLM and the hub, as adapters or merged",
            by_position=True,
        ),
        Verb(
            "pairs", "write the preference pairs that a run's trees hold, in TRL's format", by_position=True
        ),
    ),
    "before a run": (
        Verb(
            "plan",
            "say what a run needs: memory by part, tokens, hours; `--probe` measures",
            "flowdpo_pl.FlowDPOModule",
            example="plan --config configs/quickstart.yaml --card=l4",
            looks_ahead=True,
        ),
    ),
    "data and traces": (
        Verb(
            "predict",
            "collect a flow's or a model's right answers as traces",
            "flowdpo_pl.EvaluationModule",
            example="predict --config configs/quickstart_study/collect.yaml --model.source=flow",
            of_run=True,
        ),
        Verb("ground_truth", "write a data set's own solutions as traces"),
        Verb("arms", "cut trace files to the same number, for a fair comparison"),
    ),
    "models": (Verb("convert", "write a GGUF file's weights as a plain model folder", by_position=True),),
    "studies": (
        Verb("study", "run many stages one after another, then report; `--dry_run true` lists them"),
        Verb("grid", "run a study in many cells side by side, then draw them; `--dry_run true` lists them"),
    ),
}
VERBS = {verb.name: verb for group in GROUPS.values() for verb in group}
TRAINER_VERBS = tuple(name for name, verb in VERBS.items() if verb.is_trainer_s and not verb.like)
_DOCS = """A first run:  python -m flowdpo_pl fit --config configs/quickstart.yaml
A verb's keys:  python -m flowdpo_pl VERB --help
The docs:       README.md; docs/runs.md, configs.md, evaluation.md, study.md, reliability.md"""


def overview() -> str:
    """What the program's own `--help` prints."""
    width = max(map(len, VERBS))
    lines = [f"usage: {PROGRAM} VERB [--config FILE] [--key=value …]", ""]
    lines += ["Online Flow-DPO: trains a flow of language-model agents by preferences (arXiv 2410.22304)."]
    for title, verbs in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {verb.name:<{width}}  {verb.meaning}" for verb in verbs)]
    return "\n".join([*lines, "", _DOCS])


def verb_named(word: str) -> Verb:
    """The verb of this name.

    Raises:
        UserError: there is none; the nearest is named.
    """
    if word in VERBS:
        return VERBS[word]
    if word.startswith("-"):
        raise UserError(f"'{word}' stands where the verb belongs: give one of {', '.join(VERBS)} first.")
    near = nearest(word, VERBS)
    meant = f"did you mean {near}?" if near else f"give one of {', '.join(VERBS)}."
    raise UserError(f"there is no verb '{word}': {meant}")
