// One run: what it does now, its rounds, the parts of its report; steering.
import { ask, base, byId, cell, clock, element, notice, poll, tag, writable, write } from "./service.js";

let version = null;
let state = "";
const BUSY = ["running", "stopping"];

function showNow(found) {
  state = found.state;
  const live = found.live;
  const word = found.pending === "pause" ? "pausing after this stage" : found.pending === "stop" ? "stopping" : state;
  const label = tag(word);
  label.id = "state";
  byId("state").replaceWith(label);
  const share = live && live.total ? live.finished / live.total : 0;
  byId("progress").firstElementChild.style.width = `${100 * share}%`;
  byId("progress").setAttribute("aria-valuemax", live?.total ?? 1);
  byId("progress").setAttribute("aria-valuenow", live?.finished ?? 0);
  byId("count").textContent = live ? counted(live) : "Its loop has written no record yet.";
  byId("steps-now").replaceChildren(...(live?.steps ?? []).map(stepNow));
  byId("messages").replaceChildren(...(live?.messages ?? []).slice(-2).map((text) => element("p", { className: "soft", textContent: text })));
  if (writable) allow();
}

function counted(live) {
  const left = live.left === null || !BUSY.includes(state) ? "" : `, about ${clock(live.left)} left`;
  const without = left && live.unmeasured.length ? " without what was never measured" : "";
  return `${live.finished} of ${live.total} steps done${left}${without}`;
}

function stepNow(step) {
  const share = step.total ? step.done / step.total : 0;
  const parts = [step.total ? `${step.phase} ${step.done} of ${step.total}`.trim() : "at work", `for ${clock(step.seconds)}`];
  if (step.speed) parts.push(`${step.speed.toPrecision(2)}/s`);
  if (step.left !== null) parts.push(`${clock(step.left)} left`);
  if (step.memory) parts.push(`${(step.memory / 1e9).toFixed(1)} GB`);
  if (step.gpu_memory) parts.push(`${(step.gpu_memory / 1e9).toFixed(1)} GB of GPU`);
  const bar = element("div", { className: "progress" }, element("i"));
  bar.firstElementChild.style.width = `${100 * share}%`;
  return element("div", { className: "step" }, element("b", { textContent: step.step }), ` ${parts.join(", ")}`, bar);
}

function allow() {
  const busy = BUSY.includes(state);
  for (const button of document.querySelectorAll("[data-action]"))
    button.disabled = ["pause", "stop"].includes(button.dataset.action) ? !busy : busy || (button.dataset.action === "start") !== ["idle"].includes(state);
  byId("rollback").querySelector("button").disabled = busy || !byId("rollback").elements.round.options.length;
}

function roundLine(round, found) {
  const sads = Object.entries(round.scores).map(([domain, score]) => `${domain} SAD ${score.SAD?.toPrecision(4) ?? "–"}`);
  const pairs = Object.entries(round.pairs).map(([domain, sieve]) => `${domain} ${sieve.kept} of ${sieve.total} pairs kept`);
  const word = round.accepted === null ? "under way" : round.accepted ? "accepted" : "refused";
  const line = element("li", { className: round.accepted === null ? "" : round.accepted ? "yes" : "no" });
  const label = element("span", { className: `tag ${line.className}`, textContent: word });
  line.append(element("b", { textContent: `Round ${round.round} ` }), label, round.round === found.best_round ? " best" : "");
  for (const text of [sads.join(", "), pairs.join(", "), round.reason]) if (text) line.append(element("br"), text);
  line.dataset.round = round.round;
  return line;
}

function showOverview(found) {
  byId("rounds-now").replaceChildren(...found.rounds.map((round) => roundLine(round, found)));
  const row = (step) => element("tr", {}, cell("Step", step.step), cell("State", step.state), cell("Took", clock(step.seconds), "n"));
  byId("plan").replaceChildren(...found.steps.map(row));
  const line = ({ at, by, action, ...rest }) => `${at.replace("T", " ").slice(0, 19)} ${by}: ${action} ${Object.entries(rest).map(([name, value]) => `${name}=${value}`).join(", ")}`;
  byId("audit").replaceChildren(...found.audit.map((each) => element("li", { textContent: line(each) })));
  if (!writable) return;
  const over = found.rounds.filter((round) => round.accepted !== null).slice(0, -1);
  const chosen = byId("rollback").elements.round;
  if (document.activeElement !== chosen) chosen.replaceChildren(...over.map(({ round }) => new Option(round, round)));
  allow();
}

// A part's text is asked for when it comes near the window, and again when it has changed.
const wanted = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => fill(target)), { rootMargin: "600px" });

async function fill(place) {
  const { digest, shown, anchor } = place.dataset;
  if (digest === shown) return;
  place.dataset.shown = digest;
  try {
    const open = [...place.querySelectorAll("details")].map((each) => each.open);
    const made = document.createRange().createContextualFragment(await ask(`${base}/parts/${anchor}?v=${digest}`, { cache: "default" }));
    place.replaceChildren(made);
    const now = place.querySelectorAll("details");
    if (open.length === now.length) now.forEach((each, index) => { each.open = open[index]; });
  } catch (error) {
    place.dataset.shown = "";
  }
}

function showParts({ lead, parts }) {
  byId("lead").innerHTML = lead;
  const places = new Map([...byId("parts").children].map((place) => [place.dataset.anchor, place]));
  byId("parts").replaceChildren(...parts.map(({ anchor, title, digest }) => {
    const place = places.get(anchor) ?? element("div", { className: "part", id: `part-${anchor}` }, element("section", { className: "wait" }, element("h2", { textContent: title })));
    place.dataset.anchor = anchor;
    place.dataset.digest = digest;
    return place;
  }));
  byId("jump").replaceChildren(...parts.map(({ anchor, title }) => element("a", { href: `#part-${anchor}`, textContent: title })));
  for (const place of byId("parts").children) {
    wanted.unobserve(place);
    wanted.observe(place);
  }
}

async function look() {
  const found = await ask(`${base}/live`);
  showNow(found);
  if (found.version === version) return;
  const [overview, parts] = await Promise.all([ask(base), ask(`${base}/parts`)]);
  showOverview(overview);
  showParts(parts);
  version = found.version;
}

const again = poll(look, () => (BUSY.includes(state) ? 1000 : 2000));

async function act(body) {
  try {
    notice((await write(`${base}/actions`, body)).detail);
  } catch (error) {
    notice(error.message);
  }
  await again();
}

if (writable) {
  for (const button of document.querySelectorAll("[data-action]"))
    button.addEventListener("click", () => act({ action: button.dataset.action, redo: byId("redo").checked }));
  byId("rollback").addEventListener("submit", (event) => {
    event.preventDefault();
    const round = Number(byId("rollback").elements.round.value);
    if (confirm(`Keep what came after round ${round} aside? The run draws it anew when it goes on.`)) act({ action: "rollback", round });
  });
}
