"""Why isn't it learning? Rules on the numbers of a run, each with its reason and its threshold.

A rule speaks only where the 99 % interval of a share (`course.CERTAIN`) lies wholly beyond its threshold, so
that a run of a few problems, or one in between, is met with silence. Rules are in the order of causes: what
explains a finding that comes later in the list silences it (`Rule.explains`), since a symptom is no second
cause.

Thresholds are what the words mean, not fits to examples: "almost all" is 95 %, "most" is half, "almost none"
is 5 %. docs/learning.md has what each finding means and what to try.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from flowdpo_pl.measure.course import Course, Share, Stretch, added
from flowdpo_pl.types import Tie

ALMOST_ALL, MOST, ALMOST_NONE = 0.95, 0.5, 0.05


@dataclass(frozen=True)
class Finding:
    """One thing that keeps a run from learning."""

    name: str
    """Of the rule."""
    sentence: str
    """What was seen, with its numbers."""
    advice: str
    """What to try."""


Told: TypeAlias = tuple[str, str] | None
"""What a rule says, the sentence and what to try; None: nothing."""


@dataclass(frozen=True)
class Rule:
    """A rule, and the names of those that it silences."""

    tell: Callable[[Course], Told]
    explains: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.tell.__name__


def diagnose(course: Course) -> list[Finding]:
    """What keeps the run from learning, causes first; empty where nothing is known to."""
    found: list[Finding] = []
    silent: set[str] = set()
    for rule in RULES:
        if rule.name not in silent and (told := rule.tell(course)) is not None:
            found.append(Finding(rule.name, *told))
            silent.update(rule.explains)
    return found


# What could not be judged or computed.


def not_judged(course: Course) -> Told:
    """An answer without a verdict counts as wrong, so pairs teach the verifier's troubles.

    Threshold: 5 %, at which `FirstChunk` ends a run too.
    """
    share = course.latest.share("judging_errors", "judged_answers")
    if share.low <= ALMOST_NONE:
        return None
    return (
        f"{share.told} of the answers could not be judged and count as wrong",
        "mend or remove such problems (data.invalid: refuse names unreadable golds), or give the "
        "verifier more "
        "time or memory",
    )


def not_finite(course: Course) -> Told:
    """An update whose loss or gradient is not finite is set aside: nothing is learnt from its pairs.

    Threshold: more than 5 % of the batches, and at least three.
    """
    for agent in course.learners:
        aside = course.whole.of(f"{agent}/updates_set_aside")
        if aside >= 3 and course.whole.share_of(aside, course.whole.of("batches")).low > ALMOST_NONE:
            return (
                f"the loss of agent '{agent}' was not finite in {aside:.0f} updates, which were set aside",
                "use bfloat16 or float32 instead of float16 (model.team.base.dtype), or a smaller "
                "model.learning.lr",
            )
    return None


# Learning itself.


def accuracy_falls(course: Course) -> Told:
    """Updates that are too large take the agents from text that answers to text that does not.

    Some earlier stretch (of all, so at a level divided by their number) was right more often than the latest
    one, by two intervals that do not meet, although the agents began better. It is not said where the agents
    have hardly moved: then problems have become harder, as in a file that is sorted and not shuffled.
    """
    if not _moved(course):
        return None
    latest = course.latest.share("signs/right", "signs/chains")
    stretches = course.stretches[: len(course.stretches) // 2]
    level = 1 - 0.01 / max(1, len(stretches))
    now = latest.interval_at(level)
    best = max(
        (stretch.share("signs/right", "signs/chains") for stretch in stretches if stretch.of("signs/chains")),
        key=lambda share: share.interval_at(level).low,
        default=None,
    )
    if best is None or best.interval_at(level).low <= now.high:
        return None
    return (
        f"the share of right answers fell from {best.told} to {latest.told}",
        "a smaller model.learning.lr (a third, then a tenth), more pairs an update (model.pairs_per_update, "
        "data.batch_size), or a larger beta or tau (model.learning.loss); if the problems come in an order "
        "of difficulty, shuffle them",
    )


def margins_still(course: Course) -> Told:
    """The margin, how much more the policy prefers the better move than the reference does, starts at 0.

    Threshold: for every agent with a hundred pairs, its upper bound in the latest half, carried on in
    proportion to the end of the run (a margin grows no faster than the updates add up), stays below 0.02
    nats: odds that change by less than 2 % change nothing that is played. The bound is that of a mean over
    stretches (mean + 3 standard errors).
    """
    still = {}
    for agent in course.compared:
        latest = [
            part for part in course.stretches[len(course.stretches) // 2 :] if part.of(f"{agent}/pairs")
        ]
        if len(latest) < 3 or course.whole.of(f"{agent}/pairs") < 100:
            continue
        means = [part.mean(f"{agent}/margin", f"{agent}/pairs") for part in latest]
        mean = sum(means) / len(means)
        error = (sum((value - mean) ** 2 for value in means) / (len(means) - 1) / len(means)) ** 0.5
        to_come = max(1.0, (course.expected or 0) / max(1, course.problems))
        if (abs(mean) + 3 * error) * to_come >= 0.02:
            return None
        still[agent] = mean
    if not still:
        return None
    told = ", ".join(f"{agent} {margin:+.4f}" for agent, margin in still.items())
    return (
        f"margins hardly move ({told} nats in the latest half of the run)",
        "a larger model.learning.lr (three times, then ten times as large); adapters of few parameters "
        "need more",
    )


def chosen_falls(course: Course) -> Told:
    """Better and worse moves both become less likely than they were, the worse ones faster.

    The agents then prefer what was in neither. Threshold: the chosen moves' log-probability against the
    reference is below -1 nat in the latest pairs of every stretch, and falls.
    """
    if _rises(course):
        return None
    for agent in course.compared:
        parts = [part for part in course.stretches if part.of(f"{agent}/pairs") >= 10]
        means = [part.mean(f"{agent}/chosen_shift", f"{agent}/pairs") for part in parts]
        half = means[len(means) // 2 :]
        if len(half) >= 3 and max(half) < -1 and sum(half) / len(half) < min(means[: len(means) // 2]):
            return (
                f"the better moves of agent '{agent}' have become less likely themselves, by "
                f"{-sum(half) / len(half):.1f} nats on average",
                "a larger beta or tau (model.learning.loss), a smaller model.learning.lr, or fewer passes",
            )
    return None


def frozen(course: Course) -> Told:
    """A frozen agent's pairs are counted and nothing is learnt from them.

    Threshold: a third of all pairs are its own, as many as an agent among three that matter alike.
    """
    for agent in course.agents:
        pairs = course.whole.share(f"{agent}/pairs", *(f"{each}/pairs" for each in course.agents))
        if agent not in course.learners and course.learners and pairs.low > 1 / 3:
            return (
                f"agent '{agent}' is frozen, but {pairs.told} of the pairs are its own and nothing is learnt "
                "from them",
                f"take '{agent}' out of model.frozen",
            )
    return None


# What is played.


def certain_play(course: Course) -> Told:
    """Where every token is all but certain there is nothing to explore, and nothing of what is learnt shows.

    Threshold: 0.01 nats a written token, at which a hundred tokens in a row come out the same way more often
    than not. Text of a fluent model at temperature 1 has 0.1 to 1.
    """
    if course.latest.of("signs/chains") < 20 or course.latest.of("signs/written_tokens") < 200:
        return None
    now, first = (_nats(part) for part in (course.latest, course.stretches[0]))
    if now >= 0.01:
        return None
    if first >= 0.05:
        if _rises(course):  # it has become sure of what is right
            return None
        return (
            f"play has become certain ({now:.4f} nats a token, {first:.2f} in the first batch)",
            "a smaller model.learning.lr or a larger beta or tau: the agents have collapsed to one way of "
            "writing",
        )
    return (
        f"play is all but certain ({now:.4f} nats a token), so there is nothing to explore",
        "model.sampling.temperature nearer to 1, and model.sampling.top_p 1",
    )


def babble(course: Course) -> Told:
    """Text that is near to random tokens answers nothing.

    Threshold: 3 nats a token in the first batch, as if one of twenty tokens were drawn at random each time; a
    language model in its language is below 2. And it is almost never right.
    """
    nats = _nats(course.stretches[0]) if course.stretches else 0.0
    endings = course.whole.share("signs/endings_right", "signs/endings")
    if nats < 3 or endings.high >= ALMOST_NONE or course.problems < 20:
        return None
    return (
        f"the base writes next to random text ({nats:.1f} nats a token), and {endings.told} of the "
        "answers are right",
        "another base, the chat template and prompt that it was trained with, or a lower temperature",
    )


def words_unlikely(course: Course) -> Told:
    """Its words are compared alone, however little the model would say any: then all are noise.

    Threshold: a tenth. A chooser that understands its question leaves nearly all to its words.
    It is looked at as the agents began, since only the difference of the words is learnt.
    """
    if not course.stretches or course.stretches[0].of("choice_mass/problems") < 10:
        return None
    mass = course.stretches[0].mean("choice_mass", "choice_mass/problems")
    if mass >= 0.1:
        return None
    return (
        f"the words to choose from have a probability of {mass:.3f} together: the model would say "
        "something else",
        "a prompt that asks for just these words, other words (`options`: with or without a capital or a "
        "space before), "
        "or the chat template of the base",
    )


def mass_vanishes(course: Course) -> Told:
    """A chooser that began with its words in mind and has lost them has been changed more than its choice.

    Threshold: from more than a half to less than a twentieth. It is not said while more and more answers are
    right: the difference of the words is all that is played, and it may be well learnt with little left for
    both.
    """
    if len(course.stretches) < 3:
        return None
    parts = (course.stretches[0], course.stretches[-1])
    first, now = (part.mean("choice_mass", "choice_mass/problems") for part in parts)
    if first <= MOST or now >= ALMOST_NONE or not course.stretches[-1].of("choice_mass/problems"):
        return None
    if _rises(course):
        return None
    return (
        f"the probability of the words to choose from fell from {first:.2f} to {now:.3f}",
        "a smaller model.learning.lr for the agent that chooses (model.agent_learning), or a larger "
        "beta or tau",
    )


def no_alternatives(course: Course) -> Told:
    """A node whose policy leaves nothing else to draw has no fork; of a group, draws repeat the main move.

    Threshold: almost all nodes (or draws) of an agent.
    """
    for agent in course.agents:
        forks, rest = _forks(agent), _moveless(agent)
        share = course.latest.share_of(course.latest.of(*rest), course.latest.of(*forks, *rest))
        if share.low > ALMOST_ALL:
            return (
                f"{share.told} of the nodes of agent '{agent}' have no alternative",
                "model.sampling.temperature nearer to 1, model.sampling.top_p nearer to 1; at 1 the agent is "
                "certain of its moves, and has nothing left to learn from them",
            )
    return None


def alternatives_alike(course: Course) -> Told:
    """Two moves that read the same differ in tokens alone: a pair of them teaches spelling.

    Threshold: most of the forks of what is written.
    """
    share = course.latest.share("signs/same_text", "signs/written_forks")
    if share.low <= MOST:
        return None
    return (
        f"{share.told} of the written alternatives read the same as the move that they replace",
        "longer chunks (chunk_tokens), a higher temperature, or whole trajectories (model.exploration)",
    )


def always_finished(course: Course) -> Told:
    """A chooser that says finished whatever it reads ends answers before they are one.

    At least three in four times finished, on drafts without a result as on others; and that is a fault: most
    answers are closed in the middle of a move and carry no mark, or where it was tried, going on was better
    more often than finishing.
    """
    at_all = _finished(course.latest, "none", "wrong", "right")
    without = _finished(course.latest, "none")
    early = course.latest.share("signs/closed_early", "signs/chains")
    if at_all.low < 0.75 or without.low < 0.75:
        return None
    if early.low <= MOST and not _going_on_is_better(course.latest):
        return None
    return (
        f"the agent that chooses says finished in {at_all.told} of cases, whatever the draft holds",
        "a prompt that asks whether the draft states the final answer, its options in the right order "
        "(the first means "
        "finished), or longer chunks",
    )


def never_finished(course: Course) -> Told:
    """A chooser that never says finished drives answers that were right into the limit.

    Almost never finished, at drafts that hold the right result too (there at most one in ten).
    """
    at_all = _finished(course.latest, "none", "wrong", "right")
    at_right = _finished(course.latest, "right")
    if at_all.high > ALMOST_NONE or at_right.whole < 20 or at_right.high > 0.1:
        return None
    return (
        f"the agent that chooses says finished in {at_all.told} of cases, and in {at_right.told} where "
        "the draft is right",
        "a prompt that asks whether the draft states the final answer, and its options in the right "
        "order (the first "
        "means finished)",
    )


# Right and wrong.


def cut(course: Course) -> Told:
    """An answer that the limit cuts off in the middle has not said its result.

    Most main chains are cut, and most of these hold no result (few of all are right).
    """
    cut_off = course.latest.share("signs/cut", "signs/chains")
    right = course.latest.share("signs/right", "signs/chains")
    if (
        cut_off.low <= MOST
        or right.high >= MOST
        or _finished(course.latest, "right").whole > 0.2 * cut_off.whole
    ):
        return None
    return (
        f"{cut_off.told} of the answers are cut off by the limit of the flow, and {right.told} are right",
        "more or longer chunks (max_chunks, chunk_tokens; max_tokens of a single model), or a prompt "
        "that asks for a "
        "short answer",
    )


def no_mark(course: Course) -> Told:
    """A verifier that wants a mark finds no answer in a text without one, right or wrong.

    It finds none in almost all answers, and almost none is right.
    """
    nothing = course.latest.share("signs/nothing_read", "signs/chains")
    if nothing.low < 0.9 or not _never_right(course):
        return None
    unread = course.latest.share("signs/right_unread", "signs/chains")
    held = f", though {unread.told} hold the right one" if unread.part else ""
    return (
        f"the verifier finds no answer in {nothing.told} of what is written{held}",
        "a prompt that asks for the mark that the verifier wants (such as 'The answer is N'), or "
        "flowdpo_pl.MathVerifier, "
        "which wants none",
    )


def gold_of_another_kind(course: Course) -> Told:
    """Answers and golds that are written in different ways, numbers here and words there, are never equal.

    Almost all answers are wrong, and in almost all of these one of the two is a number and the other is none.
    """
    chains, right = course.latest.of("signs/chains"), course.latest.of("signs/right")
    read = chains - right - course.latest.of("signs/nothing_read")
    other = course.latest.share_of(course.latest.of("signs/other_kind"), max(0.0, read))
    if other.low < 0.8 or not _never_right(course):
        return None
    return (
        f"{other.told} of the wrong answers are of another kind than the gold (a number against none), "
        "and almost none "
        "is right",
        "another answer_field or rule to read the gold (data.train.gold), golds in the form that the "
        "prompt asks for, or "
        "a prompt that asks for the form of the golds",
    )


def never_right(course: Course) -> Told:
    """Where all endings are wrong there are no pairs.

    Almost all endings, of main chains and alternatives, are wrong.
    """
    endings = course.latest.share("signs/endings_right", "signs/endings")
    if not _never_right(course):
        return None
    return (
        f"{endings.told} of all answers are right, so hardly any pairs come",
        "easier problems, a stronger base, a better prompt, or a warm start (model.team.start, after "
        "fine-tuning); and "
        "look at samples/ and at what the golds are",
    )


def always_right(course: Course) -> Told:
    """Where all endings are right there are no pairs.

    Almost all endings, of main chains and alternatives, are right.
    """
    endings = course.latest.share("signs/endings_right", "signs/endings")
    if endings.low <= ALMOST_ALL:
        return None
    return (
        f"{endings.told} of all answers are right, so hardly any pairs come",
        "harder problems; or the run has learnt what these can teach",
    )


def no_contrast(course: Course) -> Told:
    """A fork whose two endings are alike teaches nothing, even where some problems are right and others
    wrong.

    Pairs are less than one in fifty forks, of at least two hundred.
    """
    forks = [name for agent in course.agents for name in _forks(agent)]
    found = course.latest.of(*(f"{agent}/pairs" for agent in course.agents))
    pairs = course.latest.share_of(found, course.latest.of(*forks))
    if pairs.whole < 200 or pairs.high >= 0.02:
        return None
    return (
        f"{pairs.told} of the alternatives change whether the answer is right",
        "a higher temperature, or whole trajectories (model.exploration): what is tried differs too little",
    )


_ENDINGS = ("never_right", "always_right", "no_contrast")
_PLAYED = ("always_finished", "never_finished", "cut", "no_mark", "gold_of_another_kind", *_ENDINGS)
RULES = (
    Rule(not_judged, ("gold_of_another_kind", *_ENDINGS)),
    Rule(not_finite, ("margins_still",)),
    Rule(accuracy_falls, ("chosen_falls", "certain_play", "mass_vanishes", "alternatives_alike", *_PLAYED)),
    Rule(margins_still),
    Rule(chosen_falls, ("mass_vanishes",)),
    Rule(frozen),
    Rule(certain_play, ("no_alternatives", "no_contrast")),
    Rule(babble, ("words_unlikely", *_PLAYED)),
    Rule(words_unlikely, ("always_finished", "never_finished")),
    Rule(mass_vanishes),
    Rule(no_alternatives, ("no_contrast",)),
    Rule(alternatives_alike, ("no_contrast",)),
    Rule(always_finished, ("no_mark", "gold_of_another_kind", *_ENDINGS)),
    Rule(never_finished, ("cut", "no_mark", *_ENDINGS)),
    Rule(cut, ("no_mark", "gold_of_another_kind", *_ENDINGS)),
    Rule(no_mark, _ENDINGS),
    Rule(gold_of_another_kind, _ENDINGS),
    Rule(never_right, ("no_contrast",)),
    Rule(always_right, ("no_contrast",)),
    Rule(no_contrast),
)
"""In the order of causes."""


def _forks(agent: str) -> list[str]:
    """Numbers of its nodes where two moves were compared."""
    return [f"{agent}/pairs", f"{agent}/ties/{Tie.BOTH_RIGHT}", f"{agent}/ties/{Tie.BOTH_WRONG}"]


def _moveless(agent: str) -> list[str]:
    """Of those where there was no other move."""
    return [f"{agent}/ties/{Tie.REPEATED}", f"{agent}/ties/{Tie.NO_ALTERNATIVE}"]


def _nats(part: Stretch) -> float:
    """A written token of the main chains, on average."""
    tokens = part.of("signs/written_tokens")
    return part.of("signs/written_nats") / tokens if tokens else 1.0


def _finished(part: Stretch, *held: str) -> Share:
    """How often the chooser said finished of drafts that held one of these."""
    return part.share_of(
        part.of(*(f"chooser/finished/{kind}" for kind in held)),
        part.of(*(f"chooser/nodes/{kind}" for kind in held)),
    )


def _going_on_is_better(part: Stretch) -> bool:
    pairs = part.share("signs/better_going_on", "signs/better_going_on", "signs/better_finished")
    return pairs.low > MOST


def _never_right(course: Course) -> bool:
    """Almost: in all of the run, or in its latest half."""
    parts = (course.whole, course.latest)
    return any(part.share("signs/endings_right", "signs/endings").high < ALMOST_NONE for part in parts)


def _rises(course: Course) -> bool:
    """Whether the latest half has more right answers than the one before: then nothing is in the way of
    that."""
    before = added(course.stretches[: len(course.stretches) // 2])
    shares = [part.share("signs/right", "signs/chains") for part in (before, course.latest)]
    return shares[0].whole > 0 and shares[1].part * shares[0].whole > shares[0].part * shares[1].whole


def _moved(course: Course) -> bool:
    """Whether some agent's margin is worth mentioning, or there are no pairs that could show it."""
    margins: Iterator[float] = (
        part.mean(f"{agent}/margin", f"{agent}/pairs")
        for part in course.stretches
        for agent in course.compared
    )
    pairs = [part.of(*(f"{agent}/pairs" for agent in course.compared)) for part in course.stretches[1:]]
    return any(abs(margin) > 0.05 for margin in margins) or not any(pairs)
