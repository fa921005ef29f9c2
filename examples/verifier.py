"""A verifier that minds units, which flowdpo_pl.MathVerifier leaves aside: 5 km is 5000 m, and not 5 miles.

    python -m flowdpo_pl fit --config configs/quickstart.yaml --model.verifier=examples.verifier.with_units

Any function of this form will do, in a file of yours: docs/verifier.md, "A verifier of one's own". This one
is graded. A right quantity has the score 1, the right number without its unit a half, anything else 0.
"""

from __future__ import annotations

import re

METRES = {"mm": 0.001, "cm": 0.01, "m": 1.0, "km": 1000.0, "inch": 0.0254, "feet": 0.3048, "miles": 1609.344}
ANSWER = re.compile(r"answer is\s*(-?\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
QUANTITY = re.compile(r"(-?\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


def with_units(prediction: str, gold: str) -> float:
    """The score of what a text gives last as its answer, `The answer is 5 km.`, where `5000 m` is right."""
    right = QUANTITY.fullmatch(gold.strip())
    if right is None:
        raise ValueError(f"the gold answer {gold!r} is no quantity")  # counted as an error, not as wrong
    answers = ANSWER.findall(prediction)
    if not answers:
        return 0.0
    (number, unit), (right_number, right_unit) = answers[-1], right.groups()
    if unit in METRES and right_unit in METRES:
        metres = float(right_number) * METRES[right_unit]
        return 1.0 if abs(float(number) * METRES[unit] - metres) <= 1e-9 * abs(metres) else 0.0
    if float(number) != float(right_number):
        return 0.0
    return 1.0 if unit == right_unit else 0.5 if not unit else 0.0
