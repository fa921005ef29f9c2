"""The named baselines that the benchmarks run beside ours, and the file of pairs that all of them read.

Some run in an interpreter of their own, which has vLLM, TRL or lm_eval.
"""
