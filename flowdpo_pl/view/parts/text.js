// Elements and texts. Texts of models and data become text nodes, never markup.

const LONG_CHARACTERS = 1600;
const LONG_LINES = 24;

/** An element with a class and children, which are nodes, or strings that become text. */
function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A button that does something. */
function button(className, label, does) {
  const made = element("button", className, label);
  made.type = "button";
  made.addEventListener("click", does);
  return made;
}

/** What somebody said: whole, or its beginning and a button for the rest; words that are searched are marked. */
function said(text, words) {
  const place = element("div", "said");
  place.dir = "auto";
  const beginning = beginningOf(text);
  if (beginning.length === text.length) {
    place.append(...marked(text, words));
    return place;
  }
  let whole = false;
  const show = () => {
    const change = () => { whole = !whole; show(); place.querySelector(".more").focus(); };
    const size = text.length.toLocaleString("en");
    place.replaceChildren(
      ...marked(whole ? text : beginning + " …", words),
      button("more", whole ? "less" : `all ${size} characters`, change),
    );
  };
  show();
  return place;
}

function beginningOf(text) {
  let end = Math.min(text.length, LONG_CHARACTERS);
  for (let line = 0, at = -1; line < LONG_LINES; line++) {
    at = text.indexOf("\n", at + 1);
    if (at < 0 || at > end) break;
    if (line === LONG_LINES - 1) end = at;
  }
  if (text.length - end < LONG_CHARACTERS / 4 && text.indexOf("\n", end + 1) < 0) return text;
  const half = text.charCodeAt(end - 1);
  return text.slice(0, half >= 0xd800 && half < 0xdc00 ? end - 1 : end);
}

/** The text in pieces, with every place of a word in a mark. */
function marked(text, words) {
  if (!words.length) return [text];
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pieces = text.split(new RegExp(`(${escaped.join("|")})`, "i"));
  if (pieces.length > 2000) return [text];
  return pieces.map((piece, place) => (place % 2 ? element("mark", "", piece) : piece));
}

function count(number, one) {
  return `${number.toLocaleString("en")} ${one}${number === 1 ? "" : "s"}`;
}
