/* search.js - one question and what the server says of its search: the stream, the tree, the votes. */

/* Posts the request and calls told(object) for every event of the stream; returns when the stream is done. */
export async function stream(body, key, signal, told) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = "Bearer " + key;
  const reply = await fetch("/v1/chat/completions", { method: "POST", headers, body: JSON.stringify(body), signal });
  if (!reply.ok) throw new Error(await reason(reply));
  const reader = reply.body.getReader(), decoder = new TextDecoder();
  let text = "", done = false;
  for (;;) {
    const part = await reader.read();
    text += part.done ? decoder.decode() : decoder.decode(part.value, { stream: true });
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const data = text.slice(0, end).split("\n").filter((l) => l.startsWith("data:")).map((l) => l.slice(5).trimStart());
      text = text.slice(end + 2);
      if (data.length === 0) continue; /* a comment that keeps the connection alive */
      if (data[0] === "[DONE]") { done = true; continue; }
      const chunk = JSON.parse(data.join("\n"));
      if (chunk.error) throw new Error(chunk.error.message || "the search failed");
      told(chunk);
    }
    if (part.done) break;
  }
  if (!done) throw new Error("the connection broke before the search ended");
}

export async function reason(reply) {
  let says = "";
  try { says = (await reply.json()).error.message; } catch { /* no JSON: the status says it */ }
  const after = reply.headers.get("Retry-After");
  return (says || "the server answers with status " + reply.status) + (after ? " (try again in " + after + " s)" : "");
}

const aggregates = {
  last: (r) => r[r.length - 1],
  min: (r) => Math.min(...r),
  prod: (r) => r.reduce((a, b) => a * b, 1),
  mean: (r) => r.reduce((a, b) => a + b, 0) / r.length,
};

export class Search {
  constructor(question, how) {
    this.question = question;
    this.how = how; /* the strategy in words */
    this.phase = "sent"; /* queued, searching, done, stopped, failed */
    this.position = 0;
    this.begin = null;
    this.chosen = null;
    this.classes = null;
    this.voters = 0;
    this.solutions = new Map();
    this.cost = null;
    this.text = ""; /* the reply, as far as it came */
    this.root = { id: "", parent: null, children: [], index: 0, depth: 0, text: "", rewards: null, gone: false, finish: "step" };
    this.nodes = new Map([["", this.root]]);
    this.n_solutions = 0;
    this.n_gone = 0;
    this.has_verdicts = false;
    this.latest = this.root;
    this.version = 0; /* changes with the shape of the tree */
    this.started = performance.now();
    this.seconds = 0;
  }

  take(chunk) {
    const told = chunk.brood;
    for (const choice of chunk.choices || []) {
      if (choice.index === 0 && choice.delta && typeof choice.delta.content === "string") this.text += choice.delta.content;
      if (choice.brood && choice.brood.result) this.result = choice.brood.result;
    }
    if (!told) return;
    if (told.cost) this.cost = told.cost;
    if (told.result) this.result = told.result;
    for (const e of told.events || []) this.event(e);
  }

  event(e) {
    switch (e.type) {
      case "queued": this.phase = "queued"; this.position = e.position; break;
      case "begin": this.phase = "searching"; this.begin = e; break;
      case "node": this.add(e); break;
      case "reward": {
        const node = this.nodes.get(e.id);
        if (node) node.rewards = e.rewards;
        break;
      }
      case "verdict": {
        const node = this.nodes.get(e.id);
        if (node) { node.passed = e.passed; node.feedback = e.feedback; }
        this.has_verdicts = true;
        break;
      }
      case "drop": this.drop(this.nodes.get(e.id)); break;
      case "solution": this.solutions.set(e.id, e); break;
      case "classes": this.classes = e.classes; this.voters = e.voters; break;
      case "chosen": this.chosen = e; this.version++; break;
    }
  }

  add(e) {
    const parent = this.nodes.get(e.parent);
    if (!parent || this.nodes.has(e.id)) return;
    const node = { ...e, parent, children: [], depth: parent.depth + 1, index: +e.id.slice(e.id.lastIndexOf(".") + 1),
      rewards: null, gone: parent.gone };
    let at = parent.children.length;
    while (at > 0 && parent.children[at - 1].index > node.index) at--;
    parent.children.splice(at, 0, node);
    this.nodes.set(e.id, node);
    this.latest = node;
    this.n_solutions += e.finish === "end";
    this.version++;
  }

  drop(node) {
    const open = node ? [node] : [];
    while (open.length > 0) {
      const x = open.pop();
      if (!x.gone) this.n_gone++;
      x.gone = true;
      open.push(...x.children);
    }
  }

  end(phase) {
    this.phase = phase;
    this.seconds = (performance.now() - this.started) / 1000;
    if (this.cost && this.cost.seconds > 0) this.seconds = this.cost.seconds;
    this.version++;
  }

  get is_open() { return this.phase === "sent" || this.phase === "queued" || this.phase === "searching"; }

  /* One number from the rewards of a node's steps; null: there is none. */
  reward(node) {
    const r = node.rewards;
    if (!r || r.length === 0) return null;
    return (aggregates[this.begin && this.begin.aggregate] || aggregates.last)(r);
  }

  chosen_node() {
    return this.chosen && this.chosen.id !== null ? this.nodes.get(this.chosen.id) || null : null;
  }

  /* The answers, most votes first: as the server classed them, or as far as solutions came, equal in writing. */
  votes() {
    if (this.classes) {
      return this.classes.map((c, i) => ({ answer: c.answer, votes: c.votes, score: c.score, node: this.node_of_class(i) }));
    }
    const counts = new Map();
    for (const node of this.nodes.values()) {
      if (node.finish !== "end" || node.answer === null || node.answer === undefined) continue;
      const c = counts.get(node.answer);
      if (c) c.votes++;
      else counts.set(node.answer, { answer: node.answer, votes: 1, score: null, node });
    }
    return [...counts.values()].sort((a, b) => b.votes - a.votes);
  }

  node_of_class(i) {
    let best = null;
    for (const s of this.solutions.values()) {
      if (s.class === i && (!best || (s.score ?? 0) > (best.score ?? 0))) best = s;
    }
    const chosen = this.chosen && this.solutions.get(this.chosen.id);
    if (chosen && chosen.class === i) best = chosen;
    return best ? this.nodes.get(best.id) || null : null;
  }

  path(node) {
    const path = [];
    for (let x = node; x && x.parent; x = x.parent) path.unshift(x);
    return path;
  }
}
