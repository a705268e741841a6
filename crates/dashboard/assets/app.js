// What pages can do beside being read: live states, answers without a new page. Everything works without it too.

function toast(text, bad) {
  const box = document.createElement("div");
  box.className = bad ? "toast bad" : "toast";
  box.textContent = text;
  document.getElementById("toasts").append(box);
  setTimeout(() => box.remove(), bad ? 12000 : 5000);
}

// A choice of appearance counts at once.
const themes = document.querySelector(".switches select");
themes?.addEventListener("change", () => themes.form.submit());

const rowsOf = (root) => [...root.querySelectorAll("tr[data-issue]")].map((row) => row.dataset.issue).join();

/** Puts what has changed in the place of the old; what somebody is at is left alone. */
async function renew() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const [list, freshList] = [document, page].map((root) => root.querySelector("[data-list]"));
  if (list && freshList && rowsOf(list) !== rowsOf(freshList)) {
    if (!list.contains(document.activeElement) && !list.querySelector(":checked")) list.innerHTML = freshList.innerHTML;
    return;
  }
  for (const old of document.querySelectorAll("[data-part]")) {
    const fresh = page.querySelector(`[data-part="${CSS.escape(old.dataset.part)}"]`);
    if (!fresh || fresh.innerHTML === old.innerHTML || old.contains(document.activeElement)) continue;
    const picked = old.querySelector(":checked");
    old.innerHTML = fresh.innerHTML;
    const box = old.querySelector("[type=checkbox]");
    if (picked && box) box.checked = true;
  }
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.start) return;
  event.preventDefault();
  const button = form.querySelector("button");
  const body = new URLSearchParams(new FormData(form));
  button.disabled = true;
  const answer = await fetch(form.action, { method: "POST", body, headers: { accept: "application/json" } }).catch(() => null);
  const said = (await answer?.json().catch(() => null)) ?? {};
  toast(said.text ?? document.body.dataset.unreachable, !answer?.ok);
  button.blur();
  await renew();
  // Where nothing has changed it can be pressed again.
  if (button.isConnected && !answer?.ok) button.disabled = false;
});

// Many changes in a moment are one look.
let waiting = false;
function soon() {
  if (waiting) return;
  waiting = true;
  setTimeout(() => { waiting = false; renew(); }, 400);
}

const shown = document.querySelector("[data-issue]")?.dataset.issue;
const isList = document.querySelector("[data-list]") !== null;
if (isList || shown) {
  const live = document.querySelector("[data-live]");
  const events = new EventSource("/api/v1/events");
  events.addEventListener("open", () => { if (live) live.hidden = false; });
  events.addEventListener("error", () => { if (live) live.hidden = true; });
  events.addEventListener("job", (event) => { if (isList || JSON.parse(event.data).issue_id === shown) soon(); });
  events.addEventListener("reset", soon);
}
