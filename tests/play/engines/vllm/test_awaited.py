"""Several ranks on the same servers: rank 0 loads each version, the others wait for it.

Also tests `play.engines.vllm.versions`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flowdpo_pl.play.engines.vllm.settings import VLLM
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from tests.fake_vllm import FakeVLLM, PeftLogits, serving
from tests.runs import MODEL, data, module, trainer, weights
from tests.two_ranks import run_program
from tests.wrong_server import FAST, toy

PROGRAM = """
import sys, torch
from pathlib import Path
torch.set_num_threads(1)
from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.adapter_strategy import AdapterStrategy
from flowdpo_pl.play.engines.vllm.settings import LocalVLLM, VLLM
from tests.runs import data, module, trainer, weights
from tests.wrong_server import FAST, toy

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    run = module(engine=VLLM([(folder / "url").read_text()]), learning=FAST, max_problems=6, **toy())
    strategy = AdapterStrategy(process_group_backend="gloo")
    trainer(folder, devices=2, strategy=strategy).fit(run, data(batch_size=3, chunk_size=3))
    torch.save(weights(run), folder / f"{torch.distributed.get_rank()}.pt")
    try:
        LocalVLLM("python").open(run.agents, run.players.head, 1)
    except UserError as refused:
        (folder / f"{torch.distributed.get_rank()}.txt").write_text(str(refused))
"""


def versions(fake: FakeVLLM) -> list[str]:
    """Of agents, in the order of their loading."""
    loads = [body["lora_name"] for path, body in fake.asked if path == "/v1/load_lora_adapter"]
    return [name.rsplit("-", 1)[0] for name in loads if name.startswith((ANSWER, STOP))]


@pytest.mark.long
def test_two_ranks_load_each_version_once_and_learn_what_one_learns(tmp_path: Path) -> None:
    logits = PeftLogits(MODEL)
    alone, shared = FakeVLLM(logits), FakeVLLM(logits)
    with serving(alone) as url:
        one = module(engine=VLLM([url]), learning=FAST, max_problems=6, **toy())
        trainer(tmp_path).fit(one, data(batch_size=3, chunk_size=3))
    with serving(shared) as url:
        (tmp_path / "url").write_text(url)
        run_program(PROGRAM, tmp_path)
    assert versions(shared) == versions(alone) and len(set(versions(alone))) == len(versions(alone)) > 2
    assert not shared.adapters
    for rank in range(2):
        other = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in weights(one).items():
            torch.testing.assert_close(other[name], value, atol=2e-4, rtol=1e-3)
        assert "LocalVLLM starts a server for one process" in (tmp_path / f"{rank}.txt").read_text()
