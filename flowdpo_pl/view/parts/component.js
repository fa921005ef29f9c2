// Begins at every place of the page that shows problems. The address says which problem is open: `#29`.

function begin(place) {
  const data = JSON.parse(document.getElementById(place.dataset.problems).textContent);
  const prefix = place.dataset.name ? `${place.dataset.name}-` : "";
  const alone = !prefix;
  const view = { agents: data.agents || [], words: [], linkTo: (problem) => `#${prefix}${problem.number}` };
  const panel = element("article", "panel");
  panel.tabIndex = -1;
  let open = null;
  const list = problemList(data, view, (words) => {
    view.words = words;
    if (open) show(open, true);
  });
  place.append(list.root, panel);
  if (alone) place.classList.add("whole");
  addEventListener("hashchange", follow);
  (alone ? document : place).addEventListener("keydown", pressed);
  follow();

  function follow() {
    const named = decoded(location.hash.slice(1));
    const mine = named.startsWith(prefix) ? named.slice(prefix.length) : "";
    const found = data.problems.find((one) => String(one.number) === mine) || data.problems.find((one) => one.id === mine);
    place.classList.toggle("opened", Boolean(mine));
    if (mine && !found) {
      missing(`Problem ${mine.slice(0, 200)} is not on this page.`, data.told);
    } else if (found || !open) {
      const first = found || list.left()[0];
      if (first) show(first, false);
      else missing("There are no problems here yet.", data.of ? data.told : "");
    }
  }

  function show(problem, keepPlace) {
    const at = keepPlace ? panel.scrollTop : 0;
    open = problem;
    const back = element("a", "back", "‹ problems");
    back.href = `#${prefix}`;
    const parts = data.kind === "trees" ? treePanel(problem, view) : answersPanel(problem, view);
    panel.replaceChildren(
      element("div", "top", back, element("h2", "", `Problem ${problem.number}`),
        step("‹", "previous problem", -1), step("›", "next problem", 1)),
      ...parts,
    );
    panel.scrollTop = at;
    list.mark(problem);
  }

  function missing(...lines) {
    open = null;
    list.mark(null);
    const back = element("a", "back", "‹ problems");
    back.href = `#${prefix}`;
    panel.replaceChildren(element("div", "top", back), ...lines.map((line) => element("p", "", line)));
  }

  function step(sign, label, by) {
    const made = button("step", sign, () => go(by));
    made.setAttribute("aria-label", label);
    return made;
  }

  function go(by) {
    const left = list.left();
    const at = left.indexOf(open);
    const next = at >= 0 ? left[at + by] : left.find((problem) => !open || problem.number > open.number);
    if (next) location.replace(view.linkTo(next));
  }

  function pressed(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("select")) return;
    const typing = event.target === list.search;
    const by = { ArrowDown: 1, ArrowUp: -1, ...(typing ? {} : { j: 1, k: -1 }) }[event.key];
    if (by) go(by);
    else if (event.key === "/" && !typing) list.search.focus();
    else if (event.key === "Escape" && typing) list.search.blur();
    else return;
    event.preventDefault();
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

document.querySelectorAll(".flow-view").forEach(begin);
