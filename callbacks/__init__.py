"""Callbacks that watch a run and keep what it did; training is bit-identical without them."""

import flowdpo_pl.errors  # noqa: F401  first: what other libraries print when they are imported is left out
from callbacks.accuracy_curve import AccuracyCurve
from callbacks.adapter_checkpoint import AdapterCheckpoint
from callbacks.evaluation_progress_bar import EvaluationProgressBar
from callbacks.flow_progress_bar import FlowProgressBar
from callbacks.prediction_log import PredictionLog
from callbacks.run_summary import RunSummary
from callbacks.sample_flows import SampleFlows
from callbacks.sft_checkpoint import SFTCheckpoint
from callbacks.sft_progress_bar import SFTProgressBar
from callbacks.sft_summary import SFTSummary
from callbacks.trace_log import TraceLog
from callbacks.tree_log import TreeLog

__all__ = [
    "AccuracyCurve",
    "AdapterCheckpoint",
    "EvaluationProgressBar",
    "FlowProgressBar",
    "PredictionLog",
    "RunSummary",
    "SFTCheckpoint",
    "SFTProgressBar",
    "SFTSummary",
    "SampleFlows",
    "TraceLog",
    "TreeLog",
]
