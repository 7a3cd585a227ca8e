// Values of the curves under the pointer, or under the arrow keys. Without it the page shows the same curves.
for (const svg of document.querySelectorAll("svg[data-frame]")) {
  const [left, right, top, bottom, x0, x1] = svg.dataset.frame.split(" ").map(Number);
  const lines = [...svg.querySelectorAll("polyline")].map((line) => ({
    label: line.querySelector("title").textContent,
    colour: line.getAttribute("class"),
    xs: line.dataset.x.split(" ").map(Number),
    ys: line.dataset.y.split(" "),
  }));
  const all = [...new Set(lines.flatMap((line) => line.xs))].sort((a, b) => a - b);
  let at = -1, cursor = null, tip = null;

  const hide = () => { at = -1; cursor?.remove(); tip?.remove(); cursor = tip = null; };

  const show = (index) => {
    if (index === at) return;
    hide();
    at = index;
    const x = all[index], across = left + ((x - x0) / (x1 - x0)) * (right - left);
    cursor = document.createElementNS(svg.namespaceURI, "line");
    for (const [name, value] of Object.entries({class: "cursor", x1: across, x2: across, y1: top, y2: bottom}))
      cursor.setAttribute(name, value);
    svg.append(cursor);
    tip = document.createElement("div");
    tip.className = "tip";
    tip.setAttribute("role", "status");
    const head = document.createElement("b");
    head.textContent = `${svg.dataset.axis} ${x}`;
    tip.append(head);
    for (const line of lines) {
      const nearest = line.xs.reduce((best, each, k) => (Math.abs(each - x) < Math.abs(line.xs[best] - x) ? k : best), 0);
      const reach = 1.5 * (line.xs.at(-1) - line.xs[0]) / Math.max(1, line.xs.length - 1);
      if (Math.abs(line.xs[nearest] - x) > reach) continue;
      const row = document.createElement("div"), swatch = document.createElement("i");
      swatch.className = line.colour.replace("line", "swatch");
      row.append(swatch, `${line.label}: ${line.ys[nearest]}`);
      tip.append(row);
    }
    svg.parentElement.append(tip);
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width, middle = across * scale;
    const wide = tip.offsetWidth, whole = svg.parentElement.clientWidth;
    tip.style.left = `${Math.max(0, Math.min(whole - wide, middle + 10 + wide > whole ? middle - wide - 10 : middle + 10))}px`;
  };

  const follow = (event) => {
    const box = svg.getBoundingClientRect();
    const across = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const x = x0 + ((across - left) / (right - left)) * (x1 - x0);
    show(all.reduce((best, each, k) => (Math.abs(each - x) < Math.abs(all[best] - x) ? k : best), 0));
  };
  svg.addEventListener("pointermove", follow);
  svg.addEventListener("pointerdown", follow);
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const move = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (event.key === "Escape") hide();
    if (!move) return;
    event.preventDefault();
    show(Math.max(0, Math.min(all.length - 1, at < 0 ? (move > 0 ? 0 : all.length - 1) : at + move)));
  });
}
