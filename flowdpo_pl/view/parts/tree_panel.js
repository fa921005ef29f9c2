// A tree on the right: its drawing, and a row a node.

const OTHER = "Log-probability when it was played; a beginning that it shares with the main move counts nothing.";

function treePanel(tree, view) {
  const forks = tree.moves.map((_, node) => tree.forks.filter((fork) => fork[0] === node));
  const rows = tree.moves.map((move, node) => nodeRow(tree, node, forks[node], view));
  const pick = (node) => {
    rows[node].scrollIntoView({ block: "center" });
    rows[node].classList.remove("picked");
    void rows[node].offsetWidth; // so that the same row can flash again
    rows[node].classList.add("picked");
  };
  const pairs = tree.forks.filter(isPair).length;
  const facts = element("div", "facts",
    element("span", "", element("span", "quiet", "gold "), element("b", "", said(tree.gold, view.words))),
    element("span", "", element("span", "quiet", "main chain "), endingOf(tree.end, view.words)),
    element("span", "", `${count(tree.forks.length, "fork")}, ${count(pairs, "pair")}`),
    tree.seen ? element("span", "quiet", `batch that ended at problem ${tree.seen.toLocaleString("en")}`) : null,
    ...tree.labels.map((label) => element("span", "label", label)),
    element("span", "quiet id", tree.id),
  );
  const head = element("div", "node head",
    element("div", "who", "node"), element("div", "main", "main move"), element("div", "other", "other moves, and where they ended"));
  const last = element("div", "node last",
    element("div", "who quiet", "end"), element("div", "main", endingOf(tree.end, view.words)), element("div", ""));
  return [
    element("div", "question", said(tree.question, view.words)), facts,
    element("div", "above", drawingOf(tree, view.agents, pick), legend(tree, view.agents)),
    element("div", alone(tree) ? "nodes alone" : "nodes", head, ...rows, last),
  ];
}

/** Whether the main chain was played and nothing beside it, as `validate` does. */
function alone(tree) {
  return !tree.forks.length && !tree.without.length;
}

function nodeRow(tree, node, forks, view) {
  const move = tree.moves[node];
  const lessons = new Set(forks.filter(isPair).map((fork) => (fork[1] === "chosen" ? "rejected" : "chosen")));
  const main = element("div", `main ${[...lessons].join(" ")}`, moveOf(move, view),
    lessons.size ? element("div", "ending", ...[...lessons].map(lessonOf)) : null);
  const others = element("div", "others", ...forks.map((fork) => otherMove(fork, view)));
  if (!forks.length && !alone(tree)) {
    const none = tree.without.includes(node);
    others.append(tag("none", none ? "∅ no alternative" : "– no other move was tried",
      none ? "The agent left nothing else to draw here." : "The exploration did not branch here."));
  }
  const who = element("div", "who", element("span", "at", String(node)), agentOf(move[0], view),
    element("span", "quiet", tree.depths[node] ? `chunk ${tree.depths[node]}` : ""));
  return element("div", "node", who, main, others);
}

function otherMove(fork, view) {
  const [, outcome, move, rest, end] = fork;
  const card = element("div", `other ${verdictOf(end).kind} ${isPair(fork) ? outcome : ""}`, moveOf(move, view, OTHER));
  const ending = endingOf(end, view.words);
  ending.append(lessonOf(outcome));
  card.append(ending);
  if (rest.length) {
    const details = element("details", "", element("summary", "", count(rest.length, "further move")));
    details.addEventListener("toggle", () => {
      if (details.open && details.childElementCount === 1) {
        details.append(...rest.map((next) =>
          element("div", "further", agentOf(next[0], view), moveOf(next, view))));
      }
    });
    details.open = rest.some((next) => view.words.some((word) => next[1].toLowerCase().includes(word)));
    card.append(details);
  }
  return card;
}

function moveOf(move, view, why = "Log-probability when it was played.") {
  const [, text, chosen, logprob] = move;
  const made = element("div", "move", chosen ? element("span", "word", text) : said(text, view.words));
  if (!chosen && !text) made.append(element("span", "quiet", "(nothing but an end token)"));
  if (logprob !== null) {
    const nats = element("span", "nats", `${logprob.toFixed(2).replace("-", "−")} nats`);
    nats.title = why;
    made.append(" ", nats);
  }
  return made;
}

function agentOf(agent, view) {
  return element("span", `agent agent-${agent % 6}`, view.agents[agent]);
}

function legend(tree, agents) {
  const paths = [tree.moves, ...tree.forks.map((fork) => [fork[2], ...fork[3]])];
  const moves = paths.flat();
  const shapes = (agent) => [["●", 0], ["◆", 1]]
    .filter(([, chosen]) => moves.some((move) => move[0] === agent && move[2] === chosen)).map(([shape]) => shape).join("");
  const there = agents.map((_, agent) => agent).filter(shapes);
  return element("div", "legend",
    ...there.map((agent) => element("span", "", element("span", `agent-${agent % 6}`, shapes(agent)), ` ${agents[agent]}`)),
    element("span", "", "● writes, ◆ chooses a word"),
    ...(alone(tree) ? [] : [
      element("span", "", element("span", "thick chosen", "━"), " pair: the other move is chosen"),
      element("span", "", element("span", "thick rejected", "┅"), " pair: the main move is chosen"),
      element("span", "", "─ tie"),
    ]));
}
