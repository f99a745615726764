// What the pages do beyond plain HTML. Without it everything works; nothing is live.

const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];
const EXACT = { dateStyle: "medium", timeStyle: "short" };
const FULL = { dateStyle: "full", timeStyle: "long" };

function showTimes(root) {
  for (const element of root.querySelectorAll("time[data-show]")) {
    const moment = new Date(element.dateTime);
    element.title = moment.toLocaleString(undefined, FULL);
    if (element.dataset.show === "exact") {
      element.textContent = moment.toLocaleString(undefined, EXACT);
      continue;
    }
    const seconds = (moment - Date.now()) / 1000;
    const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
    const count = Math.trunc(Math.abs(seconds) / length);
    if (element.dataset.show === "duration") {
      element.textContent = `${count} ${unit}${count === 1 ? "" : "s"}`;
    } else {
      element.textContent = Math.abs(seconds) < 10 ? (seconds < 0 ? "just now" : "in a moment")
        : RELATIVE.format(Math.sign(seconds) * count, unit);
    }
  }
}

function enliven(root) {
  showTimes(root);
  for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = false;
  for (const part of root.querySelectorAll("[data-needs-script]")) part.hidden = false;
}

async function fetchPage(url, options) {
  const answer = await fetch(url, { credentials: "same-origin", ...options });
  return [answer, new DOMParser().parseFromString(await answer.text(), "text/html")];
}

// Takes the parts with these ids from a fresh page, where they differ and nobody is in them.
function replaceParts(page, selector) {
  for (const part of document.querySelectorAll(selector)) {
    const fresh = page.getElementById(part.id);
    if (fresh === null || part.contains(document.activeElement)) continue;
    if (fresh.outerHTML === part.dataset.served) continue;
    const served = fresh.outerHTML;
    enliven(fresh);
    fresh.dataset.served = served;
    part.replaceWith(fresh);
  }
}

// The revision that this page was told of last. An answer may be behind it: it was on its way already,
// or comes from a replica that has not heard of the change yet.
let told = "";
const ASK_AGAIN_MILLISECONDS = 300;

function revisionOf(page) {
  const events = page.body.dataset.events;
  return events ? new URL(events, location.href).searchParams.get("since") : "";
}

function isBehind(page) {
  const shown = revisionOf(page).split(".");
  return told.split(".").some((number, place) => Number(shown[place]) < Number(number));
}

// The list follows what is typed; the address too, so that it can be shared and gone back to.
function followFilter(form) {
  const input = form.querySelector("input[type=search]");
  let timer, latest = 0;
  const update = async () => {
    const url = new URL(form.action);
    for (const [name, value] of new FormData(form)) if (value) url.searchParams.set(name, value);
    const turn = ++latest;
    const [answer, page] = await fetchPage(url);
    if (turn !== latest) return;
    if (answer.redirected || !answer.ok || !page.getElementById("results")) return location.assign(url);
    history.replaceState(null, "", url);
    replaceParts(page, "#results");
    if (isBehind(page)) ask(ASK_AGAIN_MILLISECONDS);
  };
  const ask = (milliseconds) => { clearTimeout(timer); timer = setTimeout(update, milliseconds); };
  input.addEventListener("input", () => ask(150));
}

// Sends a form without leaving the page, so that a secret that was typed is there to be mended.
async function sendForm(form, submitter) {
  const body = new URLSearchParams(new FormData(form, submitter));
  submitter?.setAttribute("aria-busy", "true");
  let answer, page;
  try {
    [answer, page] = await fetchPage(form.getAttribute("action") ?? location.href, { method: "POST", body });
  } catch {
    return tellNoAnswer(form, submitter, "The server does not answer.");
  }
  if (answer.redirected) return location.assign(answer.url);
  const main = page.querySelector("main#main");
  if (main === null) return tellNoAnswer(form, submitter, `The server, or a proxy before it, answered ${answer.status}.`);
  const secrets = [...form.querySelectorAll("[data-secret]")].map((field) => [field.id, field.value]);
  enliven(main);
  document.querySelector("main").replaceWith(main);
  document.title = page.title;
  for (const [id, value] of secrets) {
    const field = document.getElementById(id);
    if (field) field.value = value;
  }
  for (const hint of main.querySelectorAll("[data-typed-again]")) hint.remove();
  const result = main.querySelector("#problems, #check-result, #found");
  (result ?? main).scrollIntoView({ block: "nearest" });
  (main.querySelector("#problems, #check-result") ?? main).focus();
}

// While a server starts again, what answers is not it: the form stays as it is, to be sent once more.
function tellNoAnswer(form, submitter, what) {
  submitter?.removeAttribute("aria-busy");
  const note = document.getElementById("no-answer") ?? document.createElement("p");
  Object.assign(note, { id: "no-answer", className: "notice bad", role: "alert", tabIndex: -1 });
  note.textContent = `${what} What you typed is still here: try again in a moment.`;
  form.prepend(note);
  note.focus();
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Selected: press Ctrl-C";
  }
}

// Only a page that is looked at holds a connection. It tells what it shows, so that no change falls
// between the page and its events. The browser comes back by itself where one breaks, and gives up
// at an answer that is no stream: the session has ended, or a proxy has nobody to ask. Then the page
// is asked for, which leads to the sign-in where it must.
const COME_BACK_MILLISECONDS = 5000;

function followChanges() {
  const address = new URL(document.body.dataset.events, location.href);
  let source, opening, asking;
  const ask = (milliseconds) => { clearTimeout(asking); asking = setTimeout(refresh, milliseconds); };
  const refresh = async () => {
    if (document.hidden || !document.querySelector("[data-live]")) return;
    const url = location.href;
    let answer, page;
    try {
      [answer, page] = await fetchPage(url);
    } catch {
      return ask(COME_BACK_MILLISECONDS);
    }
    // The filter may have moved on meanwhile, and this is the list of another one.
    if (location.href !== url) return refresh();
    if (answer.redirected) return location.assign(answer.url);
    if (answer.status >= 500) return ask(COME_BACK_MILLISECONDS);
    if (!answer.ok) return;
    replaceParts(page, "[data-live]");
    address.searchParams.set("since", revisionOf(page));
    if (isBehind(page)) ask(ASK_AGAIN_MILLISECONDS);
  };
  const open = () => {
    source = new EventSource(address);
    source.addEventListener("changed", (event) => { told = event.data; refresh(); });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return;
      opening = setTimeout(open, COME_BACK_MILLISECONDS);
      refresh();
    });
  };
  document.addEventListener("visibilitychange", () => {
    clearTimeout(opening);
    source?.close();
    source = undefined;
    if (!document.hidden) open();
  });
  open();
}

async function loadFile(input) {
  const field = document.getElementById(input.dataset.load);
  const [file] = input.files;
  if (file === undefined) return;
  field.value = await file.text();
  field.focus();
}

document.addEventListener("change", (event) => {
  if (event.target.matches("input[type=file][data-load]")) loadFile(event.target);
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-enhance]")) return;
  event.preventDefault();
  if (!event.target.querySelector("[aria-busy]")) sendForm(event.target, event.submitter);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (button) copy(button);
});

for (const form of document.querySelectorAll("form[data-filter]")) followFilter(form);
if (document.body.dataset.events) followChanges();
enliven(document);
setInterval(() => showTimes(document), 30000);
