import pytest

from flowdpo_pl.verify.reasoning import without_reasoning


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("5", "5"),
        ("<think>6</think>5", "5"),
        ("6</think>5", "5"),
        ("6</think>7</think>5", "5"),
        ("5<think>6", "5"),
        ("<think>6", ""),
        ("<THINKING>6</THINKING>5", "5"),
        ("a<think>6</think>b", "ab"),
        ("<|begin_of_thought|>6<|end_of_thought|>5", "5"),
        ("<|begin_of_thought|>6", ""),
        ("[THINK]6[/THINK]5", "5"),
        ("◁think▷6◁/think▷5", "5"),
        ("<|channel|>analysis<|message|>6<|channel|>final<|message|>5", "5"),
        ("<seed:think>6</seed:think>5", "5"),
        ("I think 5 < 6", "I think 5 < 6"),
    ],
)
def test_thoughts_are_no_answer(text: str, rest: str) -> None:
    assert without_reasoning(text) == rest
