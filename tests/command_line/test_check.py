"""Wrong keys, classes, values and files are refused at once, and the nearest is named.

Also tests `command_line.given`, `command_line.places` and `command_line.files`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flowdpo_pl.command_line.check import require_right
from flowdpo_pl.command_line.given import Argument, arguments_of, flattened, merged
from flowdpo_pl.command_line.verbs import verb_named
from flowdpo_pl.errors import UserError
from tests.runs import ROOT

QUICKSTART = ["--config", "configs/quickstart.yaml"]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    ("argument", "complaint"),
    [
        (
            "--model.learning.lrr=1",
            "model.learning (Learning) has no key 'lrr': did you mean model.learning.lr?",
        ),
        ("--model.lr=1", "did you mean model.learning.lr?"),
        ("--seed=1", "did you mean seed_everything?"),
        ("--lr=1", "did you mean model.learning.lr?"),
        ("--data.train.pth=x", "did you mean data.train.path?"),
        (
            "--data.train.gold={class_path: AfterMark, init_args: {mrk: x}}",
            "did you mean data.train.gold.mark?",
        ),
        ("--model.team.prompts.answer.usr=x", "did you mean model.team.prompts.answer.user?"),
        ("--model.init_args.team.bse.path=x", "did you mean model.team.base.path?"),
        ("--model.exploration.alternativs=1", "did you mean model.exploration.alternatives?"),
        ("--trainer.max_epoch=1", "did you mean trainer.max_epochs?"),
        ("--trainer.logger.nam=x", "did you mean trainer.logger.name?"),
        ("--seed_everythin=1", "did you mean seed_everything?"),
        ("--ckpt_pth=1", "did you mean ckpt_path?"),
        ("--model.learning.loss=flowdpo_pl.SigmoidLos", "did you mean flowdpo_pl.SigmoidLoss?"),
        ("--model.learning.loss=SigmoidLos", "did you mean flowdpo_pl.SigmoidLoss?"),
        ("--model.help=FlowDPOModul", "did you mean flowdpo_pl.FlowDPOModule?"),
        ("--model=flowdpo_pl.FlowDPOModul", "did you mean flowdpo_pl.FlowDPOModule?"),
        ("--trainer.callbacks+=callbacks.TreeLg", "did you mean callbacks.TreeLog?"),
        (
            "--trainer.callbacks+=lightning.pytorch.callbacks.Timr",
            "did you mean lightning.pytorch.callbacks.Timer?",
        ),
        ("--model.team.base.dtype=flaot32", "give one of float32, bfloat16, float16. Did you mean float32?"),
        ("--model.learning.lr=fast", "--model.learning.lr is 'fast': give a number."),
        ("--model.team.budget.decode_tokens=0", "--model.team.budget.decode_tokens is 0: give at least 1."),
        ("--model.learning.lr=.nan", "--model.learning.lr is .nan: give more than 0."),
        ("--model.max_problems=-5", "--model.max_problems is -5: give at least 1, or null."),
        ("--data.batch_size=8.5", "--data.batch_size is '8.5': give a whole number."),
        ("--data.train.path=nowhere.jsonl", "data.train.path: nowhere.jsonl does not exist"),
        (
            "--model.team.base.path=no/such/model",
            "model.team.base.path: the base 'no/such/model' is no model",
        ),
        ("--config=configs/quickstrat.yaml", "did you mean configs/quickstart.yaml?"),
    ],
)
def test_a_wrong_argument_is_named_with_the_nearest(argument: str, complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        require_right(verb_named("fit"), [*QUICKSTART, argument])
    assert complaint in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "model: {init_args: {learning: {lrr: 1}}}",
            "model.learning.lrr: model.learning (Learning) has no key",
        ),
        (
            "model: {init_args: {learning: {loss: {class_path: flowdpo_pl.Sigmoid}}}}",
            "flowdpo_pl has no 'Sigmoid'",
        ),
        ("trainer: {callbacks: [{class_path: callbacks.SampleFlows, init_args: {m: 1}}]}", "has no key 'm'"),
        ("trainer: {max_epochs: many}", "trainer.max_epochs is 'many': give a whole number or null."),
        ("data: {init_args: {train: {limit: all}}}", "data.train.limit is 'all'"),
        ("modle: {}", "did you mean model?"),
        ("model: [", "is no YAML"),
        ("model: {}\nmodel: {}", "has the key model twice"),
    ],
)
def test_a_wrong_config_is_named_with_its_file(text: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        require_right(verb_named("fit"), [*QUICKSTART, f"--config={file}"])
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("verb", "words", "complaint"),
    [
        ("study", ["--onli=x"], "did you mean only?"),
        ("compare", ["a", "b", "--sed=1"], "did you mean seed?"),
        ("export", ["--bse=x"], "did you mean base?"),
        ("arms", ["--stream.pth=x"], "did you mean stream.path?"),
        ("ground_truth", ["--solution=WorkedSolutio"], "did you mean flowdpo_pl.WorkedSolution?"),
        ("test", ["--model.sample=1"], "did you mean model.samples?"),
        ("predict", ["--model.attempt=1"], "did you mean model.attempts?"),
    ],
)
def test_every_verb_suggests(verb: str, words: list[str], complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        require_right(verb_named(verb), words)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        ["--trainer.logger=false"],
        ["--trainer.logger.init_args.version="],
        ["--trainer.callbacks+=TreeLog"],
        ["--trainer.callbacks=some.package.Callback", "--trainer.callbacks.any_key=1"],
        ["--model.verifier=benchmarks.diagnosis.BoxVerifier", "--model.verifier.workers=2"],
        ["--model.team.flow=SingleFlow", "--model.team.flow.max_tokens", "72"],
        ["--model.learning={lr: 1e-3}"],
        ["--data.train.path", "meta-math/MetaMathQA"],
        ["--model.team.prompts.stop.template_arguments.enable_thinking=false"],
        ["--optimizer=torch.optim.Adam", "--optimizer.lr=1"],
        ["--print_config"],
        ["--print_config=skip_null"],
        ["--data.validation=null"],
        ["--model.max_problems=null"],
        ["--model.learning.max_grad_norm=0"],
    ],
)
def test_what_may_be_right_is_left_to_the_parser(words: list[str]) -> None:
    require_right(verb_named("fit"), [*QUICKSTART, *words])


def test_a_key_is_judged_by_the_class_that_is_named_last() -> None:
    single = ["--model.team.flow=flowdpo_pl.SingleFlow", "--model.team.flow.chunk_tokens=4"]
    with pytest.raises(UserError, match="has no key 'chunk_tokens'"):
        require_right(verb_named("fit"), [*QUICKSTART, *single])
    require_right(verb_named("fit"), [*QUICKSTART, "--model.team.flow.chunk_tokens=4"])


def test_arguments_are_read_as_pairs_and_words() -> None:
    assert arguments_of(["a", "--b", "c", "--d=e=f", "--g", "-c", "h", "--i="]) == [
        Argument("", "a"),
        Argument("b", "c"),
        Argument("d", "e=f"),
        Argument("g", None),
        Argument("config", "h"),
        Argument("i", ""),
    ]


def test_what_is_given_is_the_same_with_init_args_and_without() -> None:
    whole = flattened({"model": {"class_path": "a.B", "init_args": {"x": {"y": 1}}}})
    assert whole == {"model": {"class_path": "a.B", "x": {"y": 1}}}
    assert merged(whole, {"model": {"x": {"z": 2}}})["model"]["x"] == {"y": 1, "z": 2}
    assert merged(whole, {"model": "a.C"})["model"]["class_path"] == "a.C"


@pytest.mark.parametrize(
    "words", [["fiit"], ["fit", *QUICKSTART, "--model.lr=1"], ["fit", "--help"], ["--help"]]
)
def test_what_can_be_said_at_once_is_said_without_torch(words: list[str]) -> None:
    program = (
        "import sys\nfrom flowdpo_pl.__main__ import main\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules or 'lightning' in sys.modules)"
    )
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "False", done
