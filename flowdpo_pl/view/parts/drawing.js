// A tree, small: the main chain from left to right, every other path below it from the node that it leaves at.

const STEP = 26;
const LANE = 17;
const LEFT = 24;
const RADIUS = 5;

function drawn(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** The drawing; `pick(node)` is called with the node that is clicked. */
function drawingOf(tree, agents, pick) {
  const paths = tree.forks.map((fork) => ({ fork, from: fork[0], to: fork[0] + fork[3].length, lane: 0 }));
  const lanes = intoLanes(paths);
  const columns = Math.max(tree.moves.length, ...paths.map((path) => path.to + 1));
  const width = LEFT + columns * STEP + 24;
  const height = (lanes + 1) * LANE + 12;
  const x = (column) => LEFT + column * STEP;
  const y = (lane) => 12 + (lane + 1) * LANE;
  const root = 6;
  const nodes = [];
  const lines = [drawn("path", { class: "edge", d: `M${root} ${y(-1)}H${x(tree.moves.length - 1) + 14}` })];
  nodes.push(drawn("circle", { class: "root", cx: root, cy: y(-1), r: 3 }));
  tree.moves.forEach((move, node) => nodes.push(spot(move, node, x(node), y(-1), "main")));
  nodes.push(endMark(tree.end, x(tree.moves.length - 1) + 22, y(-1)));
  for (const { fork, from, to, lane } of paths) {
    const pair = isPair(fork) ? ` ${fork[1]}` : "";
    const start = from ? x(from - 1) : root;
    const bend = `M${start} ${y(-1)}C${x(from) - 10} ${y(-1)} ${x(from) - 18} ${y(lane)} ${x(from)} ${y(lane)}`;
    lines.push(drawn("path", { class: `edge${pair}`, d: `${bend}H${x(to) + 14}` }));
    [fork[2], ...fork[3]].forEach((move, place) =>
      nodes.push(spot(move, from, x(from + place), y(lane), place ? "rest" : `other${pair}`)));
    nodes.push(endMark(fork[4], x(to) + 22, y(lane)));
  }
  const told = `${count(tree.moves.length, "move")}, ${count(tree.forks.length, "other path")}`;
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": told },
    ...lines, ...nodes);
  svg.addEventListener("click", (event) => {
    const node = event.target.closest("[data-node]");
    if (node) pick(Number(node.dataset.node));
  });
  return element("div", "drawing", svg);

  function spot(move, node, cx, cy, className) {
    const attributes = { class: `spot ${className} agent-${move[0] % 6}`, "data-node": node };
    const shape = move[2]
      ? drawn("path", { ...attributes, d: `M${cx} ${cy - 6}l6 6l-6 6l-6 -6z` })
      : drawn("circle", { ...attributes, cx, cy, r: RADIUS });
    const short = move[1].length > 200 ? `${move[1].slice(0, 200)} …` : move[1];
    shape.append(drawn("title", {}, `${agents[move[0]]}: ${short}`));
    return shape;
  }
}

/** Gives each path the highest free lane below those that leave later within its length: no line crosses one. */
function intoLanes(paths) {
  let lanes = 0;
  const placed = [];
  for (const path of [...paths].sort((one, other) => other.from - one.from)) {
    const below = placed.filter((other) => other.from <= path.to + 2).map((other) => other.lane + 1);
    path.lane = Math.max(0, ...below);
    placed.push(path);
    lanes = Math.max(lanes, path.lane + 1);
  }
  return lanes;
}

function endMark(end, x, y) {
  const { sign, kind } = verdictOf(end);
  return drawn("text", { class: `end ${kind}`, x, y: y + 4, "text-anchor": "middle" }, sign);
}
