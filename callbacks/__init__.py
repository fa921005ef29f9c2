"""Callbacks that watch a run and keep what it did; training is bit-identical without them."""

from callbacks.accuracy_curve import AccuracyCurve
from callbacks.adapter_checkpoint import AdapterCheckpoint
from callbacks.flow_progress_bar import FlowProgressBar
from callbacks.run_summary import RunSummary
from callbacks.sample_flows import SampleFlows
from callbacks.sft_checkpoint import SFTCheckpoint
from callbacks.sft_summary import SFTSummary
from callbacks.tree_log import TreeLog

__all__ = [
    "AccuracyCurve",
    "AdapterCheckpoint",
    "FlowProgressBar",
    "RunSummary",
    "SFTCheckpoint",
    "SFTSummary",
    "SampleFlows",
    "TreeLog",
]
