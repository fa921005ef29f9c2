"""Answers as no model should write them, drawn from a seed; where the right verdict is known, they say so."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TRACES = Path(__file__).parents[2] / "shared" / "data" / "traces" / "openai_gsm8k_solutions_1000.jsonl"
CANARY = "flowdpo_pl_canary"
"""Name of a file that an injection would make in the working directory."""

# fmt: off
OPENERS = (
    "(", "[", "{", "$", "\\(", "\\[", "\\left(", "\\left[", "\\left\\{", "\\frac{1}{", "\\sqrt{", "x^{",
    "\\boxed{", "\\fbox{", "\\text{", "<div>", "\\begin{matrix}", "**", "-", "\\sqrt[3]{", "|", "\\frac",
    "sin(", "\\binom{", "\\{", "((1)+", "\\mathrm{", "\\pm", "1/(", "not (", "<think>", "\\overline{",
)
UNITS = (
    *OPENERS,
    "a", "1", "9", "0", " ", "\n", "\t", "#", "####", "#### ", "####\n", "\\", "$1$", "1,", "1 ", "1.",
    ".1", "1,000", "1/", "-", "--", "1 1/2 ", "5 or ", "not ", "e.g. ", "Dr. ", "p. ", "1:", "~", "1'000",
    "=", "!", "answer is ", "The answer is 4. ", "answer: ", "final answer is ", "answer x", "A: ", "A:\n",
    "^", "_", "</think>", "[THINK]", "<|channel|>", "\\boxed{1}", "\\boxed 1 ", "\\boxed{}", "}", ")", "]",
    "&", "\\\\", "\\frac{1}{2}", "\\frac12", "\\text{a}", "\\,", "1\\,000", "{,}", "\xbd", "\xb2", "\u221a",
    "\u221a(", "\u0663", "\u2212", "\u20ac", "million ", "1 million ", "1e9", "e", "(A)", "B. ", "option ",
    "half ", "squared", "\x1b[31m", "\x00", "\ud800", "\u202e", "\u0301", "\U0001f468\u200d", "\u2028",
    "\ufeff", "%", "10%", "\\%", "'", '"', "`", "x^2+", "\\cup ", "\\infty", "\\pi", "\\circ", "1 and ",
    "and ", "or ", "to ", "approx. ", "sqrt(", "mod ",
)
POWERS = (
    "9**9**9**9", "9^{9^{9^9}}", "10^{10^{10}}", "2^{100000000}", "(9!)!", "((5!)!)!", "99999999!",
    "7^{7^{7}}!", "\\binom{1000000000}{500000000}", "\\sum_{k=1}^{1000000000} k^{k}",
    "\\prod_{k=1}^{100000000} k", "\\int_0^{\\infty} x^{x^x} dx", "\\lim_{x \\to 0} x^{x^{x^{x}}}",
    "(1+\\sqrt{2})^{10000000}", "\\frac{9^{9^9}}{9^{9^8}}", "\\sqrt[999999]{9^{9^9}}", "\\log(9^{9^{9}})",
    "\\sin(9^{9^{9}})", "(x+y)^{9999}", "1.0000001^{99999999999}", "3^{3^{3^{3}}}", "2^{2^{2^{2^{2^{2}}}}}",
    "\\frac{1}{9^{9^{9^9}}}", "x^{x^{x^{x^x}}}", "(123456789^{987654321}) \\mod 7", "10000!!",
    "\\prod_{p=1}^{9999999}(1-p^{-2})", "e^{e^{e^{e^{e}}}}",
)
BOMBS = (
    "\\def\\a{\\a\\a}\\a", "\\newcommand{\\x}{\\x\\x\\x}\\x", "\\loop\\iftrue\\repeat",
    "\\csname a\\endcsname", "\\input{/etc/passwd}", '\\write18{touch ' + CANARY + '}',
    "\\immediate\\write18{id}", "\\catcode`\\$=0", "\\begin{verbatim}\\end{document}",
    "\\href{javascript:alert(1)}{x}", "\\expandafter\\expandafter",
)
INJECTIONS = (
    '$(touch ' + CANARY + ')', '`touch ' + CANARY + '`', '; touch ' + CANARY + ' #', '| touch ' + CANARY,
    "__import__('os').system('touch " + CANARY + "')", 'exec("open(\'' + CANARY + '\',\'w\')")', "{{7*7}}",
    "${jndi:ldap://127.0.0.1:1/a}", "%s%s%n", "{0.__class__}", "'; DROP TABLE runs; --",
    "../../../../etc/passwd", "/dev/zero", "C:\\con\\con", "file:///etc/passwd", "\\\\host\\share",
    "</script><script>document.title='owned'</script>", "<img src=http://127.0.0.1:1/x onerror=alert(1)>",
    "<svg/onload=alert(1)>", "<iframe src=javascript:alert(1)>", "]]><!--",
    "<a href=javascript:alert(1)>x</a>", "[x](javascript:alert(1))", "![x](http://127.0.0.1:1/y.png)",
    "| a | b |\n|---|---|", "~~~~\n```\n# title", "=cmd|'/c calc'!A1", '",,\r\n=1+1',
    "!!python/object/apply:os.system ['touch " + CANARY + "']", "[bold red]markup[/]",
    "[link=http://127.0.0.1:1/]x[/link]", "[/not opened]", "\\[bold]", ":smile:", "\x1b[2J\x1b[H",
    "\x1b]0;title\x07", "\x1b]52;c;cm0gLXJm\x07", "\x1b]8;;http://127.0.0.1:1/\x07x\x1b]8;;\x07",
    "\x1bP1;1|q\x1b\\", "\x9b31m", "\r overwritten", "\x08\x08\x08", "\x1b[?1049h", "\x1bc",
    "\x1b[999999999C",
)
TOKENS = (
    "\\frac", "\\sqrt", "\\boxed", "\\text", "\\left", "\\right", "{", "}", "(", ")", "[", "]", "$", "$$",
    "^", "_", "+", "-", "*", "/", "=", "<", ">", ",", ".", ":", ";", "!", "?", "|", "&", "\\\\", "\\", "~",
    "'", '"', "0", "1", "2", "7", "12", "100", "3.5", ".5", "1,000", "1e5", "x", "y", "n", "e", "i", "\\pi",
    "\\infty", "sin", "log", "and", "or", "not", "answer is", "Answer:", "####", "A:", "<think>",
    "</think>", "half", "\\cdot", "\\times", "\\pm", "\\le", "\\in", "\\cup", "\\emptyset", "\\{", "\\}",
    "\\,", "\\%", "%", "\xb0", "\n", " ", "\t", "km", "m^2", "dollars", "\u20ac", "\xbd", "\xb2", "\u0663",
    "\uff17", "\u2212", "\u200b", "\x00", "\x1b[1m", "\ud83d", "\\begin{pmatrix}", "\\end{pmatrix}",
    "\\sum", "\\int", "\\lim", "\\to", "\\binom", "\\mod", "\\log", "\\sin", "True", "False", "None",
    "lambda", "import os", "I", "E", "S", "N", "Q", "(A)", "B.", "option", "million",
)
# fmt: on
DIGITS = [[chr(zero + digit) for digit in range(10)] for zero in (0x30, 0xFF10, 0x660, 0x6F0, 0x966)]
"""Of several scripts."""
MARKS = (
    "The answer is {}.",
    "#### {}",
    "\\boxed{{{}}}",
    "The final answer is ${}$.",
    "So the answer is **{}**.",
)


@dataclass(frozen=True)
class HostileAnswer:
    """What a verifier gets."""

    kind: str
    text: str
    gold: str
    right: bool | None = None
    """The verdict, where it is known by the way in which the answer was made."""


def hostile_answers(count: int, seed: int = 0) -> Iterator[HostileAnswer]:
    """So many answers of all kinds, the same for the same seed; mutated traces only where traces are."""
    rng = random.Random(seed)
    traces = _traces()
    kinds = {kind: share for kind, share in _SHARES.items() if traces or kind is not _mutated}
    drawn = rng.choices(list(kinds), list(kinds.values()), k=count)
    for maker in drawn:
        yield maker(rng, traces)


def _traces() -> list[tuple[str, str, bool]]:
    """Solution, gold answer and label of real traces, if they are here."""
    if not TRACES.exists():
        return []
    rows = map(json.loads, TRACES.read_text(encoding="utf-8").splitlines())
    return [(row["response"], row["gold"], row["correct"]) for row in rows]


Trace = tuple[str, str, bool]


def _noise(rng: random.Random, most: int = 12) -> str:
    """Anything but what marks an answer or ends a thought."""
    pieces = (*BOMBS, *INJECTIONS, *TOKENS, *UNITS)
    drawn = [rng.choice(pieces) for _ in range(rng.randint(1, most))]
    return rng.choice(("", " ", "\n")).join(
        one for one in drawn if "think" not in one.lower() and "|channel|" not in one
    )


def _number(rng: random.Random) -> str:
    return str(rng.choice((rng.randint(0, 99), rng.randint(-9999, 10**9), rng.randint(1, 10**6) * 10 + 7)))


def _marked(rng: random.Random, _: Sequence[Trace]) -> HostileAnswer:
    """A right or a wrong answer behind a mark on a line of its own, noise before it."""
    gold = _number(rng)
    right = rng.random() < 0.5
    said = gold if right else str(int(gold) + rng.choice((1, -1, 10, 1000)))
    return HostileAnswer("marked", f"{_noise(rng)}\n\n{_said(rng, said)}", gold, right)


def _said(rng: random.Random, answer: str) -> str:
    """By the strongest mark, so that no other in the noise counts more."""
    return rng.choice(("#### {}", "\\boxed{{{}}}", "The final answer is ${}$.")).format(answer)


def _scripts(rng: random.Random, _: Sequence[Trace]) -> HostileAnswer:
    """The digits of other scripts, invisible characters around them."""
    gold, said = (str(rng.randint(1, 10**6)) for _ in range(2))
    right = rng.random() < 0.5
    said = gold if right else said
    digits = rng.choice(DIGITS)
    shown = "".join(digits[int(digit)] for digit in said)
    unseen = rng.choice(("", "\u200b", "\u2060", "\ufeff", "\u200e"))
    return HostileAnswer("scripts", rng.choice(MARKS).format(unseen + shown), gold, right or said == gold)


def _nested(rng: random.Random, _: Sequence[Trace]) -> HostileAnswer:
    """One opening after the other, closed or not, alone or before an answer."""
    (depth,) = rng.choices((10, 100, 1000, 10_000, 50_000), (8, 8, 8, 2, 1))
    opener = rng.choice(OPENERS)
    closer = rng.choice(("", {"(": ")", "[": "]", "{": "}"}.get(opener[-1], opener)))
    text = opener * depth + "7" + closer * depth
    if "think" in opener or rng.random() < 0.5:
        return HostileAnswer(
            "nested", rng.choice(("{}", "\\boxed{{{}}}", "The answer is {}.", "${}$")).format(text), "7"
        )
    gold = _number(rng)
    return HostileAnswer("nested", f"{text}\n\n{_said(rng, gold)}", gold, True)


def _power(rng: random.Random, _: Sequence[Trace]) -> HostileAnswer:
    """Small to write, too large to compute; none of them is the gold answer."""
    text = rng.choice(POWERS)
    return HostileAnswer(
        "power", rng.choice(("{}", "${}$", "\\boxed{{{}}}", "The answer is ${}$.")).format(text), "5", False
    )


def _long(rng: random.Random, _: Sequence[Trace]) -> HostileAnswer:
    """A unit a model may repeat for ever, up to a megabyte of it."""
    unit = "".join(rng.choice(UNITS) for _ in range(rng.choice((1, 1, 2, 3))))
    (size,) = rng.choices((1000, 10_000, 100_000, 1_000_000), (8, 8, 3, 2))
    text = unit * (size // len(unit))
    if "think" in unit.lower() or "channel" in unit or rng.random() < 0.5:
        return HostileAnswer("long", text, "7")
    gold = _number(rng)
    return HostileAnswer("long", f"{text}\n\n{_said(rng, gold)}", gold, True)


def _digits(rng: random.Random, _: Sequence[Trace]) -> HostileAnswer:
    """Numbers of 500 to 10,000 digits: the same one, or one digit off."""
    count = rng.choice((500, 4000, 5000, 10_000))
    gold = str(rng.randint(1, 9)) + "".join(rng.choices("0123456789", k=count - 1))
    if rng.random() < 0.5:
        return HostileAnswer("digits", gold, gold, True)
    place = rng.randrange(1, count)
    other = gold[:place] + str((int(gold[place]) + 1) % 10) + gold[place + 1 :]
    return HostileAnswer("digits", other, gold, False)


def _odd_number(rng: random.Random, _: Sequence[Trace]) -> HostileAnswer:
    """Numbers that are none, or that no float holds."""
    said = rng.choice(
        (
            "1e999999999",
            "-1e-999999999",
            "0." + "0" * 5000 + "1",
            "1/0",
            "0/0",
            "inf",
            "-inf",
            "nan",
            "1" + "0" * 5000,
        )
    )
    return HostileAnswer(
        "odd number", rng.choice(("{}", *MARKS)).format(said), str(rng.randint(1, 99)), False
    )


def _mutated(rng: random.Random, traces: Sequence[Trace]) -> HostileAnswer:
    """A real solution with pieces removed, doubled, swapped or put in."""
    text, gold, label = rng.choice(traces)
    if rng.random() < 0.4:  # what stands in earlier lines is no part of the answer
        lines = text.rstrip().split("\n")
        lines.insert(rng.randrange(len(lines)), rng.choice(INJECTIONS).replace("\n", " "))
        return HostileAnswer("trace with an injection", "\n".join(lines), gold, label)
    for _ in range(rng.randint(1, 8)):
        start, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        end = min(end, start + 40)
        text = rng.choice(
            (
                text[:start] + text[end:],
                text[:start] + text[start:end] * rng.choice((2, 50)) + text[end:],
                text[:start] + text[start:end][::-1] + text[end:],
                text[:start] + _noise(rng, 3) + text[start:],
                text[:start],
            )
        )
    return HostileAnswer("mutated trace", text, gold)


def _tokens(rng: random.Random, _: Sequence[Trace]) -> HostileAnswer:
    """Words of mathematics in no order."""
    text = rng.choice(("", " ")).join(rng.choices(TOKENS, k=rng.randint(1, 30)))
    return HostileAnswer(
        "tokens",
        rng.choice(("{}", "{}", *MARKS)).format(text),
        _number(rng),
    )


def _characters(rng: random.Random, _: Sequence[Trace]) -> HostileAnswer:
    """Any characters at all, half ones included; half of them before an answer."""
    text = "".join(
        chr(rng.choice((rng.randrange(0x20), rng.randrange(0x300), rng.randrange(0x110000))))
        for _ in range(rng.randint(1, 200))
    )
    if rng.random() < 0.5:
        return HostileAnswer("characters", text, "7")
    gold = _number(rng)
    return HostileAnswer("characters", f"{text}\n\n{_said(rng, gold)}", gold, True)


def _injection(rng: random.Random, _: Sequence[Trace]) -> HostileAnswer:
    """What a shell, a page, a terminal or an interpreter might obey, as the answer itself."""
    text = "".join(rng.choice((*INJECTIONS, *BOMBS)) for _ in range(rng.randint(1, 3)))
    return HostileAnswer(
        "injection", rng.choice(("{}", "\\boxed{{{}}}", "The answer is {}", "#### {}")).format(text), "7"
    )


_SHARES: dict[Callable[[random.Random, Sequence[Trace]], HostileAnswer], int] = {
    _tokens: 9000,
    _mutated: 9000,
    _marked: 5000,
    _characters: 2500,
    _injection: 2000,
    _scripts: 1000,
    _nested: 600,
    _digits: 300,
    _odd_number: 250,
    _long: 300,
    _power: 60,
}
"""How many of each kind in 30,010."""
