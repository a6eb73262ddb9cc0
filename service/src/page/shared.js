// What the pages of all daemons do alike. Text of the network becomes text nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";
/// Between two questions, and the longest pause while nobody answers.
const PAUSE_MS = 2000;
const LONGEST_MS = 30000;
/// An answer that takes longer is none.
const PATIENCE_MS = 10000;

function make(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "style") {
      for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
    } else if (value !== undefined && value !== false) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== false));
  return element;
}

/** An element of a page. */
export const h = (name, attributes, ...children) => make(document.createElement(name), attributes, children);
/** An element of a drawing. */
export const s = (name, attributes, ...children) => make(document.createElementNS(SVG, name), attributes, children);
export const find = (id) => document.getElementById(id);

/** Gives an element these children, and leaves those alone that did not change: so a selection or a focus in them stays. */
export function put(parent, ...children) {
  const now = children.flat(Infinity).filter((child) => child !== undefined && child !== false);
  now.forEach((child, at) => {
    const old = parent.childNodes[at];
    const node = typeof child === "string" ? document.createTextNode(child) : child;
    if (!old) parent.append(node);
    else if (!old.isEqualNode(node)) old.replaceWith(node);
  });
  while (parent.childNodes.length > now.length) parent.lastChild.remove();
}

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 12,345 */
export const count = (number) => grouped.format(number);

/** Three digits or so: 0.42, 4.2, 42, 1,234. */
export function digits(number) {
  if (number === 0 || number >= 100) return grouped.format(number);
  return number.toFixed(number >= 10 ? 1 : 2).replace(/\.?0+$/, "");
}

/** [value, unit]: ["1.5", "MiB"] */
export function bytesParts(number) {
  let at = 0;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  while (number >= 1024 && at < units.length - 1) [number, at] = [number / 1024, at + 1];
  return [digits(number), units[at]];
}
export const bytes = (number) => bytesParts(number).join(" ");

/** An amount in base units, as whole tokens of eighteen decimals: 1,234.5 */
export function tokens(text) {
  const fraction = text.padStart(19, "0").slice(-18).replace(/0+$/, "");
  const whole = BigInt(text.padStart(19, "0").slice(0, -18)).toLocaleString("en");
  return fraction ? `${whole}.${fraction}` : whole;
}

/** 340 ms, 1.2 s, 3 min, 2 h, 5 d */
export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 120) return `${digits(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

export const percent = (number) => `${digits(number)} %`;
export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
/** With its day, in the time of the reader. */
export const date = (ms) => new Date(ms).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** The begin of an id; all of it for whoever points at it. */
export const id = (text) => h("code", { title: text }, `${text.slice(0, 10)}…`);

export const word = (text, tone) => h("span", { class: `word ${tone ?? ""}` }, text);

/** A number with its name and what belongs to it. `value` is text, or text and unit. */
export function tile(name, value, more, tone) {
  const [number, unit] = Array.isArray(value) ? value : [value];
  return h("div", { class: "tile" },
    h("dt", {}, name),
    h("dd", { class: `value ${tone ?? ""}` }, number, unit && h("small", {}, ` ${unit}`)),
    h("dd", { class: "soft small" }, more));
}

/** A bar of a share in percent, with a mark at what is needed. Beside text that says the number. */
export const share = (part, needed, tone) => h("span", { class: "share", "aria-hidden": "true" },
  h("i", { class: tone, style: { width: `${Math.min(100, part)}%` } }),
  needed !== undefined && h("b", { style: { left: `${needed}%` } }));

/** A table. Columns are [name, class]; rows are lists of what is in a cell. */
export function table(parent, caption, columns, rows) {
  const name = (column) => (Array.isArray(column) ? column : [column, ""]);
  const head = columns.map(name).map(([text, kind]) => h("th", { scope: "col", class: kind || undefined }, text));
  const line = (cells) => h("tr", {}, cells.map((cell, at) => h("td", { class: name(columns[at])[1] || undefined }, cell)));
  let body = parent.querySelector("tbody");
  const kept = parent.querySelector("thead tr");
  if (!body || kept.children.length !== columns.length) {
    body = h("tbody");
    parent.replaceChildren(h("table", { "aria-label": caption }, h("thead", {}, h("tr")), body));
  }
  put(parent.querySelector("thead tr"), head);
  put(body, rows.map(line));
}

/** A step between lines of a grid, so that there are at most four of them: 1, 2 or 5 and zeros of the unit of such a number. */
function step(most, base) {
  const unit = base ** Math.max(0, Math.floor(Math.log(most) / Math.log(base)));
  const tens = 10 ** Math.floor(Math.log10(most / unit / 4));
  return unit * tens * [1, 2, 5, 10].find((times) => most / unit / tens / times <= 4);
}

/**
 * A plot over time. `series` are { name, kind: "a" or "b" }, `points` are { at, values }, one value a series or null. `text` writes a
 * value, in units that are `base` times the next smaller one. It can be read with the pointer, or with the arrow keys.
 */
export class Plot {
  #points = [];
  #chosen = null;

  constructor(parent, title, series, text, base) {
    Object.assign(this, { series, text, base, title });
    this.key = h("ul", { class: "key" });
    this.area = h("div", { class: "plot", tabindex: "0", role: "img" });
    parent.append(h("div", { class: "head" }, h("h2", {}, title), this.key), this.area);
    const choose = (at) => {
      this.#chosen = this.#points.length > 0 ? at : null;
      this.draw();
    };
    this.area.addEventListener("pointermove", (event) => {
      const box = this.area.getBoundingClientRect();
      const at = this.#time(event.clientX - box.left, box.width);
      const away = (point) => Math.abs(point.at - at);
      choose(this.#points.reduce((best, point, i) => (away(point) < away(this.#points[best]) ? i : best), 0));
    });
    this.area.addEventListener("pointerleave", () => choose(null));
    this.area.addEventListener("blur", () => choose(null));
    this.area.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const last = this.#points.length - 1;
      choose(Math.max(0, Math.min(last, (this.#chosen ?? last + 1) + by)));
    });
    new ResizeObserver(() => this.draw()).observe(this.area);
  }

  #time(x, width) {
    return this.until - this.span * (1 - (x - 56) / (width - 60));
  }

  /** What to show: until when, over how many milliseconds. */
  show(points, until, span) {
    Object.assign(this, { until, span });
    this.#points = points.filter((point) => point.at >= until - span);
    if (this.#chosen !== null && this.#chosen >= this.#points.length) this.#chosen = null;
    this.draw();
  }

  draw() {
    const [width, height] = [this.area.clientWidth, 170];
    if (!width || !this.span) return;
    const [left, right, top, bottom] = [56, width - 4, 8, height - 20];
    const highest = Math.max(...this.#points.flatMap((point) => point.values.map((value) => value ?? 0)), 0);
    const size = step(highest || this.base, this.base);
    const most = Math.max(Math.ceil(highest / size) * size, size);
    const x = (at) => right - ((this.until - at) / this.span) * (right - left);
    const y = (value) => bottom - (value / most) * (bottom - top);
    const parts = [];
    for (let value = 0; value <= most + size / 2; value += size) {
      parts.push(s("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }));
      parts.push(s("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, this.text(value)));
    }
    for (const minutes of [0, 1, 2, 3, 4].map((part) => (part * this.span) / 240000)) {
      const at = this.until - minutes * 60000;
      const anchor = minutes === 0 ? "end" : x(at) < left + 20 ? "start" : "middle";
      parts.push(s("text", { x: x(at), y: height - 4, "text-anchor": anchor }, minutes ? `−${digits(minutes)} min` : "now"));
    }
    this.series.forEach(({ kind }, at) => {
      let [line, under, run] = ["", "", []];
      const end = () => {
        if (run.length === 0) return;
        const path = run.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`);
        // A single value is a dot: a line of no length with round ends.
        line += `M${path.join("L")}${run.length === 1 ? "h0.01" : ""}`;
        under += `M${run[0][0].toFixed(1)},${bottom}L${path.join("L")}V${bottom}Z`;
        run = [];
      };
      for (const point of this.#points) {
        const value = point.values[at];
        if (value === null) end();
        else run.push([x(point.at), y(value)]);
      }
      end();
      if (kind === "a") parts.push(s("path", { class: "under", d: under }));
      parts.push(s("path", { class: kind, d: line }));
    });
    const shown = this.#points[this.#chosen ?? this.#points.length - 1];
    if (this.#chosen !== null) {
      parts.push(s("line", { class: "cursor", x1: x(shown.at), x2: x(shown.at), y1: top, y2: bottom }));
    }
    const values = shown?.values.map((value) => (value === null ? "–" : this.text(value))) ?? [];
    const key = this.series.map(({ name, kind }, at) => h("li", {}, h("i", { class: kind }), `${name} `, h("strong", {}, values[at] ?? "–")));
    put(this.key, this.#chosen !== null && h("li", {}, clock(shown.at)), key);
    this.area.setAttribute("aria-label", `${this.title}: ${this.key.innerText.replaceAll("\n", ", ")}`);
    put(this.area, s("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, parts));
  }
}

const STATES = {
  ready: ["Ready", "good"],
  degraded: ["Degraded", "warn"],
  opening: ["Opening", ""],
  stopping: ["Stopping", ""],
};

const reasons = (list) => h("dl", { class: "reasons" },
  list.map(({ code, message }) => [h("div", {}, h("dt", { class: "code" }, code), h("dd", {}, message))]));

/** The state in a word at the top, and why. `halted` is what a daemon does not do that is not ready. */
function showHealth(health, ready, halted) {
  const state = find("state");
  const box = find("trouble");
  if (!health) {
    state.className = "word bad";
    put(state, "No answer");
    put(box, h("div", { class: "card bad" }, h("h2", {}, "It does not answer"),
      h("p", { class: "small" }, "What is below is what it said last. This page goes on asking.")));
    return;
  }
  const [text, tone] = STATES[health.status] ?? [health.status, "warn"];
  const halts = health.status === "degraded" && ready?.ready === false;
  state.className = `word ${halts ? "bad" : tone}`;
  put(state, halts ? `${text}: ${halted}` : text);
  put(box,
    health.reasons.length > 0 && h("div", { class: `card ${halts ? "bad" : "warn"}` },
      h("h2", {}, halts ? `Why it ${halted}` : "Why it is degraded"), reasons(health.reasons)),
    health.notices.length > 0 && h("div", { class: "card" }, h("h2", {}, "To know"), reasons(health.notices)));
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-cache" });
  // Who is not well says so with 503 and the reasons.
  const reports = path === "v1/health" || path === "v1/ready";
  return answer.ok || reports ? await answer.json() : undefined;
}

/**
 * Asks a daemon how it is, and for what is at `paths` ({ name: path }), as long as somebody looks; gives `show` the answers by name,
 * undefined for those that did not come. One question at a time, later while nobody answers.
 */
export async function follow(paths, halted, show) {
  let failures = 0;
  for (;;) {
    if (document.hidden) {
      await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
      continue;
    }
    const all = Object.entries({ health: "v1/health", ready: "v1/ready", ...paths });
    const answers = await Promise.all(all.map(([, path]) => ask(path).catch(() => undefined)));
    const named = Object.fromEntries(all.map(([name], at) => [name, answers[at]]));
    failures = named.health ? 0 : failures + 1;
    document.querySelector("main").classList.toggle("stale", failures > 0);
    try {
      showHealth(named.health, named.ready, halted);
      show(named);
    } catch (error) {
      console.error(error); // the next answers may be such that they can be shown
    }
    await new Promise((later) => setTimeout(later, Math.min(PAUSE_MS * 2 ** failures, LONGEST_MS)));
  }
}
