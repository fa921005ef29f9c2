"""A vLLM server without vLLM: its endpoints, over HTTP, around logits that a test knows; and its faults.

What it takes and answers is what vLLM 0.32 was seen to take and answer, its traps included.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel
from transformers import AutoModelForCausalLM

Floats = NDArray[np.float64]
Logits = Callable[[Path | None, Sequence[int]], Floats]
"""Of the next token, [V], by the adapter's folder (None: the base) and the token ids before."""


@dataclass
class FakeVLLM:
    """What a server does; tests change its faults while it runs."""

    logits: Logits
    context_limit: int = 512
    adapters: dict[str, Path] = field(default_factory=dict)
    """Loaded, by name."""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Every request's path and body, in the order of their coming."""
    dead: bool = False
    """Every connection ends without an answer."""
    closes: bool = False
    """Every connection ends after one answer, and nothing has said so: as one that was idle for long."""
    ends: str = "length"
    """What it says of how an answer has ended."""
    failing: bool = False
    """Its engine has ended: every request for tokens is answered with 500."""
    silent: bool = False
    """Requests for tokens are not answered until `released`."""
    released: Event = field(default_factory=Event)
    seconds: float = 0.0
    """How much later than at once it answers."""
    slots: int | None = None
    """So many adapters and no more."""
    serves: dict[str, Path | None] = field(default_factory=dict)
    """Names whose requests get another adapter, or the base."""
    raw: bool = False
    """Log-probabilities before temperature, as with --logprobs-mode raw_logprobs."""
    ended_by: str | None = None
    """Why its engine ended: it read an adapter whose folder is gone."""

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.asked.append((path, body))
        match path:
            case "/v1/models":
                base = {"id": "base", "parent": None, "max_model_len": self.context_limit}
                loaded = [{"id": name, "parent": "base"} for name in self.adapters]
                return 200, {"data": [base, *loaded]}
            case "/v1/load_lora_adapter":
                return self._load(body["lora_name"], Path(body["lora_path"]))
            case "/v1/unload_lora_adapter":
                known = self.adapters.pop(body["lora_name"], None) is not None
                return (200, None) if known else (404, _error("The lora adapter cannot be found."))
            case "/inference/v1/generate":
                return self._generate(body)
        return 404, {"detail": "Not Found"}

    def _load(self, name: str, folder: Path) -> tuple[int, Any]:
        if name in self.adapters:
            return 400, _error(f"The lora adapter '{name}' has already been loaded.")
        if self.slots is not None and len(self.adapters) >= self.slots:
            return 400, _error("No free lora slots.")
        if not (folder / "adapter_model.safetensors").is_file():
            return 404, _error(f"Loading lora {name} failed: No adapter found for {folder}")
        self.adapters[name] = folder
        return 200, None

    def _generate(self, body: dict[str, Any]) -> tuple[int, Any]:
        if self.silent:
            self.released.wait(30)
        time.sleep(self.seconds)
        name, prompt, params = body["model"], body["token_ids"], body["sampling_params"]
        if name != "base" and name not in self.adapters:
            return 404, _error(f"The model `{name}` does not exist.")
        if not 0 <= params["temperature"] <= 2:
            return 400, _error(f"temperature must be in [0, 2], got {params['temperature']}.")
        if len(prompt) >= self.context_limit:
            return 400, _error("The decoder prompt is longer than the maximum model length.")
        folder = self.serves.get(name, self.adapters.get(name))
        if folder is not None and not folder.exists():
            self.failing, self.ended_by = True, f"{folder} is gone"
        if self.failing:
            return 500, _error("EngineCore encountered an issue.")
        most = min(params["max_tokens"], self.context_limit - len(prompt))  # cut, and nothing said
        written = Sampler(params, self.raw)
        while len(written.token_ids) < most and not written.over:
            written.draw(self.logits(folder, [*prompt, *written.token_ids]))
        choice = {
            "index": 0,
            "finish_reason": self.ends,
            "token_ids": written.token_ids,
            "logprobs": {"content": written.content},
        }
        return 200, {"choices": [choice]}


class Sampler:
    """One request's draws, in vLLM's order: minimum length, bias, temperature, top-p, then the draw."""

    def __init__(self, params: Mapping[str, Any], raw: bool) -> None:
        assert params["ignore_eos"] and params["top_k"] == 0 and params["min_p"] == 0.0
        self._params = params
        self._raw = raw
        self._random = np.random.default_rng(params.get("seed"))
        self.token_ids: list[int] = []
        self.content: list[dict[str, Any]] = []

    @property
    def over(self) -> bool:
        return self.token_ids[-1:] != [] and self.token_ids[-1] in self._params.get("stop_token_ids", [])

    def draw(self, logits: Floats) -> None:
        params, own = self._params, logits.astype(np.float64)
        raw = _log_softmax(own)
        if len(self.token_ids) < params.get("min_tokens", 0):
            own[params["stop_token_ids"]] = -np.inf
        for token, bias in params.get("logit_bias", {}).items():
            own[int(token)] += bias
        temperature = params["temperature"]
        processed = _nucleus(_log_softmax(own / (temperature or 1.0)), params["top_p"])
        if temperature == 0:
            token = int(processed.argmax())
        else:
            token = int(self._random.choice(len(processed), p=np.exp(processed)))
        self.token_ids.append(token)
        self.content.append(self._told(token, raw if self._raw else processed))

    def _told(self, token: int, logprobs: Floats) -> dict[str, Any]:
        count = self._params["logprobs"]
        others = self._params.get("logprob_token_ids")
        if others is None:
            others = np.argsort(-logprobs)[:count].tolist()
        told = list(dict.fromkeys([token, *others[:count]][: max(1, count)]))
        values = {one: float(max(logprobs[one], -9999.0)) for one in told}
        top = [{"token_id": one, "logprob": value} for one, value in values.items()]
        return {"token_id": token, "logprob": values[token], "top_logprobs": top}


class PeftLogits:
    """A base's logits with adapters from their folders, by stock transformers and PEFT."""

    def __init__(self, base: Path) -> None:
        self._base = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager").eval()
        self._model: PeftModel | None = None
        self._lock = Lock()
        self._known: dict[tuple[Path | None, tuple[int, ...]], Floats] = {}

    def __call__(self, folder: Path | None, token_ids: Sequence[int]) -> Floats:
        asked = folder, tuple(token_ids)
        with self._lock, torch.no_grad():
            if asked not in self._known:
                self._known[asked] = self._computed(*asked)
            return self._known[asked]

    def _computed(self, folder: Path | None, token_ids: tuple[int, ...]) -> Floats:
        ids = torch.tensor([token_ids])
        if folder is None:
            return self._of(ids) if self._model is None else self._without(ids)
        name = str(folder).replace(".", "_")  # PyTorch's names of modules have no dots
        if self._model is None:
            self._model = PeftModel.from_pretrained(self._base, folder, adapter_name=name).eval()
        elif name not in self._model.peft_config:
            self._model.load_adapter(str(folder), adapter_name=name)
            self._model.eval()
        self._model.set_adapter(name)
        return self._of(ids)

    def _without(self, ids: torch.Tensor) -> Floats:
        assert self._model is not None
        with self._model.disable_adapter():
            return self._of(ids)

    def _of(self, ids: torch.Tensor) -> Floats:
        logits: Floats = (self._model or self._base)(ids).logits[0, -1].double().numpy()
        return logits


@contextmanager
def serving(fake: FakeVLLM, port: int = 0) -> Iterator[str]:
    """Its address, while it runs; port 0: any."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: dict[str, Any]) -> None:
            if fake.dead:
                self.close_connection = True
                return
            status, answer = fake.answer(self.path, body)
            text = json.dumps(answer).encode() if answer is not None else b"Success"
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if answer is None else "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            self.close_connection = self.close_connection or fake.closes

        def log_message(self, *_: Any) -> None:
            pass

    server = Listener(("127.0.0.1", port), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        fake.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, *_: Any) -> None:
        """A client that is gone is no fault of the server's."""


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "BadRequestError"}}


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max()
    result: Floats = shifted - np.log(np.exp(shifted).sum())
    return result


def _nucleus(logprobs: Floats, top_p: float) -> Floats:
    if top_p == 1:
        return logprobs
    order = np.argsort(-logprobs)
    before = np.cumsum(np.exp(logprobs[order])) - np.exp(logprobs[order])
    kept = np.full_like(logprobs, -np.inf)
    inside = order[before < top_p]
    kept[inside] = logprobs[inside]
    return _log_softmax(kept)
