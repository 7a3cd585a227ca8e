// The list of runs, and the queue.
import { ask, byId, cell, clock, element, notice, poll, tag, writable, write } from "./service.js";

const link = (name) => element("a", { href: `/runs/${encodeURIComponent(name)}`, textContent: name });

function runRow(run) {
  const verdict = run.verdict ? `round ${run.verdict.round} ${run.verdict.accepted ? "accepted" : "refused"}` : "";
  const steps = run.total === null ? "" : `${run.finished} of ${run.total}`;
  return element("tr", {}, cell("Run", link(run.run)), cell("State", tag(run.state)), cell("Steps", steps, "n"),
    cell("Now", run.steps.join(", ")), cell("Left", clock(run.left), "n"), cell("Last verdict", verdict));
}

function jobRow(job, known) {
  const cancel = element("button", { type: "button", textContent: job.state === "running" ? "Stop" : "Cancel" });
  cancel.setAttribute("aria-label", `${cancel.textContent} job ${job.id}`);
  cancel.addEventListener("click", () => act(`/api/queue/${job.id}/cancel`));
  const active = writable && ["waiting", "running"].includes(job.state);
  return element("tr", {}, cell("Job", String(job.id)), cell("Run", known.has(job.run) ? link(job.run) : job.run),
    cell("State", tag(job.state)), cell("Priority", String(job.priority), "n"), cell("Devices", job.devices.join(", ")),
    cell("What became of it", job.message, "why"), cell("", active ? cancel : ""));
}

let shown = "";
async function look() {
  const [{ runs }, queue] = await Promise.all([ask("/api/runs"), ask("/api/queue")]);
  const text = JSON.stringify([runs, queue]);
  if (text === shown || byId("jobs").contains(document.activeElement)) return;
  shown = text;
  byId("runs").replaceChildren(...runs.map(runRow));
  byId("no-runs").hidden = runs.length > 0;
  byId("devices").textContent = queue.devices.join(", ");
  const known = new Set(runs.map((run) => run.run));
  byId("jobs").replaceChildren(...queue.jobs.map((job) => jobRow(job, known)));
}

const again = poll(look, () => 1500);

async function act(path, body) {
  try {
    const done = await write(path, body);
    notice(done.detail ?? `Job ${done.id} is in the queue.`);
    document.activeElement?.blur();
    await again();
    return true;
  } catch (error) {
    notice(error.message);
    return false;
  }
}

if (writable) {
  const form = byId("submit");
  ask("/api/configs").then(({ configs }) =>
    form.elements.config.replaceChildren(...configs.map((name) => new Option(name, name))));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { run, config, words, priority } = form.elements;
    const given = words.value.split("\n").map((line) => line.trim()).filter(Boolean);
    const body = { run: run.value, config: config.value, words: given, priority: Number(priority.value) };
    if (await act("/api/queue", body)) form.reset();
  });
}
