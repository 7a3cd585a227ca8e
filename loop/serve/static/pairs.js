// Review of pairs: a grid of which only what is seen is in the page, however many there are; driven by keys.
import { ask, base, byId, element, notice, writable, write } from "./service.js";

const PAGE = 200; // pairs that are asked for at once
const SMALLEST = 132; // pixels of a cell
const REASONS = ["not the subject", "torn or cut", "poor alpha", "artefacts", "twin of another"];
const form = byId("choose").elements;
const grid = byId("grid");
const floor = element("div");
grid.append(floor);

let total = 0, columns = 1, side = SMALLEST, at = 0, kind = "cutout", picturesOf = "", epoch = 0;
let pages = new Map(); // number of a page -> its pairs, or the promise of them
let cells = new Map(); // index -> its element

function query(more) {
  return new URLSearchParams({ round: form.round.value, domain: form.domain.value, ...more });
}

async function pageOf(index) {
  const number = Math.floor(index / PAGE);
  if (!pages.has(number)) {
    const mine = epoch;
    pages.set(number, ask(`${base}/pairs?${query({ show: form.show.value, offset: number * PAGE, limit: PAGE })}`).then((found) => {
      if (mine !== epoch) return [];
      total = found.total;
      picturesOf = found.version;
      showCounts(found.counts);
      pages.set(number, found.pairs);
      return found.pairs;
    }));
  }
  return pages.get(number);
}

const known = (index) => { const page = pages.get(Math.floor(index / PAGE)); return Array.isArray(page) ? page[index % PAGE] : undefined; };

function showCounts(counts) {
  byId("counts").textContent = `${counts.all} pairs: ${counts.kept} kept, ${counts.refused} refused, ${counts.reviewed} reviewed by hand`;
}

async function reload() {
  epoch += 1;
  pages = new Map();
  at = 0;
  grid.scrollTop = 0;
  total = 0;
  clear();
  try {
    await pageOf(0);
  } catch (error) {
    byId("counts").textContent = error.message;
  }
  layOut();
}

function clear() {
  for (const cell of cells.values()) cell.remove();
  cells = new Map();
}

function layOut() {
  columns = Math.max(2, Math.floor(grid.clientWidth / SMALLEST));
  side = grid.clientWidth / columns;
  floor.style.height = `${Math.ceil(total / columns) * rowHeight()}px`;
  clear();
  draw();
}

const rowHeight = () => side + 22;

function draw() {
  const first = Math.max(0, Math.floor(grid.scrollTop / rowHeight()) - 2) * columns;
  const last = Math.min(total, (Math.ceil((grid.scrollTop + grid.clientHeight) / rowHeight()) + 2) * columns);
  for (const [index, cell] of cells) {
    if (index < first || index >= last) {
      cell.remove();
      cells.delete(index);
    }
  }
  for (let index = first; index < last; index += 1) if (!cells.has(index)) add(index);
}

function add(index) {
  const cell = element("div", { className: "cell", id: `pair-${index}` });
  cell.setAttribute("role", "option");
  cell.setAttribute("aria-setsize", total);
  cell.setAttribute("aria-posinset", index + 1);
  Object.assign(cell.style, { width: `${side}px`, left: `${(index % columns) * side}px`, top: `${Math.floor(index / columns) * rowHeight()}px` });
  cell.addEventListener("click", () => { grid.focus({ preventScroll: true }); move(index); });
  cells.set(index, cell);
  grid.append(cell);
  const pair = known(index);
  if (pair) paint(index, pair);
  else pageOf(index).then(() => { if (cells.get(index) === cell && known(index)) paint(index, known(index)); }, () => {});
}

const isIn = (pair) => pair.review?.kept ?? pair.kept ?? true;
const reasonOf = (pair) => pair.review ? (pair.review.kept ? "accepted by hand" : `refused by hand: ${pair.review.reason}`) : pair.reason ?? (pair.kept === null ? "not decided yet" : `disagreement ${pair.disagreement}`);

function paint(index, pair) {
  const cell = cells.get(index);
  if (!cell) return;
  const source = `${base}/pictures?${query({ id: pair.id, kind, side: 192, v: picturesOf })}`;
  if (!cell.firstChild) cell.append(element("img", { alt: "", decoding: "async" }), element("small"), element("span", { className: "tag mark" }));
  const [picture, text, mark] = cell.children;
  if (picture.getAttribute("src") !== source) picture.src = source;
  text.textContent = reasonOf(pair);
  mark.hidden = !pair.review;
  mark.className = `tag mark ${pair.review?.kept ? "yes" : "no"}`;
  mark.textContent = pair.review?.kept ? "accepted" : "refused";
  cell.classList.toggle("out", !isIn(pair));
  cell.classList.toggle("at", index === at);
  cell.setAttribute("aria-selected", index === at);
  cell.setAttribute("aria-label", `${pair.id}: ${isIn(pair) ? "kept" : "refused"}, ${reasonOf(pair)}`);
  if (index === at) tell(pair);
}

function tell(pair) {
  grid.setAttribute("aria-activedescendant", `pair-${at}`);
  byId("detail").textContent = `${at + 1} of ${total} · ${pair.id} · ${isIn(pair) ? "kept" : "refused"} · ${reasonOf(pair)}`;
}

async function move(index) {
  const before = at;
  at = Math.min(Math.max(index, 0), Math.max(total - 1, 0));
  const top = Math.floor(at / columns) * rowHeight();
  if (top < grid.scrollTop) grid.scrollTop = top;
  if (top + rowHeight() > grid.scrollTop + grid.clientHeight) grid.scrollTop = top + rowHeight() - grid.clientHeight;
  draw();
  if (known(before)) paint(before, known(before));
  await pageOf(at);
  if (known(at)) paint(at, known(at));
}

async function decide(decision, reason = "") {
  const index = at, pair = known(index), mine = epoch;
  if (!pair) return;
  try {
    const body = { round: Number(form.round.value), domain: form.domain.value, id: pair.id, decision, reason };
    const { review } = await write(`${base}/reviews`, body);
    if (mine !== epoch) return;
    pair.review = review;
    paint(index, pair);
    if (decision !== "clear" && at === index) move(index + 1);
    const { counts } = await ask(`${base}/pairs?${query({ show: form.show.value, limit: 1 })}`);
    showCounts(counts);
  } catch (error) {
    notice(error.message);
  }
}

const STEPS = { ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: () => -columns, ArrowDown: () => columns, j: () => 1, k: () => -1, PageDown: () => 5 * columns, PageUp: () => -5 * columns };

grid.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { key } = event, low = key.toLowerCase();
  if (STEPS[key]) move(at + STEPS[key]());
  else if (key === "Home") move(0);
  else if (key === "End") move(total - 1);
  else if (low === "a" && writable) decide("accept");
  else if (low === "r" && writable) decide("refuse", form.reason.value);
  else if (low === "u" && writable) decide("clear");
  else if (/^[1-5]$/.test(key) && writable) decide("refuse", REASONS[Number(key) - 1]);
  else if (low === "v") { kind = kind === "cutout" ? "alpha" : "cutout"; for (const index of cells.keys()) if (known(index)) paint(index, known(index)); }
  else return;
  event.preventDefault();
});
for (const button of document.querySelectorAll("[data-decide]"))
  button.addEventListener("click", () => decide(button.dataset.decide, button.dataset.decide === "refuse" ? form.reason.value : ""));
grid.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
new ResizeObserver(layOut).observe(grid);

async function begin() {
  form.reason.replaceChildren(...REASONS.map((reason, index) => new Option(`${index + 1} ${reason}`, reason)));
  const found = await ask(base);
  const rounds = found.rounds.filter(({ round }) => round > 0).map(({ round }) => round).reverse();
  form.round.replaceChildren(...rounds.map((round) => new Option(round, round)));
  form.domain.replaceChildren(...found.domains.map((domain) => new Option(domain, domain)));
  for (const name of ["round", "domain", "show"]) form[name].addEventListener("change", reload);
  if (!rounds.length) byId("counts").textContent = "No round has drawn pairs yet.";
  else await reload();
  grid.focus({ preventScroll: true });
}

begin().catch((error) => notice(error.message));
