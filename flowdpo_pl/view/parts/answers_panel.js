// A problem of a `test` on the right: a row an answer.

function answersPanel(problem, view) {
  const { answers } = problem;
  const right = answers.filter((answer) => answer.end[0]).length;
  const facts = element("div", "facts",
    element("span", "", element("span", "quiet", "gold "), element("b", "", said(problem.gold, view.words))),
    answers.length > 1 ? element("span", "", `${right} of ${answers.length} right`) : null,
    problem.vote ? element("span", "", element("span", "quiet", "together "), problem.vote) : null,
    ...problem.labels.map((label) => element("span", "label", label)),
    element("span", "quiet id", problem.id),
  );
  return [
    element("div", "question", said(problem.question, view.words)), facts,
    element("div", "nodes", ...answers.map((answer, place) => answerRow(answer, place, answers.length, view))),
  ];
}

function answerRow(answer, place, of, view) {
  const ending = endingOf(answer.end, view.words);
  if (of > 1 && answer.taken) ending.append(tag("chosen", "▲ taken by the vote", "The answer that most samples give."));
  if (answer.cut) ending.append(tag("tie", "✂ cut", "It stands at the flow's limit: ended by no token and no choice."));
  const card = element("div", `other ${verdictOf(answer.end).kind}`, said(answer.text, view.words), ending);
  if (answer.asked.length) {
    const asked = answer.asked.map(([held, finished]) => `held ${held}: ${finished ? "finished" : "not finished"}`);
    card.append(element("details", "", element("summary", "", count(asked.length, "choice")),
      ...asked.map((line) => element("div", "further", line))));
  }
  return element("div", "node answer-row",
    element("div", "who", element("span", "at", of > 1 ? String(place + 1) : ""),
      element("span", "quiet", `${count(answer.tokens, "token")}, ${count(answer.chunks, "chunk")}`)),
    card);
}
