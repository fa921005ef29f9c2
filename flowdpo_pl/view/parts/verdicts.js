// Where a path ended, and what a fork taught, in signs and words: a colour never stands alone.

const TIES = {
  both_right: ["both right", "Both endings are right (or graded too close): nothing to prefer."],
  both_wrong: ["both wrong", "Both endings are wrong (or graded too close): nothing to prefer."],
  repeated: ["the same move again", "An independent draw came to the same move: one more draw of a group, never a pair."],
};

/** Sign, words and class of an ending. */
function verdictOf([right, score, , error]) {
  if (error !== null) return { sign: "?", words: "not judged", kind: "unjudged" };
  if (score > 0 && score < 1) {
    return { sign: "◐", words: `score ${score.toFixed(2)}`, kind: right ? "right" : "wrong" };
  }
  return right ? { sign: "✔", words: "right", kind: "right" } : { sign: "✘", words: "wrong", kind: "wrong" };
}

/** The ending in a line: right or wrong, and the answer that is read in it. */
function endingOf(end, words) {
  const { sign, words: told, kind } = verdictOf(end);
  const line = element("div", "ending", element("span", `verdict ${kind}`, `${sign} ${told}`));
  if (end[3] !== null) line.append(element("span", "quiet", end[3]));
  line.append(end[2] === null
    ? element("span", "quiet", "no answer")
    : element("span", "answer", element("span", "quiet", "answer "), said(end[2], words)));
  return line;
}

/** What a fork taught of one of its two moves: `chosen`, `rejected`, or a tie. */
function lessonOf(outcome) {
  if (outcome === "chosen") return tag("chosen", "▲ chosen", "A pair: this move is preferred to the other one.");
  if (outcome === "rejected") return tag("rejected", "▽ rejected", "A pair: the other move is preferred to this one.");
  const [words, why] = TIES[outcome] || [outcome, ""];
  return tag("tie", `= tie, ${words}`, why);
}

function tag(kind, words, why) {
  const made = element("span", `tag ${kind}`, words);
  made.title = why;
  return made;
}
