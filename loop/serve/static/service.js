// What all pages share: asking the API, the token, notices, polling, small pieces of the page.

const page = document.body.dataset;
export const run = page.run;
export const writable = page.writable === "yes";
export const base = `/api/runs/${encodeURIComponent(run)}`;
const KEY = "stylematte-token";

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

let hide = 0;
export function notice(text) {
  const place = byId("notice");
  place.textContent = text;
  place.classList.add("on");
  clearTimeout(hide);
  hide = setTimeout(() => place.classList.remove("on"), 6000);
}

export async function ask(path, options = {}) {
  const response = await fetch(path, { cache: "no-cache", ...options });
  if (response.status === 401 && !options.method) location.href = "/login";
  if (!response.ok) {
    const said = await response.json().catch(() => ({ detail: response.statusText }));
    throw new Error(said.detail);
  }
  return (response.headers.get("content-type") || "").includes("json") ? response.json() : response.text();
}

export async function write(path, body) {
  const token = sessionStorage.getItem(KEY);
  if (!token) {
    byId("token")?.focus();
    throw new Error("Type the token first, at the top.");
  }
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body ?? {}) });
}

// Calls `look` again and again, `every()` milliseconds apart, and seldom while nobody sees the page.
export function poll(look, every) {
  let timer = 0;
  async function turn() {
    clearTimeout(timer);
    try {
      await look();
      document.body.classList.remove("away");
    } catch (error) {
      if (!document.body.classList.contains("away")) notice(`The service does not answer: ${error.message}`);
      document.body.classList.add("away");
    }
    timer = setTimeout(turn, document.hidden ? 15000 : every());
  }
  document.addEventListener("visibilitychange", () => document.hidden || turn());
  turn();
  return turn;
}

export function clock(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 100) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

const WORDS = { running: "run", stopping: "run", finished: "yes", done: "yes", failed: "no", interrupted: "no" };
export const tag = (state) => element("span", { className: `tag ${WORDS[state] ?? ""}`, textContent: state });

export function cell(head, content, className = "") {
  const made = element("td", { className }, content ?? "");
  made.dataset.h = head;
  return made;
}

function showAccess() {
  const known = sessionStorage.getItem(KEY) !== null;
  byId("token-form").hidden = known;
  byId("unlocked").hidden = !known;
}

if (writable) {
  showAccess();
  byId("token-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, byId("token").value);
    try {
      await write("/api/session");
      byId("token").value = "";
      if (location.pathname === "/login") location.href = "/";
    } catch (error) {
      sessionStorage.removeItem(KEY);
      notice(error.message);
    }
    showAccess();
  });
  byId("lock").addEventListener("click", () => {
    sessionStorage.removeItem(KEY);
    showAccess();
  });
}
