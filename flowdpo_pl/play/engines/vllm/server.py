"""One vLLM server over HTTP: token ids in and out, adapters by name.

What the endpoints take and answer is vLLM's; `docs/scale.md` says how a server is started for this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowdpo_pl.errors import UserError

AT_ONCE = 256
"""Requests that one server has at a time, at most; the others wait here."""
_CONNECT_SECONDS = 10.0
_IDLE_SECONDS = 3.0
"""vLLM closes a connection that is idle for 5 s; ours end before."""
_WHOLE = "stop", "length"
"""How an answer ends that is one; it may also be aborted, fail or repeat itself."""
_NEVER = -9999.0
"""What vLLM writes for minus infinity."""


class ServerLost(Exception):
    """A server gave no answer, or none that makes sense; others may."""


@dataclass(frozen=True)
class Facts:
    """What a server says of itself."""

    base: str
    """The name that its base is asked by."""
    context_limit: int
    """Tokens of prompt and answer together."""


@dataclass(frozen=True)
class Generated:
    """What a server wrote after a prompt."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Of these tokens, under what they were drawn from, in nats."""
    told: tuple[Mapping[int, float], ...] = ()
    """Log-probabilities at each position, by token id: of the token drawn and of those asked for."""


class Server:
    """A client of one server; safe to use from several threads."""

    def __init__(self, url: str, timeout: float) -> None:
        """`timeout`: seconds that an answer may take.

        Raises:
            UserError: no HTTP client is installed.
        """
        try:
            import httpx2
        except ImportError:
            raise UserError(
                "a vLLM server is asked over HTTP, and httpx2 is missing: pip install 'flowdpo-pl[vllm]'."
            ) from None
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._client = httpx2.Client(
            base_url=self.url,
            timeout=httpx2.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS), pool=None),
            limits=httpx2.Limits(
                max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE, keepalive_expiry=_IDLE_SECONDS
            ),
            trust_env=False,  # no proxy between a trainer and its servers
        )
        self._errors = httpx2.TransportError, httpx2.TimeoutException

    def close(self) -> None:
        self._client.close()

    def facts(self) -> Facts:
        """
        Raises:
            ServerLost: it gives no answer.
            UserError: it is no vLLM server.
        """
        try:
            models = self._asked("GET", "/v1/models")["data"]
            base = next(model for model in models if model.get("parent") is None)
            return Facts(base["id"], int(base["max_model_len"]))
        except (KeyError, TypeError, StopIteration):
            raise UserError(f"{self.url} is no vLLM server: its /v1/models names no base.") from None

    def adapters(self) -> set[str]:
        """The names of all that are loaded.

        Raises:
            ServerLost: it gives no answer.
        """
        models = self._asked("GET", "/v1/models")["data"]
        return {model["id"] for model in models if model.get("parent") is not None}

    def generate(self, model: str, token_ids: Sequence[int], params: Mapping[str, Any]) -> Generated:
        """What `model` writes after a prompt.

        Raises:
            ServerLost: no answer, an error of the server's own, or it does not know `model` any more.
            UserError: it refuses the request.
        """
        body = {"model": model, "token_ids": list(token_ids), "sampling_params": dict(params)}
        answer = self._asked("POST", "/inference/v1/generate", body)
        try:
            choice = answer["choices"][0]
            places, ended = choice["logprobs"]["content"], choice["finish_reason"]
            written = Generated(
                tuple(choice["token_ids"]),
                tuple(_nats(place["logprob"]) for place in places),
                tuple(
                    {top["token_id"]: _nats(top["logprob"]) for top in place["top_logprobs"]}
                    for place in places
                ),
            )
        except (KeyError, IndexError, TypeError):
            raise ServerLost(f"{self.url} gives an answer without tokens or log-probabilities") from None
        if ended not in _WHOLE:
            raise ServerLost(f"{self.url} breaks an answer off ({ended})")
        if not len(written.token_ids) == len(written.logprobs) <= params["max_tokens"]:
            raise ServerLost(f"{self.url} gives an answer of {len(written.token_ids)} tokens, asked for less")
        return written

    def load(self, name: str, folder: Path) -> None:
        """Load an adapter in PEFT's format under a name that was never used before.

        Raises:
            ServerLost: it gives no answer.
            UserError: it can't load it.
        """
        try:
            body = {"lora_name": name, "lora_path": str(folder)}
            self._asked("POST", "/v1/load_lora_adapter", body)
        except _Refused as refused:
            if "already" in str(refused):  # its answer to an earlier try was lost
                return
            raise UserError(
                f"{self.url} can't load an adapter ({refused}): start it with --enable-lora, a "
                "--max-lora-rank of at least model.team.lora.r and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, "
                f"where it sees {folder.parent}."
            ) from None

    def unload(self, name: str) -> None:
        """Forget a name; a name that is unknown is forgotten already."""
        try:
            self._asked("POST", "/v1/unload_lora_adapter", {"lora_name": name})
        except _Refused:
            return

    def _asked(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        transport, timeout = self._errors
        for last in (False, True):
            try:
                answer = self._client.request(method, path, json=body)
                break
            except timeout:
                raise ServerLost(f"{self.url} gave no answer in {self.timeout:g} s") from None
            except transport as error:  # such as a connection that the server has just closed
                if last:
                    raise ServerLost(f"{self.url} can't be reached ({error})") from None
        if answer.status_code >= 500:
            raise ServerLost(f"{self.url} fails with {answer.status_code}: {_message(answer.text)}")
        if answer.status_code >= 400:
            raise self._refusal(answer.status_code, path, _message(answer.text))
        return answer.json() if "json" in answer.headers.get("content-type", "") else None

    def _refusal(self, status: int, path: str, message: str) -> Exception:
        if "lora_adapter" in path:
            return _Refused(message)
        if status == 404 and "does not exist" in message:
            return ServerLost(f"{self.url} has lost its adapters: {message}")
        if status in (403, 404):
            return UserError(f"{self.url} has no {path}: start vLLM (0.32 or later) with --enable-scale-out.")
        return UserError(f"{self.url} refuses a request: {message}")


class _Refused(Exception):
    """A server refuses to load or unload an adapter."""


def _nats(value: float | None) -> float:
    """JSON has no NaN and no infinity."""
    if value is None:
        return math.nan
    return -math.inf if value <= _NEVER else float(value)


def _message(text: str) -> str:
    """The sentence in an answer that is an error."""
    import json

    try:
        found = json.loads(text)
        return str(found["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return text.strip()[:200] or "no reason given"
