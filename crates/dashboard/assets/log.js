// A log of any length: only the visible lines are in the page.

const LINE = 20; // pixels, as the style sheet has it
let stream; // brings the lines
const ABOVE = 20; // lines beyond the edges that are drawn too
const MESSAGE = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (INFO|ERROR) /; // a line of the job itself, not of a program
const CLOCK = new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** The pieces of a line with the names of their colours, and the state behind it. */
function pieces(text, state) {
  const out = [];
  let rest = 0;
  // Of the terminal's escape sequences only colors are rendered; all others are removed.
  for (const found of text.matchAll(/\x1b(?:\[([0-9;:?]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])/g)) {
    if (found.index > rest) out.push([state, text.slice(rest, found.index)]);
    rest = found.index + found[0].length;
    if (found[2] === "m") state = colour(found[1], state);
  }
  if (rest < text.length) out.push([state, text.slice(rest)]);
  return [out, state];
}

function colour(codes, state) {
  let { fg, bold } = state;
  const all = (codes || "0").split(/[;:]/).map(Number);
  for (let at = 0; at < all.length; at++) {
    const code = all[at];
    if (code === 0) [fg, bold] = ["", false];
    else if (code === 1) bold = true;
    else if (code === 22) bold = false;
    else if (code >= 30 && code <= 37) fg = `a${code - 30}`;
    else if (code >= 90 && code <= 97) fg = `a${code - 90}`;
    else if (code === 39) fg = "";
    else if (code === 38 || code === 48) at += all[at + 1] === 5 ? 2 : 4;
  }
  return { fg, bold };
}

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made[key] = value;
  made.append(...children);
  return made;
}

function watch(box) {
  const [search, previous, next, follow, nothing, name] = box.dataset.words.split("|");
  const lines = [];
  const states = [{ fg: "", bold: false }];
  const found = { text: "", at: [], place: -1 };
  let following = true;
  const field = element("input", { type: "search", placeholder: search, ariaLabel: search });
  const count = element("span", { className: "where" });
  count.setAttribute("role", "status");
  const back = element("button", { type: "button", textContent: "↑", title: previous, ariaLabel: previous });
  const on = element("button", { type: "button", textContent: "↓", title: next, ariaLabel: next });
  const tick = element("input", { type: "checkbox", checked: true });
  const view = element("div", { className: "lines", tabIndex: 0, role: "region", ariaLabel: name });
  const sheet = element("div", { className: "sheet" });
  view.append(sheet);
  box.replaceChildren(element("div", { className: "find" }, field, back, on, count, element("label", {}, tick, follow)), view);

  function draw() {
    const first = Math.max(0, Math.floor(view.scrollTop / LINE) - ABOVE);
    const last = Math.min(lines.length, Math.ceil((view.scrollTop + view.clientHeight) / LINE) + ABOVE);
    sheet.style.height = `${lines.length * LINE}px`;
    const hits = new Set(found.at);
    const drawn = [];
    for (let at = first; at < last; at++) {
      const row = element("div", { className: hits.has(at) ? (at === found.at[found.place] ? "hit now" : "hit") : "" });
      row.style.top = `${at * LINE}px`;
      row.append(element("span", { className: "no", textContent: at + 1 }));
      let [start, time, level] = lines[at].match(MESSAGE) ?? [""];
      // What a program prints may look like one.
      if (level && Number.isNaN(Date.parse(time))) [start, level] = [""];
      if (level) {
        row.className += ` message ${level}`;
        row.append(element("time", { dateTime: time, title: time, textContent: CLOCK.format(new Date(time)) }), element("span", { textContent: level }));
      }
      for (const [state, text] of pieces(lines[at].slice(start.length), states[at])[0]) {
        row.append(element("span", { className: `${state.fg}${state.bold ? " b" : ""}`, textContent: text }));
      }
      drawn.push(row);
    }
    sheet.replaceChildren(...drawn);
    if (lines.length === 0) sheet.textContent = nothing;
  }

  function look(from) {
    found.text = field.value.toLowerCase();
    if (from === 0) [found.at, found.place] = [[], -1];
    if (found.text) for (let at = from; at < lines.length; at++) if (lines[at].toLowerCase().includes(found.text)) found.at.push(at);
    count.textContent = found.text ? `${found.place + 1} / ${found.at.length}` : "";
  }

  function go(step) {
    if (found.at.length === 0) return;
    found.place = (found.place + step + found.at.length) % found.at.length;
    tick.checked = following = false;
    view.scrollTop = Math.max(0, found.at[found.place] * LINE - view.clientHeight / 2);
    look(lines.length);
    draw();
  }

  function add(text) {
    const from = lines.length;
    for (const line of text.split("\n")) {
      states.push(pieces(line, states[lines.length])[1]);
      lines.push(line);
    }
    look(from);
    draw();
    // What is searched for may arrive after the search.
    if (found.text && found.place === -1) go(1);
    if (following) view.scrollTop = sheet.offsetHeight;
  }

  /** Shows where a test is named, by its whole name or else by the last part of it. */
  function find(name) {
    const last = name.split(/::|[\s.>/]/).filter(Boolean).pop() ?? name;
    const known = [name, last].find((text) => lines.some((line) => line.toLowerCase().includes(text.toLowerCase())));
    field.value = known ?? name;
    look(0);
    // Backwards from the end, where runners sum up what failed and why.
    if (found.at.length > 0) found.place = 0;
    go(-1);
    draw();
  }

  let drawing = false;
  view.addEventListener("scroll", () => {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => { drawing = false; draw(); });
  });
  field.addEventListener("input", () => { look(0); go(1); draw(); });
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); go(event.shiftKey ? -1 : 1); } });
  back.addEventListener("click", () => go(-1));
  on.addEventListener("click", () => go(1));
  tick.addEventListener("change", () => { following = tick.checked; if (following) view.scrollTop = sheet.offsetHeight; });
  view.addEventListener("wheel", (event) => { if (event.deltaY < 0) tick.checked = following = false; }, { passive: true });

  // After a reconnect the browser sends the last event id itself.
  stream = new EventSource(`/api/v1/tasks/${box.dataset.log}/logs/stream`);
  stream.addEventListener("log", (event) => add(event.data));
  stream.addEventListener("end", () => stream.close());
  draw();
  box.find = find;
}


document.querySelectorAll("[data-log]").forEach(watch);

document.addEventListener("click", ({ target }) => {
  const name = target.closest?.("a[data-find]")?.dataset.find;
  if (name) document.querySelector("[data-log]")?.find?.(name);
});

// A job that continues in another task has another log, which is shown unless the viewer has selected one.
document.addEventListener("renewed", ({ detail: page }) => {
  if (new URLSearchParams(location.search).has("task")) return;
  const [old, fresh] = [document, page].map((root) => root.querySelector("[data-log]"));
  if (!fresh || old?.dataset.log === fresh.dataset.log) return;
  stream?.close();
  document.getElementById("logs").replaceChildren(...page.getElementById("logs").childNodes);
  watch(document.querySelector("[data-log]"));
});
