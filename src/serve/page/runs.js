/* runs.js - recorded runs: the list, and one run with its accuracy against what it spent. */
import { count, dollars, element, seconds, svg, $ } from "./show.js";

const selections = ["majority", "weighted", "best", "confident", "confident-low", "confident-high", "coverage"];
const axes = {
  samples: ["samples", (p) => p.samples, "samples a problem"],
  tokens: ["generated tokens", (p) => p.spend && p.spend.tokens_generated, "tokens that were generated, a problem"],
  flop: ["FLOP", (p) => p.spend && p.spend.flops_policy + p.spend.flops_reward, "FLOP a problem"],
};
let axis = "samples", n_asked = 0;

async function get(path, key) {
  const reply = await fetch(path, { headers: key ? { Authorization: "Bearer " + key } : {} });
  if (reply.ok) return reply.json();
  let says = "";
  try { says = (await reply.json()).error.message; } catch { /* the status says it */ }
  throw new Error(says || "the server answers with status " + reply.status);
}

export async function show_runs(name, key) {
  const mine = ++n_asked;
  try {
    const { runs } = await get("/api/runs", key);
    if (mine !== n_asked) return;
    list(runs, name);
    $("run").hidden = true;
    if (!name) return;
    const report = await get("/api/runs/" + encodeURIComponent(name), key);
    if (mine === n_asked) show_run(name, report.runs[0]);
  } catch (e) {
    if (mine === n_asked) $("runs-says").textContent = e.message;
  }
}

function list(runs, name) {
  $("runs-box").hidden = runs.length === 0;
  $("runs-says").textContent = runs.length ? "Recorded with brood bench, newest first."
    : "There are none: start the server with --runs FOLDER, a folder with the runs (*.brood) of brood bench.";
  $("runs-rows").replaceChildren(...runs.map((r) => {
    const tr = element("tr", {}), th = element("th", { scope: "row", className: "q" });
    const date = new Date(r.modified * 1000);
    if (r.error) th.append(element("span", {}, r.name));
    else th.append(element("a", { href: "#runs/" + encodeURIComponent(r.name) }, r.name));
    tr.append(th);
    if (r.error) tr.append(element("td", { colSpan: 4, className: "says" }, r.error));
    else for (const text of [r.task, r.policy, r.strategy.split(":")[0], r.done === r.problems ? r.problems : r.done + " of " + r.problems])
      tr.append(element("td", {}, text));
    tr.append(element("td", {}, date.toLocaleDateString() + " " + date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })));
    if (r.name === name) tr.setAttribute("aria-current", "true");
    return tr;
  }));
}

const percent = (x) => (100 * x).toFixed(1);

function show_run(name, r) {
  $("run").hidden = false;
  $("run-title").textContent = name;
  $("run-facts").textContent = r.task + ", " + r.done + (r.done < r.problems ? " of " + r.problems : "") + " problems; policy " + r.policy +
    (r.reward ? "; reward model " + r.reward + ", aggregate " + r.aggregate : "") + "; answers chosen by " + r.select;
  const body = $("run-body"), how = element("code", {}, r.strategy);
  const paragraph = element("p", {});
  paragraph.append(how);
  body.replaceChildren(paragraph);
  const lines = selections.filter((s) => r.curves[s] && r.curves[s].length > 0).map((s) => ({ name: s, points: r.curves[s] }));
  if (lines.length) body.append(tabs(lines), chart_box(lines), legend(lines), table(lines));
  if (r.levels && r.levels.length > 1) body.append(element("h3", {}, "By level"), levels(r, lines));
  body.append(element("h3", {}, "What it cost, a problem"), costs(r));
  $("run-title").focus({ preventScroll: true });
  $("run").scrollIntoView({ block: "nearest" });
}

/* ---- the chart ---- */

function tabs(lines) {
  const box = element("div", { className: "tabs" });
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Against what");
  for (const id of Object.keys(axes)) {
    const button = element("button", { type: "button" }, axes[id][0]);
    button.setAttribute("aria-pressed", String(id === axis));
    button.onclick = () => {
      axis = id;
      for (const b of box.children) b.setAttribute("aria-pressed", String(b === button));
      box.parentNode.querySelector(".figure").replaceWith(chart_box(lines));
    };
    box.append(button);
  }
  return box;
}

function chart_box(lines) {
  const box = element("div", { className: "figure" });
  box.append(chart(lines, axes[axis][1], axes[axis][2]));
  return box;
}

/* Accuracy upwards, in steps of ten; spend to the right, as logarithms. */
function chart(lines, spend, title) {
  const W = 760, H = 380, left = 62, right = 16, top = 14, bottom = 54;
  const points = lines.flatMap((l) => l.points.map((p) => ({ x: spend(p), ...p.accuracy }))).filter((p) => p.x > 0);
  const root = svg("svg", { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img",
    "aria-label": "Share of problems answered right against " + title + "; the table below has the numbers" });
  if (points.length === 0) return root;
  const least = Math.min(...points.map((p) => p.low)), most = Math.max(...points.map((p) => p.high));
  const step = most - least > 0.45 ? 0.2 : 0.1, floor = (v) => Math.floor(v / step + 1e-9) * step;
  const low = Math.max(0, floor(least)), high = Math.min(1, Math.max(low + step, -floor(-most)));
  let from = Math.log2(Math.min(...points.map((p) => p.x))), to = Math.log2(Math.max(...points.map((p) => p.x)));
  if (to - from < 1) { from -= 1; to += 1; }
  const x = (v) => left + (W - left - right) * (Math.log2(v) - from) / (to - from);
  const y = (v) => H - bottom - (H - top - bottom) * (v - low) / (high - low);
  for (let v = low; v < high + 1e-9; v += step) {
    root.append(svg("line", { class: v === low ? "axis" : "grid", x1: left, x2: W - right, y1: y(v), y2: y(v) }),
      svg("text", { class: "y", x: left - 8, y: y(v) + 4 }, Math.round(100 * v) + (v + step > high + 1e-9 ? " %" : "")));
  }
  for (const v of ticks(from, to)) root.append(svg("text", { class: "x", x: x(v), y: H - bottom + 20 }, count(v)));
  root.append(svg("text", { class: "x", x: (left + W - right) / 2, y: H - 8 }, title));
  lines.forEach((l, i) => root.append(line(l.points.filter((p) => spend(p) > 0), (p) => x(spend(p)), y, i)));
  return root;
}

function ticks(from, to) {
  const all = [], step = Math.max(1, Math.ceil((to - from) / 7));
  if (axis === "samples") {
    for (let k = Math.ceil(from - 1e-9); k <= to + 1e-9; k += step) all.push(2 ** k);
    return all;
  }
  for (let k = Math.floor(from / Math.log2(10)); k <= to / Math.log2(10); k++)
    for (const m of [1, 2, 5]) if (Math.log2(m * 10 ** k) >= from - 1e-9 && Math.log2(m * 10 ** k) <= to + 1e-9) all.push(m * 10 ** k);
  return all;
}

function line(points, x, y, i) {
  const g = svg("g", { class: "s" + i });
  const path = (key, list) => list.map((p, k) => (k ? "L" : "M") + x(p).toFixed(1) + " " + y(p.accuracy[key]).toFixed(1)).join("");
  if (points.length > 1) {
    g.append(svg("path", { class: "band", d: path("high", points) + path("low", [...points].reverse()).replace("M", "L") + "Z" }),
      svg("path", { class: "line", d: path("mean", points) }));
  } else if (points.length === 1) {
    g.append(svg("path", { class: "err", d: `M${x(points[0])} ${y(points[0].accuracy.low)}V${y(points[0].accuracy.high)}` }));
  }
  for (const p of points) g.append(svg("circle", { class: "dot", cx: x(p), cy: y(p.accuracy.mean), r: 4.5 }));
  return g;
}

function legend(lines) {
  const ul = element("ul", { className: "lines" });
  ul.append(...lines.map((l, i) => {
    const li = element("li", { className: "s" + i });
    li.append(element("span", {}, l.name));
    return li;
  }));
  return ul;
}

/* ---- tables ---- */

function rows(head, body) {
  const box = element("div", { className: "scroll" }), table = element("table", {}), thead = element("thead", {}), tbody = element("tbody", {});
  const tr = element("tr", {});
  tr.append(...head.map((t) => element("th", { scope: "col" }, t)));
  thead.append(tr);
  for (const r of body) {
    const at = element("tr", {});
    at.append(...r.map((t, i) => (i ? element("td", {}, t) : element("th", { scope: "row" }, t))));
    tbody.append(at);
  }
  table.append(thead, tbody);
  box.append(table);
  return box;
}

function table(lines) {
  const all = [...new Set(lines.flatMap((l) => l.points.map((p) => p.samples)))].sort((a, b) => a - b);
  const cell = (l, n) => {
    const p = l.points.find((q) => q.samples === n);
    return p ? percent(p.accuracy.mean) + " [" + percent(p.accuracy.low) + ", " + percent(p.accuracy.high) + "]" : "\u2013";
  };
  return rows(["right %", ...lines.map((l) => l.name)], all.map((n) => [count(n) + (n === 1 ? " sample" : " samples"), ...lines.map((l) => cell(l, n))]));
}

function levels(r, lines) {
  const names = ["one_sample", ...lines.map((l) => l.name)].filter((n) => r.levels.some((l) => l[n] || l[n.replace("-", "_")]));
  const cell = (v) => (v && typeof v.mean === "number" ? percent(v.mean) : typeof v === "number" ? percent(v) : "\u2013");
  return rows(["level", "problems", ...names.map((n) => n.replace("_", " "))],
    r.levels.map((l) => [String(l.level), count(l.problems), ...names.map((n) => cell(l[n] ?? l[n.replace("-", "_")]))]));
}

function costs(r) {
  const names = { policy_prompt: "policy, prompt", policy: "policy", policy_pruned: "of it pruned", reward_prompt: "reward model, prompt",
    reward: "reward model", reward_pruned: "of it pruned" };
  const body = Object.keys(names).filter((k) => r.costs && r.costs[k] && r.costs[k].flops + r.costs[k].read + r.costs[k].generated > 0)
    .map((k) => [names[k], count(r.costs[k].generated), count(r.costs[k].read), count(r.costs[k].flops)]);
  const box = element("div", {});
  box.append(rows(["", "tokens written", "tokens read", "FLOP"], body));
  if (typeof r.seconds === "number") box.append(element("p", { className: "facts" }, seconds(r.seconds) + " a problem" +
    (typeof r.usd === "number" ? ", " + dollars(r.usd) : "") + "."));
  return box;
}
