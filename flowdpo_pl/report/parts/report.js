(() => {
"use strict";
// Draws every chart in the page's colours, again when these change; one that is folded away when it is unfolded.

const dark = matchMedia("(prefers-color-scheme: dark)");
const touched = matchMedia("(pointer: coarse)");
const narrow = matchMedia("(max-width: 600px)");
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

function coloured(value, style) {
  if (Array.isArray(value)) return value.map((one) => coloured(one, style));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, coloured(one, style)]));
  }
  const named = typeof value === "string" && /^var\((--[\w-]+)\)(?:\/(\d+))?$/.exec(value);
  if (!named) return value;
  const colour = style.getPropertyValue(named[1]).trim();
  return named[2] ? colour + Math.round((255 * named[2]) / 100).toString(16).padStart(2, "0") : colour;
}

function axis(given, style) {
  const line = style.getPropertyValue("--edge").trim();
  return {
    gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line, automargin: true, separatethousands: true,
    ...given, title: { standoff: 8, ...given.title },
  };
}

function drawn(place) {
  const style = getComputedStyle(document.documentElement);
  const { data, layout } = JSON.parse(document.getElementById(place.dataset.chart).textContent);
  const ink = style.getPropertyValue("--ink").trim();
  const paper = style.getPropertyValue("--paper").trim();
  const axes = Object.entries(layout).filter(([key]) => /^[xy]axis/.test(key));
  Plotly.react(place, coloured(data, style), {
    height: 340, barmode: "overlay", ...layout,
    ...Object.fromEntries(axes.map(([key, given]) => [key, axis({ fixedrange: touched.matches, ...given }, style)])),
    autosize: true,
    margin: { l: 48, r: narrow.matches ? 8 : 16, t: 8, b: 44 },
    font: { family: FONT, size: 12, color: ink },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    hovermode: "x unified", dragmode: touched.matches ? false : "zoom",
    hoverlabel: { bgcolor: paper, bordercolor: style.getPropertyValue("--edge").trim(), font: { color: ink } },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" },
    showlegend: true,
  }, { responsive: true, displayModeBar: false });
}

function open(place) {
  for (let fold = place.closest("details"); fold; fold = fold.parentElement.closest("details")) {
    if (!fold.open) return false;
  }
  return true;
}

function draw(within) {
  [...within.querySelectorAll("[data-chart]")].filter(open).forEach(drawn);
}

document.querySelectorAll("details.run").forEach((fold) => fold.addEventListener("toggle", () => draw(fold)));
for (const change of [dark, narrow]) change.addEventListener("change", () => draw(document));
addEventListener("hashchange", unfold);
unfold();
draw(document);

// A link to something that is folded away: a run, or a problem of its trees.
function unfold() {
  const number = /^#(?:run-|tree)(\d+)/.exec(location.hash);
  const fold = number && document.getElementById(`run-${number[1]}`);
  if (fold) fold.open = true;
}
})();
