/* page.js - the page: the form, what a search looks like while it runs and when it is done, what was asked before.
 *
 * Whatever a model wrote gets into the page as text (textContent, canvas) and in no other way.
 */
import { Search, stream, reason } from "./search.js";
import { TreeView } from "./tree.js";
import { count, dollars, element, seconds, share, $ } from "./show.js";
import { show_runs } from "./runs.js";

const examples = [
  "Max has 469 nuts. Max gets 922 more. Max loses as many as at first. Tom buys 29 keys. Max finds 3 more. Gus finds 31 cups. Now Max has 7 times as many. Max buys 3 more. How many nuts does Max have now?",
  "Ben has 290 pens. Ben sells 139 of them. Ben gets 116 pens in cups of 14 and jars of 16 and keeps the cups. Now Ben has 8 times as many. Ben keeps half of them. Ben finds 60 pens in bags of 9 and jars of 17 and keeps the bags. How many pens does Ben have now?",
  "Ida has 25 nuts. Now Ida has 8 times as many. Ida keeps half of them. Ida finds as many as at first. How many nuts does Ida have now?",
];
const VOTES_MAX = 12, BEFORE_MAX = 50;
let options = null, current = null, running = null, n_example = 0, due = 0, pinned = false;
const before = [];
const tree = new TreeView($("stage"), $("tree"), $("extent"), on_select);
const key = () => $("key").value.trim();

/* ---- the form ---- */

async function load_options() {
  const reply = await fetch("/api/options", { headers: key() ? { Authorization: "Bearer " + key() } : {} });
  if (reply.status === 401) {
    $("key-label").hidden = false;
    $("models").textContent = "this server wants a key";
    return;
  }
  if (!reply.ok) throw new Error(await reason(reply));
  options = await reply.json();
  $("key-label").hidden = !options.key;
  $("models").textContent = options.policy + (options.reward ? ", scored by " + options.reward : ", no reward model");
  $("example").hidden = !String(options.policy).startsWith("lab:");
  const [name] = split_strategy(options.strategy);
  $("strategy").replaceChildren(...options.strategies.map((s) => element("option",
    { value: s.name, selected: s.name === name, disabled: s.possible === false },
    s.name + (s.possible === false ? (s.needs_reward && !options.reward ? " (needs a reward model)" : " (not with this policy)") : ""))));
  $("select").replaceChildren(element("option", { value: "" }, "as usual"), ...options.selections.map((s) => element("option", { value: s }, s)));
  $("aggregate").replaceChildren(element("option", { value: "" }, "as usual"), ...options.aggregates.map((s) => element("option", { value: s }, s)));
  offer("plan", "built in", options.plans || []);
  offer("verify", "none", options.verifiers || []);
  $("budget-usd").hidden = $("budget-usd").disabled = !options.prices;
  on_strategy();
}

/* What the server was started with, where there is any. */
function offer(id, none, names) {
  $(id + "-label").hidden = names.length === 0;
  $(id).replaceChildren(element("option", { value: "" }, none), ...names.map((n) => element("option", { value: n }, n)));
}

/* "beam:n=16,width=4" to its name and its parameters. */
function split_strategy(text) {
  const [name, rest] = [text.split(":", 1)[0], text.slice(text.indexOf(":") + 1)];
  return [name, name === text ? {} : Object.fromEntries(rest.split(",").map((p) => p.split("=")))];
}

const strategy = () => options.strategies.find((s) => s.name === $("strategy").value);

function parameter_input(p, given, input) {
  const at = input || element(p.choices ? "select" : "input", {});
  at.dataset.key = p.key;
  at.dataset.usual = p.default ?? "";
  if (p.choices) {
    at.replaceChildren(...p.choices.map((v) => element("option", { value: v }, v)));
  } else {
    at.type = "number";
    at.step = p.type === "int" ? "1" : "any";
    at.inputMode = p.type === "int" ? "numeric" : "decimal";
    at.placeholder = p.default === null ? "as usual" : "";
    at.min = p.min ?? "";
    at.max = p.max ?? "";
  }
  at.value = given[p.key] ?? p.default ?? "";
  at.title = p.summary || "";
  return at;
}

function on_strategy() {
  const s = strategy(), [name, parameters] = split_strategy(options.strategy);
  const given = s.name === name ? parameters : {};
  $("strategy-says").textContent = s.summary || "";
  if (s.name !== "adaptive") $("plan").value = "";
  const main = s.parameters.find((p) => p.key === "n");
  $("width-label").hidden = !main;
  if (main) {
    parameter_input(main, given, $("width"));
    if (options.limits && options.limits.samples < $("width").max) $("width").max = options.limits.samples;
  } else delete $("width").dataset.key;
  $("parameters").replaceChildren(...s.parameters.filter((p) => p !== main).map((p) => {
    const label = element("label", { title: p.summary || "" }, p.key);
    label.append(parameter_input(p, given));
    return label;
  }));
}

/* As the server reads it; what is as usual is left out. */
function strategy_text() {
  const inputs = [...($("width-label").hidden ? [] : [$("width")]), ...$("parameters").querySelectorAll("[data-key]")];
  const said = inputs.filter((i) => i.value !== "" && (i.value !== i.dataset.usual || i === $("width"))).map((i) => i.dataset.key + "=" + i.value);
  return $("strategy").value + (said.length ? ":" + said.join(",") : "");
}

function request() {
  const how = strategy_text(), brood = { events: "tree" }, unit = $("budget-unit").value;
  if (unit && $("budget").value !== "") brood.budget = { [unit]: Number($("budget").value) };
  if ($("select").value) brood.select = $("select").value;
  if ($("aggregate").value) brood.aggregate = $("aggregate").value;
  if ($("plan").value) brood.plan = $("plan").value;
  if ($("verify").value) brood.verify = $("verify").value;
  const body = { model: "brood/" + how, messages: [{ role: "user", content: $("question").value.trim() }], stream: true,
    stream_options: { include_usage: true }, brood };
  if ($("seed").value !== "") body.seed = Number($("seed").value);
  if ($("max-tokens").value !== "") body.max_tokens = Number($("max-tokens").value);
  const also = [["plan", brood.plan], ["verifier", brood.verify]].filter((x) => x[1]).map((x) => x.join(" "));
  return [body, [how, ...also].join(", ")];
}

function complain(text) {
  $("wrong").textContent = text;
  $("wrong").hidden = !text;
}

async function ask() {
  if (running || !$("question").value.trim()) return;
  complain("");
  try {
    if (!options) await load_options();
    if (!options) { complain("The server wants a key: give it beside the question."); $("key").focus(); return; }
  } catch (e) { complain(e.message); return; }
  const [body, how] = request();
  const search = new Search(body.messages[0].content, how), stop = new AbortController();
  running = stop;
  $("ask").disabled = true;
  $("cancel").hidden = false;
  show(search);
  if (innerWidth < 820) $("result").scrollIntoView({ block: "start", behavior: "smooth" });
  try {
    await stream(body, key(), stop.signal, (chunk) => { search.take(chunk); render_soon(); });
    search.end("done");
  } catch (e) {
    search.end(stop.signal.aborted ? "stopped" : "failed");
    if (!stop.signal.aborted) complain(e instanceof TypeError ? "The server cannot be reached." : e.message);
  }
  running = null;
  $("ask").disabled = false;
  $("cancel").hidden = true;
  if (search.nodes.size > 1 || search.chosen) remember(search);
  if (search === current) {
    render();
    if (!pinned) select_by_itself();
    $("said").textContent = spoken();
  }
}

/* ---- a search ---- */

function show(search) {
  current = search;
  pinned = false;
  $("result").hidden = false;
  tree.show(search);
  $("asked").textContent = search.question;
  $("asked-how").textContent = search.how;
  select_by_itself();
  render();
  if (!search.is_open) mark_before();
}

/* At most some times a second, however fast events come. */
function render_soon() {
  if (due) return;
  due = setTimeout(() => { due = 0; if (current) render(); }, 120);
}

function render() {
  const s = current;
  $("result").classList.toggle("working", s.is_open);
  render_answer(s);
  render_cost(s);
  render_votes(s);
  $("tree-facts").textContent = [count(s.nodes.size - 1) + (s.nodes.size === 2 ? " node" : " nodes"), count(s.n_solutions) + (s.n_solutions === 1 ? " solution" : " solutions"),
    s.n_gone ? count(s.n_gone) + " pruned" : ""].filter(Boolean).join(", ");
  $("legend-verdicts").hidden = !s.has_verdicts;
  $("tree").setAttribute("aria-label", "Search tree: " + $("tree-facts").textContent);
  if (!pinned && (s.is_open || s.chosen)) select_by_itself();
  else render_path(tree.selected || s.chosen_node());
  tree.redraw();
  show_asked();
  $("whole").hidden = !tree.is_high && !tree.whole;
}

/* The question is not said twice while it stands in the form. */
function show_asked() {
  if (current) $("asked").hidden = $("question").value.trim() === current.question;
}

const titles = { sent: "sent", queued: "waiting", searching: "searching", stopped: "cancelled", failed: "it failed", done: "answer" };

function render_answer(s) {
  const votes = s.votes(), lead = votes[0], box = $("answer");
  const has = s.chosen && s.chosen.answer !== null && s.chosen.answer !== undefined;
  const text = has ? s.chosen.answer : !s.chosen && lead ? lead.answer : null;
  $("answer-title").textContent = s.phase === "queued" && s.position > 0 ? "waiting behind " + count(s.position)
    : s.is_open && lead ? "searching, in front so far" : titles[s.phase];
  box.className = "answer" + (text === null ? " none" : text.length > 24 ? " long" : "") + (s.chosen ? "" : " open");
  box.textContent = text ?? (s.is_open ? "\u2026" : s.text.trim() || "no answer");
  $("support").textContent = support(s, votes);
}

function support(s, votes) {
  if (s.chosen) {
    const verified = s.chosen.select === "first-verified";
    if (s.chosen.id === null) return (verified ? "The verifier passed no solution" : "No solution has an answer") + ended(s) + ".";
    if (verified) return s.chosen.votes + " of " + s.chosen.voters + (s.chosen.voters === 1 ? " solution" : " solutions") + ", the first that the verifier passed" + ended(s);
    const c = s.chosen, by = c.select + (c.select === "majority" ? "" : " over " + c.aggregate);
    const score = typeof c.score === "number" && c.select !== "majority" ? ", score " + c.score.toPrecision(3) : "";
    return c.votes + " of " + c.voters + (c.voters === 1 ? " solution" : " solutions") + ", chosen by " + by + score +
      (typeof c.margin === "number" && votes.length > 1 ? ", ahead by " + (c.select === "best" ? c.margin.toPrecision(2) : (100 * c.margin).toFixed(0) + " %") : "") + ended(s);
  }
  const n = votes.reduce((a, v) => a + v.votes, 0);
  return n ? votes[0].votes + " of " + n + (n === 1 ? " solution" : " solutions") + (s.is_open ? " so far" : "") : "";
}

function ended(s) {
  const why = s.chosen.ended;
  return why === "budget" ? "; the budget of " + (s.chosen.ran_out || "the search") + " was spent"
    : why === "deadline" ? "; the time was up" : why === "stopped" ? "; it was stopped" : "";
}

function render_cost(s) {
  const c = s.cost || {}, items = [["written", count(c.tokens_generated ?? 0), "tokens that the policy wrote"],
    ["read", count(c.tokens_read ?? 0), "tokens that were read"], ["FLOP", count(c.flops ?? 0), "of the policy and the reward model"],
    ["time", seconds(s.is_open ? c.seconds ?? 0 : s.seconds), ""]];
  const usd = s.result && options.prices ? s.result.cost.usd : c.usd;
  if (typeof usd === "number") items.push(["cost", dollars(usd), "dollars, by the server's prices"]);
  const dl = $("cost");
  if (dl.children.length !== items.length) dl.replaceChildren(...items.map(([name, , title]) => {
    const div = element("div", { title });
    div.append(element("dt", {}, name), element("dd", {}));
    return div;
  }));
  items.forEach(([, value], i) => { dl.children[i].lastChild.textContent = value; });
}

function render_votes(s) {
  const votes = s.votes(), list = $("votes"), by_score = s.chosen && s.chosen.select !== "majority" && s.classes;
  const value = (v) => (by_score && typeof v.score === "number" ? v.score : v.votes);
  const most = Math.max(1e-9, ...votes.map(value)), shown = votes.slice(0, VOTES_MAX);
  $("votes-title").textContent = s.classes || !s.is_open ? "Votes" : "Answers so far";
  $("votes-facts").textContent = votes.length ? votes.length + (votes.length === 1 ? " answer" : " different answers") : s.is_open ? "" : "none";
  while (list.children.length > shown.length) list.lastChild.remove();
  shown.forEach((v, i) => {
    const li = list.children[i] || list.appendChild(vote_row()), button = li.firstChild;
    li.classList.toggle("c", s.chosen ? v.answer === s.chosen.answer : i === 0);
    button.children[0].textContent = v.answer;
    button.children[1].textContent = v.votes + (v.votes === 1 ? " vote" : " votes") + (by_score ? ", " + v.score.toPrecision(3) : "");
    button.children[2].firstChild.style.width = share(value(v) / most);
    button.onclick = () => { if (v.node) tree.select(v.node, true); };
  });
  if (votes.length > shown.length) list.append(element("li", { className: "rest" }, "and " + (votes.length - shown.length) + " more"));
}

function vote_row() {
  const li = element("li", {}), button = element("button", { type: "button" }), bar = element("span", { className: "bar" });
  bar.append(element("i", {}));
  button.append(element("span", { className: "ans" }), element("span", { className: "n" }), bar);
  li.append(button);
  return li;
}

/* ---- one path ---- */

/* Nobody pointed at a node: the chosen solution, or what came last. */
function select_by_itself() {
  const node = current.chosen ? current.chosen_node() : current.latest === current.root ? null : current.latest;
  if (current.chosen && node) tree.bring_into_view(node);
  tree.selected = null;
  render_path(node);
}

function on_select(node, by_user) {
  pinned = by_user || pinned;
  render_path(node);
  if (by_user) $("said").textContent = spoken_node(node);
}

function colour_class(reward) {
  return reward === null || reward === undefined ? "rn" : "r" + Math.max(0, Math.min(10, Math.round(reward * 10)));
}

/* A node may hold several steps: apart where there is a reward for each. */
function steps_of(node) {
  const text = node.text || "", rewards = node.rewards || [];
  const parts = text.split(/(?<=\S[^\n]*\n\s*\n)(?=\S)/);
  if (parts.length > 1 && parts.length === rewards.length) return parts.map((t, i) => [t, rewards[i]]);
  return [[text, rewards.length ? current.reward(node) : null]];
}

function render_path(node) {
  const s = current, list = $("path"), rows = [];
  for (const x of node ? s.path(node) : []) {
    steps_of(x).forEach(([text, reward], i) => {
      const li = element("li", { className: "step " + colour_class(reward) + (x.gone ? " gone" : "") });
      if (i === 0 && x.lead) li.append(element("span", { className: "lead" }, x.lead.trim()));
      li.append(element("span", { className: "rw" }, typeof reward === "number" ? reward.toFixed(2) : "\u2013"),
        element("span", { className: "tx" }, text.trim() || "(nothing)"));
      if (x.finish === "length") li.append(element("span", { className: "meta" }, "cut off at its longest"));
      if (x.finish === "failed") li.append(element("span", { className: "meta" }, "failed"));
      if (x.feedback && i === 0) li.append(element("span", { className: "meta" }, x.feedback));
      rows.push(li);
    });
  }
  if (rows.length === 0 && s.text) { /* one solution, as it is written */
    const li = element("li", { className: "step rn" });
    li.append(element("span", { className: "rw" }, ""), element("span", { className: "tx" }, s.text));
    rows.push(li);
  }
  const on_top = node && node === s.chosen_node();
  $("path-title").textContent = on_top ? "Chosen solution" : pinned && node ? "Path " + (node.id || "of the prompt") : s.is_open ? "Latest step" : "Path";
  $("path-facts").textContent = node && node.id !== "" ? path_facts(node) : "";
  list.classList.toggle("chosen", Boolean(on_top));
  list.replaceChildren(...rows);
  if (!pinned && s.is_open) list.scrollTop = list.scrollHeight;
}

function path_facts(node) {
  const tokens = current.path(node).reduce((a, x) => a + (x.tokens || 0), 0), state = node.gone ? "pruned" : node.finish === "end" ? "" : node.finish === "step" ? "open" : "";
  return [count(tokens) + " tokens", state, verdict_of(node), node.finish === "end" ? (node.answer === null || node.answer === undefined ? "no answer" : "answer " + node.answer) : ""].filter(Boolean).join(", ");
}

function verdict_of(node) {
  return node.passed === undefined ? "" : node.passed === null ? "not known to the verifier" : node.passed ? "passed by the verifier" : "rejected by the verifier";
}

function spoken_node(node) {
  if (!node || node.id === "") return "The prompt";
  const reward = current.reward(node);
  return "Node " + node.id + (reward === null ? "" : ", reward " + reward.toFixed(2)) + (node.gone ? ", pruned" : "") + (verdict_of(node) ? ", " + verdict_of(node) : "") + ": " + (node.text || "").trim();
}

function spoken() {
  return current.chosen ? "Answer: " + (current.chosen.answer ?? "none") + ". " + $("support").textContent : titles[current.phase];
}

/* ---- before ---- */

function remember(search) {
  before.unshift(search);
  before.length = Math.min(before.length, BEFORE_MAX);
  mark_before();
}

function mark_before() {
  $("before").hidden = before.length < 2;
  $("before-rows").replaceChildren(...before.map((s) => {
    const tr = element("tr", {}), th = element("th", { scope: "row", className: "q" }), c = s.cost || {};
    const button = element("button", { type: "button", className: "link", title: s.question }, s.question);
    button.onclick = () => { if (!running) { show(s); scrollTo({ top: 0, behavior: "smooth" }); } };
    th.append(button);
    tr.append(th);
    const answer = s.chosen ? s.chosen.answer ?? "none" : titles[s.phase];
    for (const text of [s.how, answer, s.chosen ? s.chosen.votes + "/" + s.chosen.voters : "\u2013", count(c.tokens_generated ?? 0), count(c.flops ?? 0), seconds(s.seconds)])
      tr.append(element("td", text === answer ? { className: "a", title: answer } : {}, text));
    if (s === current) tr.setAttribute("aria-current", "true");
    return tr;
  }));
}

/* ---- views, and how it begins ---- */

function route() {
  const runs = location.hash.startsWith("#runs");
  $("view-ask").hidden = runs;
  $("view-runs").hidden = !runs;
  $("to-ask").toggleAttribute("aria-current", !runs);
  $("to-runs").toggleAttribute("aria-current", runs);
  for (const a of [$("to-ask"), $("to-runs")]) if (a.hasAttribute("aria-current")) a.setAttribute("aria-current", "page");
  if (runs) show_runs(decodeURIComponent(location.hash.slice(6)), key());
  else tree.redraw(true);
}

$("form").addEventListener("submit", (e) => { e.preventDefault(); ask(); });
$("question").addEventListener("keydown", (e) => {
  if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); $("form").requestSubmit(); }
});
addEventListener("keydown", (e) => { if (e.key === "Escape" && running) running.abort(); });
$("cancel").addEventListener("click", () => { if (running) running.abort(); });
$("question").addEventListener("input", show_asked);
$("strategy").addEventListener("change", on_strategy);
$("plan").addEventListener("change", () => {
  if (!$("plan").value || $("strategy").value === "adaptive") return;
  const plan = $("plan").value;
  $("strategy").value = "adaptive";
  on_strategy();
  $("plan").value = plan;
});
$("whole").addEventListener("click", () => {
  tree.set_whole(!tree.whole);
  $("whole").setAttribute("aria-pressed", String(tree.whole));
});
$("key").addEventListener("change", () => { if (!options) load_options().catch((e) => complain(e.message)); });
$("budget-unit").addEventListener("change", () => {
  $("budget").disabled = !$("budget-unit").value;
  if ($("budget").disabled) $("budget").value = "";
  else $("budget").focus();
});
$("example").addEventListener("click", () => {
  $("question").value = examples[n_example++ % examples.length];
  $("question").focus();
});
addEventListener("hashchange", route);
route();
load_options().catch((e) => complain(e instanceof TypeError ? "The server cannot be reached." : e.message));
