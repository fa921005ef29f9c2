"""The quickstart's world is right, reproducible and kept apart from its corpus; its model folder is plain."""

from __future__ import annotations

import itertools
import json
import random
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import yaml
from sympy import sympify

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the recipe is run from the repository, it is not installed

from quickstart.recipe import (  # noqa: E402
    critiques,
    debates,
    dialogues,
    fetch_word_problems,
    flow_dialogues,
    mistakes,
    plans,
    pretrain,
    problems,
    solutions,
    tokenizer,
    word_problems,
    world,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MODEL = ROOT / "quickstart" / "model"
DIALOGUE_MODEL = ROOT / "quickstart" / "dialogue_model"
PROBLEMS = ROOT / "quickstart" / "problems"


@pytest.fixture(scope="module")
def stories() -> list[world.Story]:
    rng = random.Random(1)
    return [world.draw_story(rng) for _ in range(2000)]


@pytest.fixture(scope="module")
def built_tokenizer() -> PreTrainedTokenizerFast:
    return tokenizer.build_tokenizer()


@pytest.fixture(scope="module")
def flow_tokenizer() -> PreTrainedTokenizerFast:
    return tokenizer.build_tokenizer(flow_dialogues.flow_vocabulary())


@pytest.fixture(scope="module")
def corpus() -> list[dialogues.Dialogue]:
    """Of the second model."""
    return list(itertools.islice(flow_dialogues.draw_flow_dialogues(0), 20000))


def calculated(question: str) -> int:
    """The answer by the numbers and verbs of the question, without the story's own steps."""
    total = 1
    for sentence in question.split(". "):
        numbers = [int(number) for number in re.findall(r"\d+", sentence)]
        if " of " in sentence:
            total = numbers[0] * numbers[1]
        elif re.search(r" has | owns ", sentence) and numbers:
            total = numbers[0]
        elif sentence.endswith("more"):
            total += numbers[0]
        elif re.search(r" loses | sells | gives ", sentence):
            total -= numbers[0]
        elif "worth" in sentence:
            total *= numbers[0]
    return total


def test_steps_follow_from_the_question_alone(stories: list[world.Story]) -> None:
    for story in stories:
        assert calculated(story.question) == story.answer, story.question


def test_careful_solutions_are_right_in_every_line(stories: list[world.Story]) -> None:
    for story in stories:
        text = solutions.careful_solution(story)
        equations = re.findall(r"(\d+) ([-+*]) (\d+) = (\d+)", text)
        assert len(equations) == len(story.steps)
        for left, sign, right, result in equations:
            expected = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}[sign](int(left), int(right))
            assert expected == int(result)
        assert text.endswith(f"The answer is {story.answer}.")


def test_forgetful_solutions_lack_the_last_step(stories: list[world.Story]) -> None:
    for story in stories:
        text = solutions.forgetful_solution(story)
        assert text.count("=") == len(story.steps) - 1
        assert text.endswith(f"The answer is {story.steps[-2].result}.")


def test_numbers_stay_in_the_vocabulary(stories: list[world.Story]) -> None:
    for story in stories:
        for step in story.steps:
            assert 0 <= step.result <= world.LARGEST_NUMBER


def test_same_seed_same_corpus() -> None:
    first, again, other = (list(itertools.islice(dialogues.draw_dialogues(seed), 50)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_stop_is_taught_both_choices_on_both_kinds_of_draft() -> None:
    drafts = [
        d for d in itertools.islice(dialogues.draw_dialogues(0), 20000) if d.reply in dialogues.VERDICTS
    ]
    for finished, share in ((True, dialogues.YES_IF_FINISHED), (False, dialogues.YES_IF_UNFINISHED)):
        replies = [d.reply for d in drafts if bool(re.search(r"answer is \d+", d.message)) == finished]
        assert len(replies) > 500
        assert replies.count("Yes") / len(replies) == pytest.approx(share, abs=0.05)


def test_corpus_holds_no_problem_of_the_other_splits() -> None:
    for dialogue in itertools.islice(dialogues.draw_dialogues(0), 2000):
        assert world.split_of(dialogue.message.split(" Draft:")[0]) == "corpus"


def test_shipped_problems_are_the_recipes_and_disjoint() -> None:
    questions: dict[str, set[str]] = {}
    for split, count in problems.SIZES.items():
        lines = (PROBLEMS / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        assert rows == problems.draw_problems(split, count, seed=0)
        questions[split] = {row["question"] for row in rows}
        assert len(questions[split]) == len({row["id"] for row in rows}) == count
        assert all(world.split_of(question) == split for question in questions[split])
    assert not questions["train"] & questions["valid"]


def test_tokenizer_round_trip(stories: list[world.Story], built_tokenizer: PreTrainedTokenizerFast) -> None:
    rng = random.Random(2)
    for story in stories[:500]:
        for text in (story.question, solutions.draw_solution(story, rng)):
            ids = built_tokenizer.encode(text, add_special_tokens=False)
            assert built_tokenizer.unk_token_id not in ids
            assert built_tokenizer.decode(ids) == text


def test_ids_of_a_draft_survive_splicing(
    stories: list[world.Story], built_tokenizer: PreTrainedTokenizerFast
) -> None:
    """Prefix, draft and suffix tokenised apart equal the whole, wherever the draft is cut."""
    prefix, suffix = (
        part.strip()
        for part in dialogues.STOP_MESSAGE.format(question=stories[0].question, partial="@").split("@")
    )
    ids = built_tokenizer.encode(solutions.careful_solution(stories[0]), add_special_tokens=False)
    for cut in range(1, len(ids) + 1):
        apart = built_tokenizer.encode(prefix) + ids[:cut] + built_tokenizer.encode(suffix)
        draft = built_tokenizer.decode(ids[:cut])
        assert built_tokenizer.encode(f"{prefix} {draft} {suffix}") == apart


@pytest.mark.parametrize(
    ("folder", "built", "words"),
    [
        (MODEL, "built_tokenizer", dialogues.VERDICTS),
        (DIALOGUE_MODEL, "flow_tokenizer", critiques.CHOICES + debates.CHOICES),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_model_folder_loads_plainly(
    folder: Path, built: str, words: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    built_tokenizer = request.getfixturevalue(built)
    model = AutoModelForCausalLM.from_pretrained(folder)
    shipped = AutoTokenizer.from_pretrained(folder)
    assert model.config.model_type == "llama"
    assert model.dtype.is_floating_point and model.dtype.itemsize == 4
    assert sum(parameter.numel() for parameter in model.parameters()) <= 500_000
    assert sum(file.stat().st_size for file in folder.iterdir()) < 4_000_000
    assert shipped.get_vocab() == built_tokenizer.get_vocab()
    assert shipped.chat_template == built_tokenizer.chat_template
    assert model.config.vocab_size == len(shipped)
    for holder in (model.config, model.generation_config):
        assert holder.eos_token_id == shipped.eos_token_id
        assert holder.pad_token_id == shipped.pad_token_id != shipped.eos_token_id
        assert holder.bos_token_id == shipped.bos_token_id
    for word in words:
        assert len(shipped.encode(word, add_special_tokens=False)) == 1


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        (MODEL, dialogues.ANSWER_MESSAGE),
        (DIALOGUE_MODEL, critiques.SOLVER_MESSAGE),
        (DIALOGUE_MODEL, debates.ALICE_MESSAGE),
        (DIALOGUE_MODEL, plans.SOLVER_MESSAGE),
    ],
)
def test_shipped_model_is_confident_in_its_arithmetic(folder: Path, message: str) -> None:
    """After a careful line's `=` the right result is what the model expects: the ability is inside."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder)
    shipped = cast("PreTrainedTokenizerFast", AutoTokenizer.from_pretrained(folder))
    (equals,) = shipped.encode("=")
    stream = world.draw_stories("valid", random.Random(5))
    probabilities: list[float] = []
    for story in itertools.islice(stream, 30):
        read = {
            "question": story.question,
            "planner": plans.write_plan(story.steps),
            "solver": "",
            "critic": "",
        }
        dialogue = dialogues.Dialogue(message.format(**read), solutions.careful_solution(story))
        ids = torch.tensor(pretrain.encode(dialogue, shipped)[0])
        with torch.no_grad():
            distribution_TV = model(ids[None]).logits[0].softmax(-1)
        results = (ids == equals).nonzero()[:, 0] + 1
        probabilities += distribution_TV[results - 1, ids[results]].tolist()
    assert sum(probabilities) / len(probabilities) > 0.9


def test_chat_template_renders_turns_and_refuses_other_roles(
    built_tokenizer: PreTrainedTokenizerFast,
) -> None:
    from jinja2 import TemplateError

    def render(role: str) -> str:
        turns = [{"role": role, "content": "Tom has 2 keys."}]
        return str(built_tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    assert render("user") == "<|begin|><|user|>Tom has 2 keys.<|end|><|assistant|>"
    with pytest.raises(TemplateError, match="user and assistant only"):
        render("system")


def test_labels_cover_the_reply_only(built_tokenizer: PreTrainedTokenizerFast) -> None:
    replies = ("Yes", "Tom starts with 2.")
    rows = [
        pretrain.encode(dialogues.Dialogue("Tom has 2 keys.", reply), built_tokenizer) for reply in replies
    ]
    input_ids, mask, labels = pretrain.collate(rows)
    for row, reply in enumerate(replies):
        scored = labels[row][labels[row] != pretrain.NO_LOSS].tolist()
        assert scored == built_tokenizer.encode(f"{reply}<|end|>")
    assert mask.sum(1).tolist() == [len(ids) for ids, _ in rows]
    assert input_ids.shape[1] == len(rows[1][0])


def question_of(dialogue: dialogues.Dialogue) -> str:
    """The question in a message of the second model's corpus."""
    message = re.sub(r"^(Alice|Bob): ", "", dialogue.message)
    return re.split(r" (?:Tried:|Draft:|Plan\?|Plan:|Alice:)", message)[0]


def states(text: str) -> int:
    """The number after the text's mark."""
    return int(re.findall(r"The answer is (\d+)\.", text)[-1])


def test_same_seed_same_corpus_of_flows(corpus: list[dialogues.Dialogue]) -> None:
    assert list(itertools.islice(flow_dialogues.draw_flow_dialogues(0), 50)) == corpus[:50]
    assert list(itertools.islice(flow_dialogues.draw_flow_dialogues(1), 50)) != corpus[:50]


def test_corpus_of_flows_holds_no_problem_of_the_other_splits(corpus: list[dialogues.Dialogue]) -> None:
    for dialogue in corpus:
        assert question_of(dialogue).endswith("?")
        assert world.split_of(question_of(dialogue)) == "corpus"


@pytest.mark.parametrize(
    ("config", "messages", "options"),
    [
        (
            "critic",
            {"solver": critiques.SOLVER_MESSAGE, "critic": critiques.CRITIC_MESSAGE},
            {"critic": critiques.CHOICES},
        ),
        (
            "debate",
            {"alice": debates.ALICE_MESSAGE, "bob": debates.BOB_MESSAGE, "judge": debates.JUDGE_MESSAGE},
            {"judge": debates.CHOICES},
        ),
        ("planner_solver", {"planner": plans.PLANNER_MESSAGE, "solver": plans.SOLVER_MESSAGE}, {}),
    ],
)
def test_corpus_of_flows_has_the_configs_prompts(
    config: str, messages: dict[str, str], options: dict[str, tuple[str, ...]]
) -> None:
    settings = yaml.safe_load((ROOT / "configs" / "flows" / f"{config}.yaml").read_text(encoding="utf-8"))
    team = settings["model"]["init_args"]["team"]
    assert team["base"]["path"] == "quickstart/dialogue_model"
    assert {agent: prompt["user"] for agent, prompt in team["prompts"].items()} == messages
    assert {
        agent: tuple(prompt["options"]) for agent, prompt in team["prompts"].items() if "options" in prompt
    } == options


def test_corpus_of_flows_is_in_the_vocabulary_and_the_flows_limits(
    corpus: list[dialogues.Dialogue], flow_tokenizer: PreTrainedTokenizerFast
) -> None:
    assert flow_tokenizer.unk_token_id not in flow_tokenizer.encode(" ".join(d.message for d in corpus))
    for dialogue in corpus[:3000]:
        ids = flow_tokenizer.encode(dialogue.reply + "<|end|>")
        assert flow_tokenizer.unk_token_id not in ids
        if dialogue.reply.startswith("Revise"):
            limit = 1 + 8
        else:
            limit = 16 if dialogue.message.endswith("Plan?") else 72
        assert len(ids) <= limit


def test_every_mistake_is_wrong_in_the_answer_and_right_in_its_lines(stories: list[world.Story]) -> None:
    rng = random.Random(3)
    for story in stories:
        for mistake in (m for kind in mistakes.Kind for m in mistakes.possible_mistakes(story, kind)):
            draft = mistakes.write_draft(story, mistake, rng)
            assert states(draft) != story.answer
            for left, sign, right, result in re.findall(r"(\d+) ([-+*]) (\d+) = (\d+)", draft):
                expected = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}[sign]
                assert expected(int(left), int(right)) == int(result)
            if mistake.kind is not mistakes.Kind.GUESSED:  # whose note says the same of every story
                assert critiques.mending_note(story, mistake) != critiques.spoiling_note(story, mistake)


def test_a_note_decides_what_a_revision_is_worth(corpus: list[dialogues.Dialogue]) -> None:
    """Right drafts are spoilt by half of the notes; wrong ones are mended by their own note only."""
    mended: list[bool] = []
    spoilt: list[bool] = []
    for dialogue in corpus:
        tried = re.search(r" Tried: (.+) Note: ", dialogue.message)
        if tried is None:
            continue
        answer = calculated(question_of(dialogue))
        (mended if states(tried[1]) != answer else spoilt).append(
            (states(dialogue.reply) == answer) == (states(tried[1]) != answer)
        )
    assert sum(mended) / len(mended) == pytest.approx(critiques.MENDING * critiques.OBEDIENT, abs=0.06)
    assert 0.4 < sum(spoilt) / len(spoilt) < 0.8


def test_the_critic_and_the_judge_are_taught_unreliable_choices(corpus: list[dialogues.Dialogue]) -> None:
    revised: dict[bool, list[bool]] = {True: [], False: []}
    rightly: list[bool] = []
    for dialogue in corpus:
        answer = calculated(question_of(dialogue))
        if dialogue.message.endswith("Keep or Revise?"):
            revised[states(dialogue.message) == answer].append(dialogue.reply != "Keep")
        elif dialogue.message.endswith("Who?"):
            alice, bob = (states(part) == answer for part in dialogue.message.split(" Bob: "))
            if alice != bob:
                rightly.append((dialogue.reply == "Alice") == alice)
    for right, share in ((True, critiques.REVISE_IF_RIGHT), (False, critiques.REVISE_IF_WRONG)):
        assert sum(revised[right]) / len(revised[right]) == pytest.approx(share, abs=0.05)
    assert sum(rightly) / len(rightly) == pytest.approx(debates.RIGHT_CHOICES, abs=0.04)


def test_the_solver_follows_its_plan(corpus: list[dialogues.Dialogue]) -> None:
    signs = {word: sign for sign, word in plans.OPERATIONS.items()}
    followed = []
    for dialogue in corpus:
        if plan := re.search(r" Plan: (.+)\.$", dialogue.message):
            named = [(signs[step.split()[0]], step.split()[1]) for step in plan[1].split(" then ")]
            followed.append(re.findall(r"([-+*]) (\d+) =", dialogue.reply) == named)
    assert sum(followed) / len(followed) == pytest.approx(1 - plans.HASTY - plans.FORGETFUL, abs=0.03)


def test_the_sample_of_word_problems_is_right_and_made_by_its_recipe(tmp_path: Path) -> None:
    word_problems.write_problems(tmp_path)
    names = []
    for split, count in word_problems.SIZES.items():
        text = (tmp_path / f"{split}.jsonl").read_text()
        assert text == (ROOT / "quickstart" / "word_problems" / f"{split}.jsonl").read_text()
        rows = [json.loads(line) for line in text.splitlines()]
        assert len({row["question"] for row in rows}) == count
        for row in rows:
            told = {int(number) for number in re.findall(r"\d+", row["question"])}
            assert {int(number) for number in re.findall(r"\d+", row["equation"])} <= told
            assert sympify(row["equation"]) == int(row["answer"]) >= 0
        names.append({name for row in rows for name in re.findall(r"[A-Z][a-z]+", row["question"])})
    assert not (names[0] & names[1]) - {"How", "There", "A"}


def test_fetched_word_problems_have_the_columns_that_the_configs_read(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    row = {"id": "m1", "question": "3 and 4?", "result": "7", "result_float": 7.0, "expression": "3 + 4"}
    for split in ("train", "validation"):
        (source / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    fetch_word_problems.fetch(tmp_path / "fetched", str(source))
    for name in ("train", "valid"):
        line = (tmp_path / "fetched" / f"{name}.jsonl").read_text()
        assert json.loads(line) == {"question": "3 and 4?", "answer": "7", "equation": "3 + 4"}
