// Progressive enhancement: live states, and forms without a page load. All pages work without this script too.

function toast(text, bad) {
  const box = document.createElement("div");
  box.className = bad ? "toast bad" : "toast";
  box.textContent = text;
  document.getElementById("toasts").append(box);
  setTimeout(() => box.remove(), bad ? 12000 : 5000);
}

// A change of the theme is applied at once.
const themes = document.querySelector(".switches select");
themes?.addEventListener("change", () => themes.form.submit());

const rowsOf = (root) => [...root.querySelectorAll("tr[data-issue]")].map((row) => row.dataset.issue).join();

/** Puts what has changed in the place of the old; what somebody is at is left alone. */
async function renew() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.dispatchEvent(new CustomEvent("renewed", { detail: page }));
  const [list, freshList] = [document, page].map((root) => root.querySelector("[data-list]"));
  if (list && freshList && rowsOf(list) !== rowsOf(freshList)) {
    if (!list.contains(document.activeElement) && !list.querySelector(":checked")) list.innerHTML = freshList.innerHTML;
    return;
  }
  for (const old of document.querySelectorAll("[data-part]")) {
    const fresh = page.querySelector(`[data-part="${CSS.escape(old.dataset.part)}"]`);
    if (!fresh || fresh.innerHTML === old.innerHTML || old.contains(document.activeElement) || old.querySelector("tr.remark")) continue;
    if ([...old.querySelectorAll("textarea")].some((text) => text.value.trim())) continue;
    const picked = old.querySelector(":checked");
    // Sections that the viewer opened or closed stay that way.
    for (const kept of old.querySelectorAll("details[data-key]")) {
      const same = fresh.querySelector(`details[data-key="${CSS.escape(kept.dataset.key)}"]`);
      if (same && kept.dataset.load) same.replaceWith(kept);
      else if (same) same.open = kept.open;
    }
    old.replaceChildren(...fresh.childNodes);
    const box = old.querySelector("[type=checkbox]");
    if (picked && box) box.checked = true;
  }
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.start && form.dataset.act === undefined) return;
  event.preventDefault();
  const button = form.querySelector("button");
  const body = new URLSearchParams(new FormData(form));
  button.disabled = true;
  const answer = await fetch(form.action, { method: "POST", body, headers: { accept: "application/json" } }).catch(() => null);
  const said = (await answer?.json().catch(() => null)) ?? {};
  toast(said.text ?? document.body.dataset.unreachable, !answer?.ok);
  if (answer?.ok) form.reset();
  if (answer?.ok) form.dispatchEvent(new CustomEvent("sent", { bubbles: true }));
  button.blur();
  await renew();
  // Without a change the button is enabled again.
  if (button.isConnected && !answer?.ok) button.disabled = false;
});

// Bursts of changes cause one request, with jitter, so that viewers do not send theirs at the same time.
let waiting = false;
function soon() {
  if (waiting) return;
  waiting = true;
  setTimeout(() => { waiting = false; renew(); }, 300 + Math.random() * 500);
}

// The prompt and answer of a model call are loaded when the viewer opens them.
document.addEventListener("toggle", async (event) => {
  const box = event.target;
  if (!box.dataset?.load || !box.open || box.dataset.loaded) return;
  box.dataset.loaded = "yes";
  const answer = await fetch(box.dataset.load, { headers: { accept: "text/html" } }).catch(() => null);
  const page = new DOMParser().parseFromString((await answer?.text()) ?? "", "text/html");
  box.querySelector(".fallback")?.remove();
  box.append(...(page.querySelector("[data-said]")?.childNodes ?? [document.body.dataset.unreachable]));
}, true);

// Copy buttons. They stay hidden without this script, and where browsers give pages no access to the clipboard (over
// unencrypted HTTP from another machine).
if (navigator.clipboard) for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
document.addEventListener("click", async (event) => {
  const from = event.target.closest?.("[data-copy]")?.dataset.copy;
  if (!from) return;
  await navigator.clipboard.writeText(document.getElementById(from).textContent);
  toast(document.body.dataset.copied);
});

// Actions that cannot be undone need a confirmation.
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !confirm(question)) event.preventDefault();
});

// Polling for changes without an event.
const poll = document.querySelector("[data-poll]")?.dataset.poll;
if (poll) setInterval(renew, poll * 1000);

const shown = document.querySelector("[data-issue]")?.dataset.issue;
const job = document.querySelector("[data-job]")?.dataset.job;
const isList = document.querySelector("[data-list], [data-board]") !== null;
if (isList || shown || job) {
  const live = document.querySelector("[data-live]");
  const events = new EventSource(job ? `/api/v1/jobs/${job}/events` : "/api/v1/events");
  events.addEventListener("open", () => { if (live) live.hidden = false; });
  events.addEventListener("error", () => { if (live) live.hidden = true; });
  events.addEventListener("job", (event) => { if (isList || job || JSON.parse(event.data).issue_id === shown) soon(); });
  events.addEventListener("reset", soon);
}

// Keys, while nobody writes: a list is read without a mouse.
const places = { i: "/issues", j: "/jobs", b: "/board" };
let goes = false;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
  const links = [...document.querySelectorAll("td.what > a")];
  const at = links.indexOf(document.activeElement);
  if (goes) {
    goes = false;
    if (places[event.key]) location.assign(places[event.key]);
    return;
  }
  const move = { j: at + 1, k: Math.max(at - 1, 0) }[event.key];
  if (event.key === "g") goes = true;
  else if (event.key === "?") toast(document.body.dataset.keys);
  else if (event.key === "/") {
    event.preventDefault();
    document.querySelector("main input[type=search], main input[type=text]")?.focus();
  } else if (move !== undefined) links[Math.min(move, links.length - 1)]?.focus();
});
