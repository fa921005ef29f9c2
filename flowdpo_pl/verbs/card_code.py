"""The code of a model card: an export in transformers and PEFT, in vLLM and in lm-evaluation-harness."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from flowdpo_pl.types import Agent

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as the most that an adapter may have."""

_READ = '''\
import json
from pathlib import Path

import torch
from transformers import AutoTokenizer

folder = Path(".")  # this folder
{base}prompts = json.loads((folder / "prompts.json").read_text(encoding="utf-8"))
tokenizer = AutoTokenizer.from_pretrained(folder)


def read(agent, question, said={{}}, own=()):
    """Token ids that the agent reads; said: those of each place, own: those that it goes on from."""
    ids = []
    for number, piece in enumerate(prompts["agents"][agent]["reads"]):
        if number % 2:  # a place
            ids += said.get(piece, ())
        elif piece:
            text = piece.replace("{{question}}", question.strip())
            ids += tokenizer(text, add_special_tokens=False).input_ids
    return [*ids, *own]
'''

_PLAY = '''\
def write(agent, ids):
    """Token ids that the agent writes next, greedily; an end token ends them."""
    given = torch.tensor([ids])
    written = model_of(agent).generate(
        given,
        attention_mask=torch.ones_like(given),
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        max_new_tokens=prompts["agents"][agent]["writes"],
        eos_token_id=prompts["ends"],
        pad_token_id=prompts["ends"][0],
    )
    return written[0, len(ids) :].tolist()


def choose(agent, ids):
    """The word that the agent chooses."""
    words = prompts["agents"][agent]["chooses"]
    with torch.no_grad():
        logits = model_of(agent)(torch.tensor([ids])).logits[0, -1]
    return max(words, key=lambda word: float(logits[words[word]]))
'''

_VLLM_PLAY = """\
def write(agent, ids):
    return said_by(agent, ids, max_tokens=prompts["agents"][agent]["writes"], stop_token_ids=prompts["ends"])


def choose(agent, ids):
    words = prompts["agents"][agent]["chooses"]
    token = said_by(agent, ids, max_tokens=1, allowed_token_ids=list(words.values()))[0]
    return next(word for word in words if words[word] == token)
"""


@dataclass(frozen=True)
class CardCode:
    """The blocks of code, which go on from each other."""

    base: str
    dtype: str
    quantization: str | None
    agents: Sequence[Agent]
    """All that play."""
    adapted: Sequence[Agent]
    """Those with an adapter."""
    rank: int
    merged: bool

    def reading(self) -> str:
        """What an agent reads, as token ids."""
        needed = not self.merged or self._on_base
        where = "" if not self.base.startswith(".") else "  # its folder"
        return _READ.format(base=f'base = "{self.base}"{where}\n' if needed else "")

    def playing(self) -> str:
        """The agents' moves, by transformers."""
        return f"{self._loading()}\n\n{_PLAY}"

    def vllm(self) -> str:
        """The same by vLLM."""
        return f"{self._vllm_loading()}\n\n{_VLLM_PLAY}"

    def serving(self) -> str:
        """The command of a vLLM server."""
        if self.merged:
            first = self.adapted[0]
            return f"vllm serve ./{first} --served-model-name {first} --generation-config vllm"
        named = " ".join(f"{agent}=./{agent}" for agent in self.adapted)
        most = f"--max-loras {len(self.adapted)} --max-lora-rank {self._room}"
        serve = f"vllm serve {self.base} --enable-lora {most} --generation-config vllm"
        return f"{serve} \\\n    --lora-modules {named}"

    def harness(self, agent: Agent, system: str) -> str:
        """The command of lm-evaluation-harness for an agent that writes."""
        where = f"./{agent}" if self.merged else f"{self.base},peft=./{agent},tokenizer=."
        told = f" \\\n    --system_instruction {shlex.quote(system)}" if system else ""
        return (
            f"lm_eval --model hf --model_args pretrained={where},dtype={self.dtype} \\\n"
            f"    --tasks gsm8k --num_fewshot 0 --apply_chat_template{told}"
        )

    @property
    def _room(self) -> int:
        return next((rank for rank in _RANKS if rank >= self.rank), self.rank)

    @property
    def _on_base(self) -> list[Agent]:
        return [agent for agent in self.agents if agent not in self.adapted]

    def _loading(self) -> str:
        return self._loading_merged() if self.merged else self._loading_adapters()

    def _loading_adapters(self) -> str:
        first, *others = self.adapted
        lines = [
            "from peft import PeftModel",
            f"from transformers import AutoModelForCausalLM{self._quantised_import}",
            "",
            f"model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.{self.dtype}{self._quantised})",
            f'model = PeftModel.from_pretrained(model, folder / "{first}", adapter_name="{first}")',
            *(f'model.load_adapter(folder / "{agent}", adapter_name="{agent}")' for agent in others),
            "model.eval()",
            "",
            "",
            "def model_of(agent):",
        ]
        if self._on_base:
            lines += [
                f"    if agent in {_listed(self._on_base)}:  # these play the base",
                "        model.base_model.disable_adapter_layers()",
                "        return model",
                "    model.base_model.enable_adapter_layers()",
            ]
        return "\n".join([*lines, "    model.set_adapter(agent)", "    return model"]) + "\n"

    def _loading_merged(self) -> str:
        lines = [
            "from transformers import AutoModelForCausalLM",
            "",
            f"places = {{agent: folder / agent for agent in {_listed(self.adapted)}}}",
            *(
                [f"places |= dict.fromkeys({_listed(self._on_base)}, base)  # these play the base"]
                if self._on_base
                else []
            ),
            "models = {",
            f"    agent: AutoModelForCausalLM.from_pretrained(place, dtype=torch.{self.dtype})",
            "    for agent, place in places.items()",
            "}",
            "",
            "",
            "def model_of(agent):",
            "    return models[agent]",
        ]
        return "\n".join(lines) + "\n"

    def _vllm_loading(self) -> str:
        lines = ["from vllm import LLM, SamplingParams"]
        if self.merged:
            lines += [
                "",
                f'agent = "{self.adapted[0]}"  # one model a process',
                f'llm = LLM(str(folder / agent), dtype="{self.dtype}")',
                "adapters = {}",
            ]
        else:
            lines += [
                "from vllm.lora.request import LoRARequest",
                "",
                f'llm = LLM(base, dtype="{self.dtype}", enable_lora=True, max_loras={len(self.adapted)}, '
                f"max_lora_rank={self._room})",
                "adapters = {",
                "    agent: LoRARequest(agent, number, str((folder / agent).resolve()))",
                f"    for number, agent in enumerate({_listed(self.adapted)}, start=1)",
                "}",
            ]
        lines += [
            "",
            "",
            "def said_by(agent, ids, **how):",
            "    how = SamplingParams(temperature=0, detokenize=False, **how)",
            '    told = llm.generate({"prompt_token_ids": ids}, how, lora_request=adapters.get(agent), '
            "use_tqdm=False)",
            "    return list(told[0].outputs[0].token_ids)",
        ]
        return "\n".join(lines) + "\n"

    @property
    def _quantised_import(self) -> str:
        return ", BitsAndBytesConfig" if self.quantization else ""

    @property
    def _quantised(self) -> str:
        """How transformers is told to load the base in 4 or 8 bits."""
        if self.quantization is None:
            return ""
        if self.quantization == "int8":
            return ", quantization_config=BitsAndBytesConfig(load_in_8bit=True)"
        options = (
            "load_in_4bit=True",
            'bnb_4bit_quant_type="nf4"',
            "bnb_4bit_use_double_quant=True",
            f"bnb_4bit_compute_dtype=torch.{self.dtype}",
        )
        return f", quantization_config=BitsAndBytesConfig({', '.join(options)})"


def _listed(agents: Sequence[Agent]) -> str:
    return json.dumps(list(agents))
