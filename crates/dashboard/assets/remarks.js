// Comments on lines of a diff, which start one follow-up together. Without this script the follow-up is written as one text.

// What one follow-up takes.
const MAX_LENGTH = 8000;

const formOf = () => document.querySelector("form[data-remarks]");
const rows = () => [...document.querySelectorAll(".diff tr.remark")];
const words = () => formOf().dataset.words.split("|");

/** Names the line of a cell as `path:12`; a removed line by its number before the change, all others by the one after it. */
function nameOf(cell) {
  const row = cell.parentElement;
  const numbers = [...row.querySelectorAll("td.no")];
  const isOld = cell === numbers[0] && row.querySelector(".removed") !== null;
  const number = isOld ? cell.textContent.trim() : numbers.at(-1).textContent.trim() || cell.textContent.trim();
  return `${row.closest("details").dataset.key}:${number}${isOld ? ` (${words()[3]})` : ""}`;
}

const compose = () => rows()
  .map((row) => [row.dataset.line, row.querySelector("textarea").value.trim()])
  .filter(([, text]) => text)
  .map(([line, text]) => `${line}: ${text}`)
  .join("\n\n");

function count() {
  const form = formOf();
  const written = rows().filter((row) => row.querySelector("textarea").value.trim());
  form.hidden = written.length === 0;
  const length = compose().length;
  const button = form.querySelector("button");
  button.textContent = length > MAX_LENGTH ? `${length} / ${MAX_LENGTH}` : `${words()[0]} (${written.length})`;
  button.disabled = length > MAX_LENGTH;
}

function add(cell) {
  const row = cell.parentElement;
  const known = row.nextElementSibling;
  if (known?.classList.contains("remark")) return known.querySelector("textarea").focus();
  const editor = document.createElement("tr");
  editor.className = "remark";
  editor.dataset.line = nameOf(cell);
  const place = editor.insertCell();
  place.colSpan = 4;
  const text = document.createElement("textarea");
  text.rows = 2;
  text.maxLength = 2000;
  text.placeholder = words()[1];
  text.setAttribute("aria-label", `${words()[1]}: ${editor.dataset.line}`);
  text.addEventListener("input", count);
  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = words()[2];
  remove.addEventListener("click", () => { editor.remove(); count(); });
  place.append(text, remove);
  row.after(editor);
  text.focus();
}

document.addEventListener("click", (event) => {
  const cell = event.target.closest?.(".diff td.no");
  if (formOf() && cell?.textContent.trim()) add(cell);
});

// Before the form is sent: app.js reads its fields.
document.addEventListener("submit", (event) => {
  if (event.target !== formOf()) return;
  event.target.elements.instructions.value = compose();
}, true);

document.addEventListener("sent", (event) => {
  if (event.target !== formOf()) return;
  rows().forEach((row) => row.remove());
  count();
});
