"""One small run that any number of processes share, and what it left: for benchmarks and tests of ranks.

`python -m benchmarks.ranked_run FOLDER RANKS PROBLEMS`, started by any launcher, or bare. Batches divide
evenly among neither two nor three ranks, and the agents' input is dropped out. Of what is learnt from, pairs
go four into a step, and some losses are not finite; groups are those of a policy gradient.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from torch import Tensor

from benchmarks.exit_status import exit_status
from callbacks import AdapterCheckpoint, TreeLog
from flowdpo_pl.learn.learner import Learning
from flowdpo_pl.learn.losses import PairScores, SigmoidLoss
from flowdpo_pl.learn.policy_gradient import PolicyGradient
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.modules.adapter_strategy import AdapterStrategy
from flowdpo_pl.modules.trainer import Trainer
from flowdpo_pl.play.exploration import NodeGroups
from flowdpo_pl.play.flows.answer_stop import AnswerStopFlow
from flowdpo_pl.results.tree_io import read_trees
from flowdpo_pl.types import Move, Problem, RolloutTree, Verdict
from flowdpo_pl.verify.verifier import Verifier
from tests.runs import MODEL, data, module, weights

BATCH = 7


class Coin(Verifier):
    """Half of all endings are right, so that half of all forks are pairs."""

    def submit(self, prediction: str, problem: Problem) -> Future[Verdict]:
        toss: Future[Verdict] = Future()
        toss.set_result(Verdict(correct=crc32(prediction.encode()) % 2 == 0, extracted=prediction))
        return toss


@dataclass(frozen=True)
class BrittleLoss(SigmoidLoss):
    """Not finite where the chosen move has five tokens: the step of such a pair is set aside."""

    def __call__(self, scores: PairScores) -> Tensor:
        return super().__call__(scores).where(scores.chosen_tokens != 5, torch.nan)


LEARNT: dict[str, dict[str, Any]] = {
    "pairs": {"learning": Learning(lr=3e-3, loss=BrittleLoss()), "pairs_per_update": 4},
    "groups": {"learning": Learning(lr=3e-3, loss=PolicyGradient(kl=0.05)), "exploration": NodeGroups()},
}
"""Options of the module, by what it learns from."""


@dataclass(frozen=True)
class RankedRun:
    """What is played and learnt, however many share it."""

    problems: int
    """Played at its end."""
    dtype: str = "float64"
    """Of the base, and of the adapters where it is float64."""
    learnt_from: str = "pairs"
    """Of `LEARNT`."""


@dataclass(frozen=True)
class Left:
    """What a run left, in plain values."""

    weights: dict[str, Tensor]
    trees: list[RolloutTree]
    set_aside: list[dict[str, Any]]
    accuracy: dict[str, float]

    @staticmethod
    def at(folder: Path) -> Left:
        saved = torch.load(folder / "left.pt", weights_only=True)
        return Left(trees=list(read_trees(folder / "trees.jsonl")), **saved)

    def furthest(self, other: Left) -> float:
        """Largest difference of a weight."""
        return max(float((self.weights[name] - value).abs().max()) for name, value in other.weights.items())

    def first_other_move(self, other: Left) -> str | None:
        """The first problem, in the order of the stream, of which a move differs; None if there is none."""
        for number, (one, two) in enumerate(zip_longest(self.trees, other.trees), start=1):
            if one is None or two is None or _moves(one) != _moves(two):
                return f"problem {number}"
        return None


def _moves(tree: RolloutTree) -> tuple[Any, ...]:
    """Who moved and what, along all paths, and how they were judged."""
    paths = (tree.main, *(fork.branch for fork in tree.forks))
    return tree.problem.id, [([_move(move) for move in path.moves], path.score) for path in paths]


def _move(move: Move) -> tuple[Any, ...]:
    return move.agent, move.token_ids, move.option


def go_on(folder: Path, ranks: int, ranked: RankedRun, strategy: Any = None) -> None:
    """This process's part of the run in `folder`, from its checkpoint on if it has one, to so many problems.

    Args:
        folder: of the run.
        ranks: processes that share it, as far as Lightning is to know.
        ranked: what it is.
        strategy: for several ranks; None: ours, on gloo.
    """
    torch.set_num_threads(1)
    run = module(
        base=BaseModel(str(MODEL), dtype=ranked.dtype, compare_weights=False),  # type: ignore[arg-type]
        flow=AnswerStopFlow(chunk_tokens=6, max_chunks=2),
        lora=LoraSettings(r=4, alpha=8, dropout=0.3),
        **LEARNT[ranked.learnt_from],
        verifier=Coin(),
        max_problems=ranked.problems,
        check=False,
    )
    trainer = Trainer(
        folder,
        [TreeLog(), AdapterCheckpoint(every_n_problems=BATCH, keep_best=False, keep_last=1)],
        overwrite="same",
        accelerator="cpu",
        devices=ranks,
        strategy=strategy or ("auto" if ranks == 1 else AdapterStrategy(process_group_backend="gloo")),
    )
    (folder / f"rank{trainer.global_rank}.pid").write_text(str(os.getpid()))
    trainer.fit(run, data(batch_size=BATCH), ckpt_path="auto")
    if trainer.is_global_zero:
        accuracy = {name: float(value) for name, value in run.accuracy.compute().items()}
        left = {"weights": weights(run), "set_aside": run.set_aside, "accuracy": accuracy}
        torch.save(left, folder / "left.pt")


def told(launcher: str, rank: int, ranks: int, port: int) -> dict[str, str]:
    """What a launcher puts into a process's environment: `lightning`, `torchrun` or `slurm`."""
    everywhere = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if launcher == "slurm":
        numbers = {"NTASKS": ranks, "NTASKS_PER_NODE": ranks, "NNODES": 1, "PROCID": rank, "LOCALID": rank}
        names = {"NODEID": 0, "JOB_ID": port, "JOB_NAME": "flow", "NODELIST": "localhost"}
        return everywhere | {f"SLURM_{name}": str(value) for name, value in (numbers | names).items()}
    own = {"LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
    if launcher == "torchrun":
        return everywhere | own | {"RANK": str(rank), "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "1"}
    return everywhere | own | {"NODE_RANK": "0"}


def forked(folder: Path, ranks: int, ranked: RankedRun, launcher: str = "lightning") -> None:
    """`go_on` in processes forked from this one, which has the libraries but has computed nothing.

    Raises:
        RuntimeError: one of them failed; it has printed why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()

    def member(rank: int) -> None:
        if ranks > 1:
            os.environ |= told(launcher, rank, ranks, port)
        go_on(folder, ranks, ranked)

    children = [in_a_process(partial(member, rank)) for rank in range(ranks)]
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(statuses):
        raise RuntimeError(f"ranks of {folder} ended with {statuses}")


def free_port() -> int:
    """One of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def in_a_process(act: Callable[[], None], log: Path | None = None) -> int:
    """Do it in a process forked from this one, whose number is returned; it ends with 1 if it fails."""
    child = os.fork()
    if child:
        return child
    if log is not None:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
    status = exit_status(act)
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    go_on(Path(sys.argv[1]), int(sys.argv[2]), RankedRun(int(sys.argv[3])))
