"""How deep YAML is nested, told before a reader goes into it: PyYAML 6.0.1 takes the process along there."""

from __future__ import annotations

MOST = 100
"""Values within values; a run's own config has some ten."""


def is_too_deep(text: str) -> bool:
    """Whether more than 100 values stand within each other. Text that is no YAML is left to its reader."""
    import yaml

    depth = 0
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # no recursion
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MOST:
                return True
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return False
