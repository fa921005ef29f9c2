"""Weights and who acts: the frozen base, one LoRA adapter an agent, the attention they run through.

May import: the face.
"""
