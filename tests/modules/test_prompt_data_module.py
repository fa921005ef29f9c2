from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from flowdpo_pl.data.gold import AfterMark
from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.data.problem_stream import ProblemStream
from flowdpo_pl.data.questions import question_key
from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.prompt_data_module import PromptDataModule
from flowdpo_pl.types import Problem
from tests.problem_files import numbered, write_jsonl

DATA = Path(__file__).parents[3] / "shared" / "data"


class Player(LightningModule):
    """Writes down which problems each step saw, and trains nothing worth mentioning."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[str] = []
        self.validated: list[str] = []

    def training_step(self, batch: list[Problem], batch_idx: int) -> torch.Tensor:
        self.seen += [problem.question for problem in batch]
        self.trainer.datamodule.mark_consumed(batch)  # type: ignore[attr-defined]
        return self.weight * 1.0

    def validation_step(self, batch: list[Problem], batch_idx: int) -> None:
        self.validated += [problem.question for problem in batch]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class OnePassPlayer(Player):
    """Stops when the stream has ended, and may save a checkpoint on the way."""

    def __init__(self, checkpoint: Path | None = None, after: int = 0) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.after = after

    def on_train_batch_end(self, outputs: Any, batch: list[Problem], batch_idx: int) -> None:
        if self.checkpoint is not None and len(self.seen) == self.after:
            self.trainer.save_checkpoint(self.checkpoint)

    def on_train_epoch_end(self) -> None:
        self.trainer.should_stop = True


class ChoosyPlayer(Player):
    """Plays no problem whose number is odd."""

    def admit(self, problem: Problem) -> str | None:
        return "odd" if int(problem.gold) % 2 else None


def trainer(tmp_path: Path, **settings: Any) -> Trainer:
    return Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **settings,
    )


def data_of(path: str, **settings: Any) -> PromptDataModule:
    return PromptDataModule(**{"train": ProblemSource(path), "chunk_size": 8, "batch_size": 3, **settings})


@pytest.fixture
def path(tmp_path: Path) -> str:
    return write_jsonl(tmp_path / "train.jsonl", numbered(29))


def next_questions(data: PromptDataModule) -> list[str]:
    return [problem.question for batch in data.train_dataloader() for problem in batch]


@pytest.mark.parametrize("saved", ["on the way", "after the last step"])
def test_stopped_and_resumed_equals_uninterrupted(saved: str, path: str, tmp_path: Path) -> None:
    whole = OnePassPlayer()
    trainer(tmp_path, max_epochs=-1).fit(whole, datamodule=data_of(path))
    in_order = [f"q{n}" for n in range(29)]
    assert sorted(whole.seen) == sorted(in_order) and whole.seen != in_order

    checkpoint = tmp_path / "stopped.ckpt"  # after 15 problems: in the middle of a chunk
    if saved == "on the way":
        stopped, first = OnePassPlayer(checkpoint, after=15), trainer(tmp_path, max_epochs=-1)
        first.fit(stopped, datamodule=data_of(path))
    else:
        stopped, first = OnePassPlayer(), trainer(tmp_path, max_epochs=-1, max_steps=5)
        first.fit(stopped, datamodule=data_of(path))
        first.save_checkpoint(checkpoint)
    assert torch.load(checkpoint, weights_only=True)["PromptDataModule"]["consumed"] == 15

    resumed, data = OnePassPlayer(), data_of(path)
    trainer(tmp_path, max_epochs=-1).fit(resumed, datamodule=data, ckpt_path=checkpoint)
    assert stopped.seen[:15] + resumed.seen == whole.seen
    assert data.state_dict()["consumed"] == 29


def test_no_problem_is_seen_twice_in_further_epochs(path: str, tmp_path: Path) -> None:
    player = Player()
    trainer(tmp_path, max_epochs=3).fit(player, datamodule=data_of(path))
    assert len(player.seen) == len(set(player.seen)) == 29


def test_the_loader_has_no_length_and_gives_lists_of_problems(path: str) -> None:
    data = data_of(path)
    data.setup("fit")
    loader = data.train_dataloader()
    with pytest.raises(TypeError):
        len(loader)
    batch = next(iter(loader))
    assert isinstance(batch, list) and all(isinstance(problem, Problem) for problem in batch)
    assert data.streams["train"].total == 29


def test_reading_ahead_does_not_move_the_cursor(path: str) -> None:
    data = data_of(path)
    data.setup("fit")
    batches = iter(data.train_dataloader())
    first, _ = next(batches), next(batches)
    data.mark_consumed(first)
    saved = data.state_dict()
    assert saved["consumed"] == 3

    data = data_of(path)
    data.load_state_dict(saved)
    data.setup("fit")
    fresh = data_of(path)
    fresh.setup("fit")
    assert next_questions(data) == next_questions(fresh)[3:]


def test_a_checkpoint_of_other_data_is_refused_with_what_differs(path: str, tmp_path: Path) -> None:
    data = data_of(path)
    data.setup("fit")
    data.mark_consumed(next(iter(data.train_dataloader())))
    other = data_of(path, train=ProblemSource(path, answer_field="question"), seed=7)
    other.setup("fit")
    other.load_state_dict(data.state_dict())
    with pytest.raises(
        UserError,
        match=r"data\.train\.answer_field was answer and is question, data\.seed was 0 and is 7",
    ):
        other.train_dataloader()


def test_a_file_that_changed_since_the_checkpoint_is_refused(path: str) -> None:
    data = data_of(path)
    data.setup("fit")
    data.mark_consumed(next(iter(data.train_dataloader())))
    write_jsonl(Path(path), [{"question": f"new {n}", "answer": n} for n in range(29)])
    changed = data_of(path)
    changed.load_state_dict(data.state_dict())
    changed.setup("fit")
    with pytest.raises(UserError, match="the data have changed since the checkpoint: problem 3 was"):
        next(iter(changed.train_dataloader()))


@pytest.mark.parametrize("form", ["relative", "dotted", "link", "moved", "packed", "dos", "folder"])
def test_the_same_rows_under_another_path_are_the_same_source(
    form: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of(path)
    data.setup("fit")
    data.mark_consumed(next(iter(data.train_dataloader())))
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "link.jsonl").symlink_to(path)
    content = Path(path).read_bytes()
    again = {
        "relative": "train.jsonl",
        "dotted": "./elsewhere/../train.jsonl",
        "link": str(elsewhere / "link.jsonl"),
        "moved": str(Path(shutil.copy(path, elsewhere / "moved.jsonl"))),
        "packed": write_jsonl(elsewhere / "packed.jsonl.gz", numbered(29)),
        "dos": str(elsewhere / "dos.jsonl"),
        "folder": str(tmp_path / "shards"),
    }[form]
    (elsewhere / "dos.jsonl").write_bytes(content.replace(b"\n", b"\r\n"))
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "part.jsonl").write_bytes(content)
    other = data_of(again)
    other.load_state_dict(data.state_dict())
    other.setup("fit")
    whole = data_of(path)
    whole.setup("fit")
    assert next_questions(other) == next_questions(whole)[3:]


@pytest.mark.parametrize(
    ("rows", "options", "told"),
    [
        (numbered(29), {"answer_field": "question"}, r"data\.train\.answer_field was answer and is question"),
        (numbered(29), {"gold": AfterMark("q")}, r"gold was Automatic and is AfterMark\(mark='q'\)"),
        ([{**row, "answer": "7"} for row in numbered(29)], {}, "first 15 problems have other gold answers"),
        ([*numbered(29), {"question": "more", "answer": "1"}], {}, "the data have changed"),
    ],
)
def test_other_answers_to_the_same_questions_are_refused(
    rows: list[dict[str, object]], options: dict[str, Any], told: str, path: str, tmp_path: Path
) -> None:
    data = data_of(path)
    data.setup("fit")
    for batch in list(data.train_dataloader())[:5]:
        data.mark_consumed(batch)
    other = data_of("", train=ProblemSource(write_jsonl(tmp_path / "other.jsonl", rows), **options))
    other.load_state_dict(data.state_dict())
    other.setup("fit")
    with pytest.raises(UserError, match=told):
        next_questions(other)


def test_rows_that_are_still_to_come_belong_to_the_source_too(path: str, tmp_path: Path) -> None:
    data = data_of(path, shuffle=False)
    data.setup("fit")
    data.mark_consumed(next(iter(data.train_dataloader())))
    rows = [*numbered(28), {"question": "q28", "answer": "0"}]
    other = data_of(write_jsonl(tmp_path / "other.jsonl", rows), shuffle=False)
    other.load_state_dict(data.state_dict())
    other.setup("fit")
    with pytest.raises(UserError, match=r"data\.train was 29 rows with digest \w+ and is 29 rows"):
        next_questions(other)


def test_each_pass_has_all_problems_in_an_order_of_its_own_and_the_first_is_that_of_one_pass(
    path: str,
) -> None:
    once, thrice = data_of(path), data_of(path, passes=3)
    for data in (once, thrice):
        data.setup("fit")
    assert (once.problems_expected("train"), thrice.problems_expected("train")) == (29, 87)
    seen, numbers = [], []
    for batch in thrice.train_dataloader():
        numbers += [thrice.pass_number] * len(batch)
        seen += [problem.question for problem in batch]
        assert not thrice.ended("train")
        thrice.mark_consumed(batch)
    assert thrice.ended("train") and numbers == [1] * 29 + [2] * 29 + [3] * 29
    passes = [seen[start : start + 29] for start in (0, 29, 58)]
    assert passes[0] == next_questions(once) and len({tuple(one) for one in passes}) == 3
    assert all(sorted(one) == sorted(passes[0]) for one in passes)


@pytest.mark.parametrize("batches", [4, 10, 13, 20])
def test_stopped_in_any_pass_and_resumed_equals_uninterrupted(batches: int, path: str) -> None:
    whole, stopped, resumed = (data_of(path, passes=2) for _ in range(3))
    for data in (whole, stopped):
        data.setup("fit")
    given = list(stopped.train_dataloader())
    for batch in given[:batches]:
        stopped.mark_consumed(batch)
    resumed.load_state_dict(stopped.state_dict())
    resumed.setup("fit")
    assert next_questions(resumed) == next_questions(whole)[sum(map(len, given[:batches])) :]


def test_what_is_left_out_lowers_the_number_to_come(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}", "answer": "n/a" if n % 3 else "1"} for n in range(30)]
    data = data_of(write_jsonl(tmp_path / "x.jsonl", rows), passes=2)
    data.setup("fit")
    assert data.problems_expected("train") == 60
    assert len(next_questions(data)) == data.problems_expected("train") == 20


def test_what_a_verb_does_not_read_need_not_be_there(path: str, tmp_path: Path) -> None:
    absent = ProblemSource(str(tmp_path / "absent.jsonl"))
    data = data_of(path, validation=absent, predict=absent)
    trainer(tmp_path, max_epochs=1, limit_val_batches=0).fit(OnePassPlayer(), datamodule=data)
    with pytest.raises(UserError, match=r"absent\.jsonl does not exist"):
        trainer(tmp_path, max_epochs=1).fit(OnePassPlayer(), datamodule=data_of(path, validation=absent))
    with pytest.raises(UserError, match=r"absent\.jsonl does not exist"):  # its problems may not be in train
        trainer(tmp_path, max_epochs=1).fit(OnePassPlayer(), datamodule=data_of(path, test=absent))


@pytest.mark.parametrize(
    ("verb", "validates", "looked_for"),
    [
        ("fit", False, {"train", "test"}),
        ("fit", True, {"train", "validation", "test"}),
        ("validate", True, {"validation"}),
        ("test", True, {"train", "predict", "test"}),
        ("predict", True, {"predict", "test"}),
    ],
)
def test_files_are_looked_for_before_anything_is_made(
    verb: str, validates: bool, looked_for: set[str], path: str, tmp_path: Path
) -> None:
    names = ("train", "validation", "test", "predict")
    for absent in names:
        given = {name: {"path": str(tmp_path / "no.jsonl") if name == absent else path} for name in names}
        if absent in looked_for:
            with pytest.raises(UserError, match=r"no\.jsonl does not exist"):
                PromptDataModule.require_files(verb, given, validates)
        else:
            PromptDataModule.require_files(verb, given, validates)
    hub = {name: {"path": "owner/set", "name": None, "split": "train"} for name in names}
    PromptDataModule.require_files(verb, hub, validates)


def test_a_larger_limit_continues_the_stream(path: str) -> None:
    data = data_of(path, train=ProblemSource(path, limit=10))
    data.setup("fit")
    for batch in data.train_dataloader():
        data.mark_consumed(batch)
    longer = data_of(path, train=ProblemSource(path, limit=20))
    longer.load_state_dict(data.state_dict())
    longer.setup("fit")
    whole = data_of(path)
    whole.setup("fit")
    assert next_questions(longer) == next_questions(whole)[10:20]


def test_validation_keeps_its_order_and_ignores_the_cursor(path: str, tmp_path: Path) -> None:
    player, first = Player(), trainer(tmp_path, max_steps=2)
    first.fit(player, datamodule=data_of(path))
    first.save_checkpoint(tmp_path / "a.ckpt")
    elsewhere = write_jsonl(tmp_path / "valid.jsonl", numbered(7))
    data = data_of(path, train=None, validation=ProblemSource(elsewhere), seed=3)
    trainer(tmp_path).validate(player, datamodule=data, ckpt_path=tmp_path / "a.ckpt", verbose=False)
    assert player.validated == [f"q{n}" for n in range(7)]


def test_fit_validates_where_a_validation_source_is_given(path: str, tmp_path: Path) -> None:
    player = Player()
    data = data_of(path, validation=ProblemSource(path, limit=4))
    trainer(tmp_path, max_epochs=1).fit(player, datamodule=data)
    assert player.validated == ["q0", "q1", "q2", "q3"]


def test_the_module_decides_which_problems_it_plays(path: str, tmp_path: Path) -> None:
    player, data = ChoosyPlayer(), data_of(path)
    trainer(tmp_path, max_epochs=1).fit(player, datamodule=data)
    assert sorted(player.seen) == sorted(f"q{n}" for n in range(0, 29, 2))
    assert data.skipped == {"odd": 14}


def test_unplayable_problems_are_refused_by_line(path: str, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"train\.jsonl:\d+: odd; mend or remove the row, or set data\.invalid to skip"
    ):
        trainer(tmp_path, max_epochs=1).fit(ChoosyPlayer(), datamodule=data_of(path, invalid="refuse"))


def test_a_share_of_each_batch_for_every_rank(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def questions(rank: int, world: int) -> list[list[str]]:
        monkeypatch.setattr("flowdpo_pl.modules.prompt_data_module.rank", lambda: rank)
        monkeypatch.setattr("flowdpo_pl.modules.prompt_data_module.ranks", lambda: world)
        data = data_of(path, batch_size=5)
        data.setup("fit")
        return [[problem.question for problem in batch] for batch in data.train_dataloader()]

    whole, even, odd = questions(0, 1), questions(0, 2), questions(1, 2)
    assert [sorted(batch) for batch in whole] == [sorted(a + b) for a, b in zip(even, odd, strict=True)]


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        ({"batch_size": 0}, "data.batch_size is 0: give at least 1"),
        ({"batch_size": 200, "chunk_size": 160}, "data.batch_size 200 exceeds data.chunk_size 160"),
    ],
)
def test_impossible_sizes_are_refused(sizes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        PromptDataModule(**sizes)


def test_a_stage_without_its_source_is_refused() -> None:
    with pytest.raises(UserError, match=r"validate needs data\.validation: set data\.validation\.path"):
        PromptDataModule().setup("validate")


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
@pytest.mark.parametrize(
    ("name", "answer_field", "count"),
    [
        ("gsm8k/train.jsonl.gz", "answer", 7473),
        ("math/train_sample_1500.jsonl.gz", "solution", 1500),
        ("word_problems/train.jsonl", "answer", 1771),
        ("word_problems/valid.jsonl", "answer", 288),  # one question comes twice
    ],
)
def test_real_files_are_read_whole(name: str, answer_field: str, count: int) -> None:
    data = PromptDataModule(ProblemSource(str(DATA / name), answer_field=answer_field, id_field="id"))
    data.setup("fit")
    sizes = [len(batch) for batch in data.train_dataloader()]
    assert sum(sizes) == count and set(sizes[:-1]) == {32}


def test_what_is_tested_on_is_neither_learnt_from_nor_collected(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "all.jsonl", [{"id": f"p{n}", **row} for n, row in enumerate(numbered(30))])
    rewrites = [{"question": f"again q{n}", "answer": "1", "seed": f"q{n}"} for n in (3, 40)]
    other = write_jsonl(tmp_path / "other.jsonl", rewrites)

    def source(path: str = file, **options: Any) -> ProblemSource:
        return ProblemSource(path, id_field="id" if path == file else None, **options)

    for stage, sources in {
        "fit": {"train": source()},
        "predict": {"predict": source()},
        "test": {"train": source(), "predict": source()},
    }.items():
        with pytest.raises(UserError, match=r"problems that data\.test has too \(p0, p1, .*and 20 more\)"):
            PromptDataModule(test=source(), batch_size=8, **sources).setup(stage)
    with pytest.raises(UserError, match=r"data\.train .* has problems that data\.test has too"):
        learnt = ProblemSource(other, seed_question_field="seed")  # one rewrites a question of the test
        PromptDataModule(train=learnt, test=source(), batch_size=8).setup("fit")
    divided = PromptDataModule(
        train=source(part=(0.0, 0.5)), test=source(part=(0.5, 1.0)), batch_size=8, validation=source()
    )
    for stage in ("fit", "validate", "test"):
        divided.setup(stage)
    seen = [{p.id for batch in divided.streams[name].batches() for p in batch} for name in ("train", "test")]
    assert not seen[0] & seen[1] and len(seen[0] | seen[1]) == 30


@pytest.mark.parametrize("form", ["How  many {}?", "how many {}", "How many {} ?", "How\u00a0many\n{}?"])
def test_a_tested_question_in_another_form_is_a_tested_question(form: str, tmp_path: Path) -> None:
    tested = [{"question": f"How many {n}?", "answer": "1"} for n in range(3)]
    learnt = [{"question": f"How few {n}?", "answer": "1"} for n in range(3)]
    test = ProblemSource(write_jsonl(tmp_path / "test.jsonl", tested))
    train = ProblemSource(
        write_jsonl(tmp_path / "train.jsonl", [*learnt, {"question": form.format(1), "answer": "1"}])
    )
    with pytest.raises(UserError, match=r"data\.train .* has problems that data\.test has too"):
        PromptDataModule(train=train, test=test, batch_size=2).setup("fit")


def test_a_stream_that_cannot_be_read_ahead_stops_at_a_tested_problem(tmp_path: Path) -> None:
    stream = ProblemStream(ProblemSource(write_jsonl(tmp_path / "x.jsonl", numbered(9))))
    stream._held_out = {question_key("q5")}  # as of a hub data set, whose rows are not read beforehand
    with pytest.raises(UserError, match=r"data\.test has too"):
        list(stream.batches())
