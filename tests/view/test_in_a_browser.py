"""The page as a browser shows it, in headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flowdpo_pl.results.predictions import Prediction, to_line
from flowdpo_pl.types import Fork, RolloutTree
from flowdpo_pl.verbs.view import view
from flowdpo_pl.view.component import data, part, script, style
from flowdpo_pl.view.kept_problems import kept_problems
from flowdpo_pl.view.selection import Selection, selected
from tests.browser import CHROMIUM, Browser, browser
from tests.example_trees import NO, YES, choice, fork, path, random_tree, written
from tests.hostile import HOSTILE, READABLE
from tests.tree_files import write_trees

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")
MINUS = "\N{MINUS SIGN}"
OPEN = "document.querySelector('.panel h2')?.innerText === 'Problem {}'"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture(autouse=True)
def quiet(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a word on the console, or asks for anything but its page."""
    yield
    chromium: Browser = request.getfixturevalue("chromium")
    assert chromium.complaints == []
    assert [
        url
        for url in chromium.requests
        if not url.startswith("file:") or not url.split("#")[0].endswith(".html")
    ] == []


def opened(
    chromium: Browser, folder: Path, trees: list[RolloutTree], fragment: str = "", width: int = 1200
) -> Path:
    write_trees(folder, trees)
    view(folder)
    chromium.look(width, 800)
    chromium.open(folder / "view.html", fragment)
    return folder / "view.html"


def taught() -> RolloutTree:
    """A pair whose other move is chosen, one whose main move is, a tie, and a node without alternative."""
    main = path([written("one plus "), choice(NO), written("one is three"), choice(YES)], False)
    forks: list[Fork] = [
        fork(main, 0, written("two minus "), [choice(NO), written("nothing at all")], True),
        fork(main, 1, choice(YES), [], False),
        fork(main, 2, written("first of two"), [], False),
        fork(main, 2, written("second of two"), [], True),
    ]
    return replace(random_tree(7), main=main, forks=tuple(forks), nodes_without_alternative=(3,))


TREES = [random_tree(seed) for seed in range(12)]


def test_a_click_opens_a_tree_and_the_address_says_which(chromium: Browser, tmp_path: Path) -> None:
    opened(chromium, tmp_path, TREES)
    assert chromium.text("h2") == "Problem 1"  # beside a list something is always open
    chromium.click(".lines a:nth-child(5)")
    chromium.until(OPEN.format(5))
    assert chromium.evaluate("location.hash") == "#5"
    assert chromium.text(".panel .question") == TREES[4].problem.question
    assert chromium.text(".lines [aria-current] .number") == "5"


@pytest.mark.parametrize("fragment", ["#9", "#p8"])
def test_a_link_names_a_problem_by_number_or_id(fragment: str, chromium: Browser, tmp_path: Path) -> None:
    opened(chromium, tmp_path, TREES, fragment)
    assert chromium.text("h2") == "Problem 9"


@pytest.mark.parametrize("fragment", ["#99", "#%E0%A4%A", "#<b>x"])
def test_a_link_to_what_is_not_there_says_so(fragment: str, chromium: Browser, tmp_path: Path) -> None:
    opened(chromium, tmp_path, TREES, fragment)
    assert "is not on this page" in chromium.text(".panel")


def test_a_row_has_who_acted_both_moves_where_they_ended_and_what_they_teach(
    chromium: Browser, tmp_path: Path
) -> None:
    opened(chromium, tmp_path, [taught()])
    rows = [" ".join(chromium.text(f".node:nth-child({n})").replace(MINUS, "-").split()) for n in range(2, 7)]
    assert rows[0] == (
        "0 answer chunk 1 one plus -1.00 nats ▽ rejected "
        "two minus -1.00 nats ✔ right answer l ▲ chosen 2 further moves"
    )
    assert rows[1].startswith("1 stop chunk 1 No -0.50 nats Yes -0.50 nats ✘ wrong")
    assert rows[1].endswith("= tie, both wrong")
    assert "first of two -1.00 nats ✘ wrong answer o = tie, both wrong second of two" in rows[2]
    assert rows[2].count("▲ chosen") == rows[2].count("▽ rejected") == 1
    assert rows[3].endswith("Yes -0.50 nats ∅ no alternative")
    assert rows[4].startswith("end ✘ wrong")
    assert "4 forks, 2 pairs" in chromium.text(".facts")

    assert "nothing at all" not in chromium.text(".nodes")
    chromium.click(".node:nth-child(2) summary")
    chromium.until("document.querySelectorAll('.further').length === 2")
    assert chromium.text(".further:last-child").split("\n")[0] == "answer"
    assert "nothing at all" in chromium.text(".further:last-child")


def test_the_drawing_has_a_spot_a_move_and_a_click_on_it_shows_its_row(
    chromium: Browser, tmp_path: Path
) -> None:
    opened(chromium, tmp_path, [taught()])
    moves = sum(len(fork.branch.moves) - fork.node for fork in taught().forks) + len(taught().main.moves)
    assert chromium.evaluate("document.querySelectorAll('.drawing .spot').length") == moves
    assert chromium.evaluate("document.querySelectorAll('.drawing .edge.chosen').length") == 2
    chromium.click(".drawing .spot.main[data-node='2']")
    chromium.until("document.querySelector('.node.picked .at')?.innerText === '2'")


def test_a_search_finds_a_problem_by_its_moves_and_marks_the_words(chromium: Browser, tmp_path: Path) -> None:
    opened(chromium, tmp_path, [*TREES, taught()])
    chromium.press("/")
    chromium.type('nothing "two minus"')
    chromium.until("document.querySelectorAll('.lines a:not([hidden])').length === 1")
    assert chromium.text(".told").startswith("1 of 13 problems")
    chromium.press("ArrowDown")
    chromium.until(OPEN.format(13))
    assert chromium.text("mark") == "two minus"
    chromium.type(" absent.*")
    chromium.until("document.querySelectorAll('.lines a:not([hidden])').length === 0")


def test_boxes_leave_what_they_say(chromium: Browser, tmp_path: Path) -> None:
    opened(chromium, tmp_path, [*TREES, taught()])

    def left() -> int:
        return int(chromium.evaluate("document.querySelectorAll('.lines a:not([hidden])').length"))

    def choose(name: str, value: str) -> int:
        chromium.evaluate(
            f"(() => {{ const s = document.querySelector('select[aria-label={name}]'); s.value = '{value}'; "
            "s.dispatchEvent(new Event('change')); })()"
        )
        return left()

    trees = [*TREES, taught()]
    pairs = [{(f.taken.agent, f.node) for f in tree.forks if f.is_pair()} for tree in trees]
    chromium.click(".boxes label:nth-of-type(3) input")
    assert left() == sum(map(bool, pairs))
    stop = chromium.evaluate(
        "[...document.querySelectorAll('select[aria-label=agent] option')].find(o => o.text === 'stop').value"
    )
    assert choose("agent", stop) == sum(any(agent == "stop" for agent, _ in some) for some in pairs)
    assert choose("agent", "") == sum(map(bool, pairs))
    assert choose("depth", "3") == sum(any(node >= 4 for _, node in some) for some in pairs)
    choose("depth", "")
    chromium.click(".boxes label:nth-of-type(3) input")
    chromium.click(".boxes label:nth-of-type(1) input")
    assert left() == sum(not tree.main.correct for tree in trees)
    chromium.click(".boxes label:nth-of-type(2) input")
    assert left() == 0


def test_keys_go_through_what_is_left(chromium: Browser, tmp_path: Path) -> None:
    opened(chromium, tmp_path, TREES, "#3")
    for key, number in (("j", 4), ("ArrowDown", 5), ("k", 4), ("ArrowUp", 3)):
        chromium.press(key)
        chromium.until(OPEN.format(number))
    wrong = [place for place, tree in enumerate(TREES, 1) if not tree.main.correct and place > 3]
    chromium.click(".boxes label:nth-of-type(1) input")
    chromium.press("ArrowDown")
    chromium.until(OPEN.format(wrong[0]))


def test_hostile_texts_are_read_and_not_obeyed(chromium: Browser, tmp_path: Path) -> None:
    trees = []
    for text in HOSTILE:
        main = path([written(text, 1), replace(choice(NO), text=text)], True)
        forks = (fork(main, 0, written(text, 2), [written(text, 3)], False),)
        problem = replace(random_tree(0).problem, question=text, gold=text, id=text, labels=((text, text),))
        trees.append(
            replace(random_tree(0), problem=problem, main=main, forks=forks, nodes_without_alternative=())
        )
    opened(chromium, tmp_path, trees)
    for number, text in enumerate(READABLE, 1):
        chromium.evaluate(f"location.hash = '#{number}'")
        chromium.until(OPEN.format(number))
        shown = chromium.evaluate("document.querySelector('.question .said').textContent")
        assert shown == text
        assert chromium.evaluate("document.querySelector('.main .said').textContent") == text
    assert chromium.evaluate("document.title") == str(tmp_path)
    assert chromium.evaluate("document.querySelectorAll('.flow-view :is(img, script, b b, i)').length") == 0


def test_a_long_text_is_folded_and_unfolded(chromium: Browser, tmp_path: Path) -> None:
    million = "words and more " * 70_000
    lines = "a line\n" * 200
    tree = replace(random_tree(0), main=path([written(million, 1), written(lines, 2)], True), forks=())
    opened(chromium, tmp_path, [replace(tree, nodes_without_alternative=())])
    size = "document.querySelector('.node:nth-child(2) .said').textContent.length"
    assert chromium.evaluate(size) < 3000
    assert chromium.text(".node:nth-child(2) .more") == "all 1,050,000 characters"
    assert len(chromium.text(".node:nth-child(3) .said").splitlines()) < 40
    chromium.click(".node:nth-child(2) .more")
    chromium.until(f"{size} > 1050000")
    chromium.evaluate("document.querySelector('.node:nth-child(2) .more').click()")
    chromium.until(f"{size} < 3000")


def test_on_a_phone_there_is_the_list_or_a_tree_and_nothing_is_wider(
    chromium: Browser, tmp_path: Path
) -> None:
    opened(chromium, tmp_path, [*TREES, taught()], width=390)
    seen = "getComputedStyle(document.querySelector('{}')).display !== 'none'"
    assert chromium.evaluate(seen.format(".list")) and not chromium.evaluate(seen.format(".panel"))
    chromium.click(".lines a:nth-child(13)")
    chromium.until(OPEN.format(13))
    assert chromium.evaluate(seen.format(".panel")) and not chromium.evaluate(seen.format(".list"))
    for place in ("document.documentElement", "document.querySelector('.panel')"):
        assert chromium.evaluate(f"{place}.scrollWidth <= 390")
    chromium.click(".back")
    chromium.until(seen.format(".list"))


def test_what_is_left_out_is_said_on_the_page(chromium: Browser, tmp_path: Path) -> None:
    write_trees(tmp_path, TREES)
    view(tmp_path, limit=5)
    chromium.open(tmp_path / "view.html", "#12")
    assert "5 of 12 problems, evenly over the run" in chromium.text(".told")
    assert chromium.text("h2") == "Problem 12"  # a number is the run's, not the page's


def test_main_chains_that_were_played_alone_have_no_column_of_other_moves(
    chromium: Browser, tmp_path: Path
) -> None:
    opened(chromium, tmp_path, [replace(taught(), forks=(), nodes_without_alternative=())])
    assert "other moves" not in chromium.text(".nodes") and "pair" not in chromium.text(".legend")
    assert "one is three" in chromium.text(".nodes")
    opened(chromium, tmp_path, [replace(taught(), forks=taught().forks[:1], nodes_without_alternative=())])
    assert "no other move was tried" in chromium.text(".node:nth-child(3)")


def test_a_run_without_trees_yet_says_so(chromium: Browser, tmp_path: Path) -> None:
    opened(chromium, tmp_path, [])
    assert "There are no problems here yet." in chromium.text(".panel")


def test_answers_of_a_test_stand_below_each_other(chromium: Browser, tmp_path: Path) -> None:
    samples = [
        Prediction(f"p{problem}", "q?", "4", f"so {said}", said == "4", number, said, cut=number == 2)
        for problem in range(3)
        for number, said in enumerate(["5", "4", "4"] if problem else ["4", "4", "4"])
    ]
    (tmp_path / "predictions.jsonl").write_text("".join(map(to_line, samples)))
    view(tmp_path)
    chromium.open(tmp_path / "view.html", "#2")
    assert "2 of 3 right" in chromium.text(".facts") and "4: 2 of 3" in chromium.text(".facts")
    rows = [" ".join(chromium.text(f".node:nth-child({n})").split()) for n in range(1, 4)]
    assert "taken by the vote" in rows[1] and "✘ wrong" in rows[0] and "cut" in rows[2]
    chromium.click(".boxes label:nth-of-type(3) input")  # samples disagree
    assert chromium.evaluate("document.querySelectorAll('.lines a:not([hidden])').length") == 2


def test_several_parts_stand_in_one_page(chromium: Browser, tmp_path: Path) -> None:
    parts = ""
    for name, trees in (("one", TREES[:4]), ("two", TREES[4:])):
        problems = kept_problems(write_trees(tmp_path / name, trees))
        parts += part(name, data(problems, selected(problems, Selection()), name))
    file = tmp_path / "report.html"
    styled = f"<!doctype html><meta charset=utf-8><style>{style()}</style>"
    file.write_text(f"{styled}<h1>Report</h1>{parts}<script>{script()}</script>")
    chromium.open(file, "#two-3")
    titles = "[...document.querySelectorAll('.panel h2')].map((one) => one.innerText).join()"
    assert chromium.evaluate(titles) == "Problem 1,Problem 3"
    chromium.evaluate("location.hash = '#one-2'")
    chromium.until(f"{titles} === 'Problem 2,Problem 3'")
