"""Attention is torch's own with heads repeated and masks written out; views say who sees what."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from flowdpo_pl.errors import UserError
from flowdpo_pl.model import attention
from flowdpo_pl.model.attention import TreeView, additive, attend, grouped_attention


def plain_attention(
    query: Tensor, key: Tensor, value: Tensor, visible: Tensor, scaling: float, softcap: float | None
) -> Tensor:
    """Every head on its own, all scores at once; `visible` is `[B, N, L]`."""
    groups = query.shape[1] // key.shape[1]
    scores = query @ key.repeat_interleave(groups, 1).transpose(-1, -2) * scaling
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    weights = scores.masked_fill(~visible[:, None], -math.inf).softmax(-1)
    return weights @ value.repeat_interleave(groups, 1)


def tensors(queries: int, keys: int) -> tuple[Tensor, Tensor, Tensor]:
    """2 sequences, 4 query heads, 2 key/value heads of size 8."""
    torch.manual_seed(0)
    shapes = ((2, 4, queries, 8), (2, 2, keys, 8), (2, 2, keys, 8))
    query, key, value = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    return query, key, value


@pytest.mark.parametrize("way", ["two products", "kernel", "softcap"])
@pytest.mark.parametrize("queries", [1, 5])
def test_values_and_gradients_are_those_of_separate_heads(
    way: str, queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "kernel":
        monkeypatch.setattr(attention, "_SCORES_AT_ONCE", 0)
    softcap = 2.0 if way == "softcap" else None
    query, key, value = tensors(queries, 7)
    visible = torch.rand(2, queries, 7) < 0.6
    visible[..., 0] = True
    expected = plain_attention(query, key, value, visible, 0.3, softcap)
    bias = additive(visible, torch.float64)[:, None]
    found = grouped_attention(query, key, value, bias, 0.3, softcap)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    upstream = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, (query, key, value), upstream)
    for grad, plain in zip(torch.autograd.grad(found, (query, key, value), upstream), wanted, strict=True):
        torch.testing.assert_close(grad, plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("window", [None, 6])
def test_a_packed_tree_is_attended_as_its_sequences_are(
    window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trunk of 9 and branches that leave it after 4 and after 7, in blocks of a few queries."""
    monkeypatch.setattr(attention, "_QUERIES_AT_ONCE", 5)
    trunk, branches = 9, ((4, 3), (7, 2))
    positions, segments, attached = [*range(trunk)], [0] * trunk, [0] * trunk
    sequences = [list(range(trunk))]  # packed indices of each
    for number, (shared, length) in enumerate(branches, 1):
        sequences.append([*range(shared), *range(len(positions), len(positions) + length)])
        positions += range(shared, shared + length)
        segments += [number] * length
        attached += [shared] * length
    both = torch.tensor([positions]).expand(2, -1)
    view = TreeView(both, torch.tensor([segments]).expand(2, -1), torch.tensor([attached]).expand(2, -1))
    query, key, value = (tensor.detach() for tensor in tensors(len(positions), len(positions)))
    layer = torch.nn.Module()
    layer.layer_idx = 0
    found, _ = attend(layer, query, key, value, None, view=view, scaling=0.3, sliding_window=window)
    for places in sequences:
        distance = torch.arange(len(places))[:, None] - torch.arange(len(places))
        visible = (distance >= 0) & (distance < (window or math.inf))
        alone = plain_attention(
            query[:, :, places], key[:, :, places], value[:, :, places], visible[None], 0.3, None
        )
        torch.testing.assert_close(found[:, places], alone.transpose(1, 2), atol=1e-6, rtol=1e-6)


def test_padding_sees_padding_alone_and_is_never_seen() -> None:
    positions = torch.tensor([[0, 1, 2, 0, 0]])
    view = TreeView(positions, torch.tensor([[0, 0, 0, -1, -1]]), torch.zeros(1, 5, dtype=torch.long))
    (block,) = view.blocks(None, torch.float32)
    seen = (block.bias == 0)[0, 0]
    assert seen.tolist() == [
        [True, False, False, False, False],
        [True, True, False, False, False],
        [True, True, True, False, False],
        [False, False, False, True, False],
        [False, False, False, True, True],
    ]


def test_what_no_query_of_a_block_sees_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_QUERIES_AT_ONCE", 4)
    positions = torch.arange(12)[None]
    view = TreeView(positions, torch.zeros_like(positions), torch.zeros_like(positions))
    blocks = view.blocks(3, torch.float32)
    assert [block.keys.tolist() for block in blocks if block.keys is not None] == [
        [0, 1, 2, 3],
        [2, 3, 4, 5, 6, 7],
        [6, 7, 8, 9, 10, 11],
    ]


def test_the_plain_version_is_torch_s() -> None:
    query, key, value = tensors(5, 7)
    visible = torch.ones(5, 7, dtype=torch.bool).tril(2)
    torch.testing.assert_close(
        plain_attention(query, key, value, visible[None], 8**-0.5, None),
        F.scaled_dot_product_attention(query, key, value, attn_mask=visible, enable_gqa=True),
    )


class SomeAttention(torch.nn.Module):
    layer_idx = 0


def called_with(**asked: object) -> None:
    query, key, value = (tensor.detach() for tensor in tensors(3, 3))
    positions = torch.arange(3)[None].expand(2, -1)
    view = TreeView(positions, torch.zeros_like(positions), torch.zeros_like(positions))
    mask = asked.pop("attention_mask", None)
    attend(SomeAttention(), query, key, value, mask, **{"view": view, **asked})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("s_aux", torch.zeros(4)),
        ("position_bias", torch.zeros(1)),
        ("attention_mask", torch.zeros(1, 1, 3, 3)),
        ("is_causal", False),
        ("dropout", 0.1),
        ("sparse_indices", [1]),
        ("cap", 30.0),
    ],
)
def test_what_a_layer_asks_for_beside_is_refused_and_never_left_out(name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"SomeAttention passes {name} to its attention"):
        called_with(**{name: value})


def test_what_says_nothing_is_no_reason_to_refuse() -> None:
    called_with(
        s_aux=None, is_causal=True, dropout=0.0, output_attentions=False, position_ids=torch.arange(3)
    )
    called_with(is_causal=None, scaling=None)


def test_a_layer_without_view_or_number_is_refused() -> None:
    with pytest.raises(UserError, match="does not hand the view of a forward on"):
        called_with(view=None)
    query, key, value = tensors(3, 3)
    with pytest.raises(UserError, match="does not hand the number of its layer on"):
        attend(torch.nn.Module(), query, key, value, None, view=object())  # type: ignore[arg-type]


@pytest.mark.parametrize("way", ["two products", "kernel"])
def test_values_may_have_a_size_of_their_own(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "kernel":
        monkeypatch.setattr(attention, "_SCORES_AT_ONCE", 0)
    query, key, value = tensors(5, 7)
    narrow = value[..., :3].detach().requires_grad_(True)
    visible = torch.ones(2, 5, 7, dtype=torch.bool).tril(2)
    bias = additive(visible, torch.float64)[:, None]
    found = grouped_attention(query, key, narrow, bias, 0.3, None)
    expected = plain_attention(query, key, narrow, visible, 0.3, None)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    wanted = torch.autograd.grad(expected.sum(), (query, key, narrow))
    for grad, plain in zip(torch.autograd.grad(found.sum(), (query, key, narrow)), wanted, strict=True):
        torch.testing.assert_close(grad, plain, atol=1e-5, rtol=1e-5)
