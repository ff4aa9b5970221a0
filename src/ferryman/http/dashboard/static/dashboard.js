// What HTML and htmx cannot do alone: when to refresh, keys, colours, copying, selecting.
"use strict";

const $ = (selector) => document.querySelector(selector);
const $$ = (selector) => [...document.querySelectorAll(selector)];
const kept = {
  get: (name) => { try { return localStorage.getItem(`ferryman-${name}`); } catch { return null; } },
  set: (name, value) => { try { localStorage.setItem(`ferryman-${name}`, value); } catch { /* as well */ } },
};

// -- refreshing: by the clock and by events, unless someone reads in peace or nobody looks --------

const SOONEST = 150; // milliseconds between two refreshes that events ask for
let last = 0;
let planned = null;

const live = () => kept.get("live") !== "off" && !document.hidden && !$("dialog[open]");

function refresh() {
  clearTimeout(planned);
  planned = null;
  last = Date.now();
  if (live()) htmx.trigger($("#main"), "refresh");
}

function refreshSoon() {
  planned ??= setTimeout(refresh, Math.max(0, last + SOONEST - Date.now()));
}

let stream = null; // of the job that is looked at, until it has ended

function follow() {
  const address = $("#main").dataset.stream;
  if (!address) {
    stream?.close();
    stream = null;
  } else if (stream === null) {
    stream = new EventSource(address);
    for (const kind of ["state", "progress", "log", "reset"]) stream.addEventListener(kind, refreshSoon);
  }
}

function answered(event) {
  const { response } = event.detail.ctx;
  if (response.raw.redirected) location.reload(); // the sign-in ran out
  const well = response.status === 200;
  $("#lost").hidden = well;
  if (!well) event.preventDefault();
}

function showLive() {
  const on = kept.get("live") !== "off";
  $("#live").setAttribute("aria-pressed", on);
  $("#live").textContent = on ? "Live" : "Not live";
}

function toggleLive() {
  kept.set("live", kept.get("live") === "off" ? "on" : "off");
  showLive();
  refresh();
}

// -- colours --------------------------------------------------------------------------------------

const THEMES = ["system", "light", "dark"];

function showTheme() {
  const theme = kept.get("theme") ?? "system";
  $("#theme").textContent = `Theme: ${theme}`;
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  document.dispatchEvent(new Event("ferryman:theme"));
}

function nextTheme() {
  kept.set("theme", THEMES[(THEMES.indexOf(kept.get("theme") ?? "system") + 1) % THEMES.length]);
  showTheme();
}

// -- rows: keyboard and selection -----------------------------------------------------------------

let row = null; // the id of the row where the keyboard is

function step(by) {
  const rows = $$("[data-row]");
  const at = rows.findIndex((one) => one.id && one.id === row);
  const next = rows[Math.min(rows.length - 1, Math.max(0, at + by))];
  if (!next) return;
  row = next.id;
  mark();
  (next.querySelector("a") ?? next.querySelector("button, input"))?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function mark() {
  for (const one of $$("[data-row]")) one.toggleAttribute("data-here", one.id !== "" && one.id === row);
}

function select(one) {
  const box = one && document.getElementById(one)?.querySelector("input[name=id]");
  if (box) box.checked = !box.checked;
  showSelection();
}

function showSelection() {
  const boxes = $$("input[name=id]");
  const count = boxes.filter((box) => box.checked).length;
  for (const button of $$("[data-selected]")) button.disabled = count === 0;
  if ($("#selected")) $("#selected").textContent = count ? `${count} selected` : "";
  if ($("#all")) {
    $("#all").checked = count > 0 && count === boxes.length;
    $("#all").indeterminate = count > 0 && count < boxes.length;
  }
}

// -- keys -----------------------------------------------------------------------------------------

const KEYS = {
  "/": () => $("#search")?.focus(),
  "?": () => $("#help").showModal(),
  j: () => step(1),
  k: () => step(-1),
  x: () => select(row),
  u: () => $("#live") && toggleLive(),
  t: () => $("#theme") && nextTheme(),
};

function pressed(event) {
  const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select");
  if (event.key === "Escape" && typing) typing.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  if (event.key === "Enter" && event.target === document.body && row) {
    document.getElementById(row)?.querySelector("a")?.click();
  }
  if (!Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
}

async function copy(button) {
  const text = button.dataset.copyText ?? document.getElementById(button.dataset.copy).textContent;
  const label = button.innerHTML;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "The browser does not allow it";
  }
  setTimeout(() => { button.innerHTML = label; }, 1500);
}

function clicked(event) {
  const button = event.target.closest?.("button");
  if (!button) return;
  if (button.id === "live") toggleLive();
  else if (button.id === "theme") nextTheme();
  else if (button.id === "help-open") $("#help").showModal();
  else if (button.id === "help-close") $("#help").close();
  else if ("copy" in button.dataset || "copyText" in button.dataset) copy(button);
}

function changed(event) {
  if (event.target.id === "all") for (const box of $$("input[name=id]")) box.checked = event.target.checked;
  if (event.target.id === "all" || event.target.name === "id") showSelection();
}

document.addEventListener("click", clicked);
document.addEventListener("change", changed);
document.addEventListener("keydown", pressed);
document.addEventListener("visibilitychange", () => last && !document.hidden && refreshSoon());
document.addEventListener("htmx:before:response", answered);
document.addEventListener("htmx:error", () => { $("#lost").hidden = false; });
document.addEventListener("htmx:after:swap", () => { mark(); showSelection(); follow(); });
addEventListener("pagehide", () => stream?.close());
document.addEventListener("DOMContentLoaded", () => {
  const main = $("#main");
  if ($("#live")) { showLive(); showTheme(); }
  showSelection();
  if (main.dataset.every) setInterval(refresh, main.dataset.every * 1000);
  follow();
});
