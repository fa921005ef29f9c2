"""The report as one page that holds everything it shows: it is opened from a file and fetches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files as files_of
from pathlib import Path

from flowdpo_pl.report import overview
from flowdpo_pl.report.accuracy_charts import run_chart, runs_charts
from flowdpo_pl.report.chart import Chart
from flowdpo_pl.report.fork_charts import fork_charts
from flowdpo_pl.report.fork_counts import counted_in_log, counted_in_trees
from flowdpo_pl.report.markup import Markup, joined, tag
from flowdpo_pl.report.reported_run import ReportedRun, name_of
from flowdpo_pl.report.run_charts import chooser_charts, cost_charts, learning_charts
from flowdpo_pl.view import component
from flowdpo_pl.view.selection import Selection, selected
from flowdpo_pl.view.tree_problems import TreeProblems
from flowdpo_pl.view.written_page import html
from flowdpo_pl.visible import visible_line

_BODY = """<main>
{main}
</main>
<noscript>The charts and trees of this page are drawn by JavaScript, which is switched off here.</noscript>
{scripts}"""


def page(title: str, runs: Sequence[ReportedRun], tables: Markup, selection: Selection, place: Path) -> str:
    """The page as HTML.

    Args:
        title: of the page; any text.
        runs: at least one.
        tables: of a study; empty without one.
        selection: of each run's trees.
        place: the page's file, for links to the runs'.

    Raises:
        UserError: a run's trees can't be read, or `selection` names none of them.
    """
    body = [tag("h1", title)]
    if tables:
        body.append(tag("section", tag("h2", "The study"), tables))
    if len(runs) == 1:
        body += _run_sections(runs[0], 1, selection, place)
    else:
        body.append(_together(runs))
        for number, run in enumerate(runs, start=1):
            inner = _run_sections(run, number, selection, place)
            body.append(tag("details", tag("summary", run.name), *inner, class_="run", id=f"run-{number}"))
    style = component.style() + _part("report.css")
    scripts = [_plotly(), _part("report.js"), component.script()]
    whole = _BODY.format(
        main="\n".join(body), scripts="\n".join(f"<script>{script}</script>" for script in scripts)
    )
    return html(visible_line(title), policy(scripts), style, whole)


def policy(scripts: Sequence[str]) -> str:
    """These scripts run and no other; nothing is fetched. Styles are free: Plotly sets them as it draws, and
    older ones of it look at an image that they hold."""
    hashed = component.policy([], scripts)
    return hashed.replace("style-src ;", "style-src 'unsafe-inline'; img-src data:;")


def _together(runs: Sequence[ReportedRun]) -> Markup:
    """All runs: their accuracy, and which they are."""
    alike: dict[str, list[ReportedRun]] = {}
    for run in runs:
        if run.curve is not None:
            alike.setdefault(run.experiment, []).append(run)
    groups = {
        name_of(group): [one.curve for one in group if one.curve is not None] for group in alike.values()
    }
    left_out = [run.name for run in runs if run.curve is None]
    charts = runs_charts(groups) if groups else []
    told = f"Without a curve of accuracy: {', '.join(left_out)}." if left_out else ""
    said = [tag("p", told, class_="quiet")] if told else []
    return tag("section", tag("h2", "Accuracy"), _drawn(charts, "runs"), *said, overview.runs_table(runs))


def _run_sections(run: ReportedRun, number: int, selection: Selection, place: Path) -> list[Markup]:
    """Everything of one run, a section a question."""
    parts = [
        ("", joined([overview.facts(run), overview.settings(run), overview.files(run, place)])),
        ("Accuracy", _drawn([run_chart(run.curve)] if run.curve is not None else [], f"accuracy-{number}")),
        ("What limits learning", overview.findings(run)),
        ("Tests", overview.tests(run)),
        ("Pairs and ties", _drawn(_fork_charts(run), f"forks-{number}")),
        (
            "The chooser",
            joined([_drawn(_logged(run, "chooser"), f"chooser-{number}"), overview.confusion(run)]),
        ),
        ("Learning", _drawn(_logged(run, "learning"), f"learning-{number}")),
        ("Time and tokens", joined([_drawn(_logged(run, "cost"), f"cost-{number}"), overview.costs(run)])),
        ("Trees", _trees(run, number, selection)),
    ]
    found = [tag("section", *([tag("h2", title)] if title else []), inner) for title, inner in parts if inner]
    missing = [title.lower() for title, inner in parts if not inner and title != "Tests"]
    if missing and not run.run.is_fine_tuned:  # which has none of them
        words = f"Not shown, since the run kept or has nothing of it: {', '.join(missing)}."
        found.append(tag("p", words, class_="quiet"))
    return found


def _fork_charts(run: ReportedRun) -> list[Chart]:
    if run.trees is not None and run.trees.count:
        return fork_charts(counted_in_trees(run.trees))
    return fork_charts(counted_in_log(run.logged)) if run.logged is not None else []


def _logged(run: ReportedRun, kind: str) -> list[Chart]:
    if run.logged is None:
        return []
    return {
        "chooser": lambda logged: chooser_charts(logged),
        "learning": lambda logged: learning_charts(logged, run.agents),
        "cost": lambda logged: cost_charts(logged, run.agents),
    }[kind](run.logged)


def _drawn(charts: Sequence[Chart], name: str) -> Markup:
    return joined(chart.html(f"chart-{name}-{number}") for number, chart in enumerate(charts))


def _trees(run: ReportedRun, number: int, selection: Selection) -> Markup:
    if run.trees is None or not run.trees.count:
        return Markup("")
    problems = TreeProblems(run.trees)
    chosen = selected(problems, selection)
    return Markup(component.part(f"tree{number}", component.data(problems, chosen, run.name)))


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("</script", "<\\/script")


def _part(name: str) -> str:
    return (files_of("flowdpo_pl.report") / "parts" / name).read_text(encoding="utf-8")
