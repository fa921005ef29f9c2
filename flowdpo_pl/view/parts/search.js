// Which problems the boxes and the words leave.

/** Words, in lower case; what stands in quotes is one. */
function wordsOf(text) {
  return (text.toLowerCase().match(/"[^"]+"|\S+/g) || []).map((word) => word.replace(/^"(.+)"$/, "$1"));
}

/** Everything that can be searched of a problem, in lower case; made when it is first asked for. */
function searchable(problem) {
  if (problem.searchable === undefined) {
    const texts = [`#${problem.number}`, problem.id, problem.question, problem.gold, ...problem.labels];
    const add = (moves) => { for (const move of moves) texts.push(move[1]); };
    const addAnswer = (end) => { if (end[2] !== null) texts.push(end[2]); };
    addAnswer(problem.end);
    if (problem.moves) {
      add(problem.moves);
      for (const [, , other, rest, end] of problem.forks) { add([other]); add(rest); addAnswer(end); }
    } else {
      for (const answer of problem.answers) { texts.push(answer.text); addAnswer(answer.end); }
    }
    problem.searchable = texts.join("\n").toLowerCase();
  }
  return problem.searchable;
}

/** Whether any node of a tree is of this agent and depth (null: any), and has a pair where pairs are asked for. */
function hasNode(tree, agent, depth, pair) {
  const fits = (node) =>
    (agent === null || tree.moves[node][0] === agent) && (depth === null || tree.depths[node] === depth);
  return pair ? tree.forks.some((fork) => isPair(fork) && fits(fork[0])) : tree.moves.some((_, node) => fits(node));
}

function isPair(fork) {
  return fork[1] === "chosen" || fork[1] === "rejected";
}

function disagree(answers) {
  return answers.some((answer) => answer.end[0] !== answers[0].end[0]);
}

/** Whether a problem is left by `asked`: {words, right, wrong, some, agent, depth}. */
function isLeft(problem, asked) {
  if (!(problem.end[0] ? asked.right : asked.wrong)) return false;
  const fits = problem.moves
    ? hasNode(problem, asked.agent, asked.depth, asked.some)
    : (!asked.some || disagree(problem.answers))
      && (asked.depth === null || problem.answers.some((answer) => answer.chunks === asked.depth));
  return fits && asked.words.every((word) => searchable(problem).includes(word));
}
