"""Rows of a workspace keep their keys and values, whoever leaves, however it grows; each sees its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from flowdpo_pl.model.structure import CacheShape
from flowdpo_pl.play.engines import workspace as module
from flowdpo_pl.play.engines.prefix_cache import Stored
from flowdpo_pl.play.engines.workspace import Workspace

LAYERS, HEADS, SIZE = 2, 3, 4
SHAPES = [CacheShape(HEADS, SIZE, SIZE)] * LAYERS


def new_workspace(lengths: list[int], room: int) -> Workspace:
    return Workspace(SHAPES, lengths, room, torch.float32, torch.device("cpu"))


def bring(workspace: Workspace, rows: list[int], columns: int) -> None:
    """A forward's new keys: the row's name times 1000 plus the position, in every layer."""
    names = 1000.0 * torch.tensor(rows)[:, None] + workspace.positions()
    key = names[:, None, :, None].expand(len(rows), HEADS, columns, SIZE)
    for layer in range(LAYERS):
        workspace.keys_values(key + layer, -key - layer, layer)


def expected(row: int, start: int, stop: int) -> Tensor:
    positions = 1000.0 * row + torch.arange(start, stop)
    return positions[None, None, :, None] + torch.arange(LAYERS)[:, None, None, None]


def holds(workspace: Workspace, index: int, row: int, length: int) -> None:
    keys, values = workspace.states(index, 0, length)
    assert isinstance(keys, Tensor) and isinstance(values, Tensor)
    assert keys.shape == (LAYERS, HEADS, length, SIZE)
    assert torch.equal(keys, expected(row, 0, length).expand_as(keys)) and torch.equal(values, -keys)


def test_rows_keep_their_states_while_others_leave_and_columns_are_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_COLUMNS_AT_ONCE", 3)
    workspace = new_workspace([5, 2, 4], room=8)
    workspace.begin(5)
    bring(workspace, [0, 1, 2], 5)
    assert workspace.columns == 8
    rows, lengths = [0, 1, 2], {0: 5, 1: 2, 2: 4}
    for step in range(8):
        if step == 2:
            workspace.keep(torch.tensor([2, 0]))
            rows = [2, 0]
        workspace.advance()
        bring(workspace, rows, 1)
        lengths = {row: length + 1 for row, length in lengths.items()}
        for index, row in enumerate(rows):
            holds(workspace, index, row, lengths[row])
    assert workspace.columns == 5 + 8 and workspace.end == 13


def test_stored_states_are_read_in_place_of_a_forward() -> None:
    workspace = new_workspace([4, 6], room=0)
    keys = expected(0, 0, 3).expand(LAYERS, HEADS, 3, SIZE)
    workspace.load(0, Stored(np.arange(3), 0, keys, -keys, None), 3)
    workspace.begin(6, slice(1, 2))
    bring(workspace, [1], 6)
    workspace.begin(1)
    bring(workspace, [0, 1], 1)
    holds(workspace, 0, 0, 4)
    holds(workspace, 1, 1, 6)


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("new", [1, 4])
def test_a_query_sees_its_row_s_tokens_up_to_itself(window: int | None, new: int) -> None:
    lengths, room = [6, 2, 5], 3
    workspace = new_workspace(lengths, room)
    workspace.begin(new)
    (block,) = workspace.blocks(window, torch.float32)
    bias = block.bias.expand(3, 1, new, workspace.columns)
    assert block.keys is None and set(bias.unique().tolist()) <= {0.0, -torch.inf}
    for row, length in enumerate(lengths):
        first = 6 - length
        for query in range(max(6 - new, first), 6):
            seen = (bias[row, 0, query - (6 - new)] == 0).nonzero().squeeze(1).tolist()
            least = first if window is None else max(first, query - window + 1)
            assert seen == list(range(least, query + 1))
        for query in range(6 - new, first):  # padding: something, never nan
            assert (bias[row, 0, query - (6 - new)] == 0).any()


def test_positions_count_in_each_row_from_its_first_token() -> None:
    workspace = new_workspace([3, 1], room=2)
    workspace.begin(3)
    assert workspace.positions().tolist() == [[0, 1, 2], [0, 0, 0]]
    workspace.advance()
    assert workspace.positions().tolist() == [[3], [1]]
    workspace.keep(torch.tensor([1]))
    workspace.advance()
    assert workspace.positions().tolist() == [[2]]


def test_layers_keep_keys_and_values_of_their_own_shapes() -> None:
    shapes = [CacheShape(1, 6, 4), CacheShape(2, 3, 5)]
    workspace = Workspace(shapes, [4], 0, torch.float32, torch.device("cpu"))
    workspace.begin(4)
    brought = [
        (torch.randn(1, shape.heads, 4, shape.key_size), torch.randn(1, shape.heads, 4, shape.value_size))
        for shape in shapes
    ]
    for layer, (key, value) in enumerate(brought):
        workspace.keys_values(key, value, layer)
    stored = Stored(np.arange(4), 0, *workspace.states(0, 0, 4), None)
    again = Workspace(shapes, [4], 0, torch.float32, torch.device("cpu"))
    again.load(0, stored, 4)
    for own, (key, value) in zip(zip(*again.states(0, 0, 4), strict=True), brought, strict=True):
        assert torch.equal(own[0], key[0]) and torch.equal(own[1], value[0])
