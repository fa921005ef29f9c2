"""What a config says of vLLM is checked before anything is loaded."""

from __future__ import annotations

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.vllm.settings import VLLM


@pytest.mark.parametrize(
    ("servers", "told"),
    [
        ([], "is empty"),
        (["127.0.0.1:8000"], "has '127.0.0.1:8000': give an address"),
        (["http://a:1", "http://a:1/"], "names a server twice"),
    ],
)
def test_servers_are_addresses(servers: list[str], told: str) -> None:
    with pytest.raises(UserError, match=rf"model\.team\.engine\.servers {told}"):
        VLLM(servers)
