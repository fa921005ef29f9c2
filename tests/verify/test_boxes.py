import pytest

from flowdpo_pl.verify.boxes import is_broken_off, last_box


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (r"\boxed{4}", ("4",)),
        (r"\fbox{4} then $\boxed 2$", ("2",)),
        (r"\boxed{\boxed{5}}", ("5",)),
        (r"$x=\boxed{1}$ and $y=\boxed{2}$.", ("1", "2")),
        (r"\boxed{1}, \boxed{2}, \boxed{1.0}", ("2", "1.0")),
        (r"\boxed{1}. Then it is \boxed{2}", ("2",)),
        (r"\boxed{3} + \boxed{4} = \boxed{7}", ("7",)),
        (r"\boxed{3} so \boxed{7}", ("7",)),
        (r"\boxed{5} or \boxed{6}", ("5", "6")),
        (r"$\boxed{20:34}$ or $\boxed{8:34 \text{ p.m.}}$", (r"8:34 \text{ p.m.}",)),
        (r"$x=\boxed{u}$ or $x=\boxed{v}$", ("u", "v")),
    ],
)
def test_joined_boxes_are_parts_and_steps_are_not(text: str, parts: tuple[str, ...]) -> None:
    box = last_box(text)
    assert box is not None and box.parts == parts
    again = last_box(box.joined)
    assert len(parts) == 1 or (again is not None and again.parts == parts)


@pytest.mark.parametrize("text", ["", r"\boxed{}", r"\boxed{4", r"\boxed{1} and \boxed{\frac{1}{2}", "4"])
def test_an_empty_or_unclosed_last_box_is_no_answer(text: str) -> None:
    assert last_box(text) is None
    assert is_broken_off(text) == (text.count("boxed") == 2)
