// The list on the left: boxes, words, and a line a problem, which is a link to it.

function problemList(data, view, changed) {
  const trees = data.kind === "trees";
  const asked = { words: [], right: true, wrong: true, some: false, agent: null, depth: null };
  const lines = new Map(data.problems.map((problem) => [problem, lineOf(problem, view)]));
  const told = element("div", "quiet told");
  told.setAttribute("role", "status");
  const list = element("nav", "lines", ...lines.values());
  list.setAttribute("aria-label", "problems");
  const search = element("input", "");
  Object.assign(search, { type: "search", placeholder: "words in question, moves or answers" });
  search.setAttribute("aria-label", search.placeholder);
  search.addEventListener("input", () => { asked.words = wordsOf(search.value); filter(); });

  const boxes = element("div", "boxes", box("right", "✔ right"), box("wrong", "✘ wrong"),
    trees ? box("some", "with pairs") : data.problems.some((p) => p.answers.length > 1) ? box("some", "samples disagree") : null);
  if (trees && data.agents.length > 1) {
    boxes.append(choice("agent", "any agent", data.agents.map((name, agent) => [agent, name])));
  }
  const depths = [...new Set(data.problems.flatMap((p) => (trees ? p.depths : p.answers.map((one) => one.chunks))))];
  if (depths.length > 1) {
    depths.sort((one, other) => one - other);
    boxes.append(choice("depth", trees ? "any depth" : "any length",
      depths.map((depth) => [depth, trees ? `depth ${depth}` : count(depth, "chunk")])));
  }
  const head = element("div", "asked", element("h1", "", data.title), search, boxes, told);
  let left = [];
  filter();
  return { root: element("div", "list", head, list), search, asked, left: () => left, mark };

  function filter() {
    left = data.problems.filter((problem) => {
      const stays = isLeft(problem, asked);
      lines.get(problem).hidden = !stays;
      return stays;
    });
    const pairs = trees ? `, ${count(left.reduce((sum, p) => sum + p.forks.filter(isPair).length, 0), "pair")}` : "";
    const right = left.filter((problem) => problem.end[0]).length;
    told.textContent = data.problems.length
      ? `${left.length.toLocaleString("en")} of ${count(data.problems.length, "problem")}, ${right.toLocaleString("en")} right${pairs}`
      : "";
    if (data.problems.length < data.of) told.append(element("div", "thinned", data.told));
    changed(asked.words);
  }

  function mark(problem) {
    for (const line of list.querySelectorAll("[aria-current]")) line.removeAttribute("aria-current");
    const line = lines.get(problem);
    if (!line) return;
    line.setAttribute("aria-current", "true");
    // The list alone: `scrollIntoView` would move a page that holds more than this.
    const [shown, its] = [list.getBoundingClientRect(), line.getBoundingClientRect()];
    if (its.top < shown.top) list.scrollTop -= shown.top - its.top;
    else if (its.bottom > shown.bottom) list.scrollTop += its.bottom - shown.bottom;
  }

  function box(key, label) {
    const input = element("input", "");
    Object.assign(input, { type: "checkbox", checked: asked[key] });
    input.addEventListener("change", () => { asked[key] = input.checked; filter(); });
    return element("label", "", input, label);
  }

  function choice(key, any, options) {
    const select = element("select", "", new Option(any, ""), ...options.map(([value, name]) => new Option(name, value)));
    select.setAttribute("aria-label", key);
    select.addEventListener("change", () => { asked[key] = select.value === "" ? null : Number(select.value); filter(); });
    return select;
  }
}

function lineOf(problem, view) {
  const { sign, words, kind } = verdictOf(problem.end);
  const verdict = element("span", `sign ${kind}`, sign);
  verdict.setAttribute("aria-label", words);
  verdict.setAttribute("role", "img");
  const line = element("a", "line", verdict, element("span", "number", String(problem.number)),
    element("span", "start", problem.question.slice(0, 160).replace(/\s+/g, " ")), element("span", "quiet", amount(problem)));
  line.href = view.linkTo(problem);
  return line;
}

function amount(problem) {
  if (problem.forks) {
    const pairs = problem.forks.filter(isPair).length;
    return pairs ? count(pairs, "pair") : "";
  }
  const { answers } = problem;
  return answers.length > 1 ? `${answers.filter((answer) => answer.end[0]).length} of ${answers.length}` : "";
}
