"""vLLM as an engine: servers play while this process learns.

What a config names is in `settings`; `session` holds the servers, `engine` makes moves of what they write.

May import: what `play` may.
"""
