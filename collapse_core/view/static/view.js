// Renews what has changed, and turns pages without loading them whole. Links and forms work without it, too.

const EVERY = 2000; // milliseconds between two looks at whether anything has changed
const body = document.body;
let latest = 0;

function carryOver(old, fresh) {
  const opened = [...old.querySelectorAll("details")].map((one) => one.open);
  fresh.querySelectorAll("details").forEach((one, place) => { one.open ||= opened[place] ?? false; });
  for (const box of old.querySelectorAll("input[type=checkbox]:checked")) {
    const same = fresh.querySelector(`input[value="${CSS.escape(box.value)}"]`);
    if (same) same.checked = true;
  }
}

function replace(page) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(old.id);
    if (!fresh || fresh.innerHTML === old.innerHTML) continue;
    carryOver(old, fresh);
    old.replaceWith(document.adoptNode(fresh));
  }
  body.dataset.version = page.body.dataset.version;
}

async function show(address) {
  const turn = ++latest;
  const answer = await fetch(address);
  if (!answer.ok) return location.assign(address);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (turn === latest) replace(page);
}

function isRead() { // a text that is being selected must not go away
  const selection = getSelection();
  return selection && !selection.isCollapsed;
}

async function look() {
  if (!body.dataset.poll || document.hidden || isRead()) return;
  try {
    const answer = await fetch(body.dataset.poll);
    document.getElementById("lost").hidden = answer.ok;
    if (answer.ok && (await answer.text()) !== body.dataset.version) await show(location.href);
  } catch {
    document.getElementById("lost").hidden = false;
  }
}

function addressOf(form) {
  const given = [...new FormData(form)].filter(([, value]) => value !== "");
  const query = new URLSearchParams(given).toString();
  return new URL(form.action).pathname + (query && `?${query}`);
}

function filter(form, keep) {
  const address = addressOf(form);
  history[keep ? "pushState" : "replaceState"](null, "", address);
  return show(address);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-swap]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  show(link.href).then(() => document.querySelector("main").scrollIntoView());
});

for (const form of document.querySelectorAll("form[data-filter]")) {
  let typing;
  form.addEventListener("submit", (event) => { event.preventDefault(); filter(form, true); });
  form.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => filter(form, false), 250);
  });
}

addEventListener("popstate", () => location.reload());
setInterval(look, EVERY);
