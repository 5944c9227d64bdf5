/* events.js - a made-up search as events of docs/serve.md: a tree of a given size, and what a model might write at worst. */
"use strict";

const hostile = "<img src=x onerror=\"window.hurt=1\"><script>window.hurt=1</script><b id=\"bold\">bold</b> &amp; [x](javascript:alert(1))";

function random(seed) {
  let x = seed >>> 0;
  return () => {
    x = (x + 0x6d2b79f5) >>> 0;
    let t = Math.imul(x ^ (x >>> 15), 1 | x);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/* A beam that keeps `width` of its nodes at every depth until there are n_nodes. */
function search({ n_nodes = 60, width = 4, n_children = 4, depth = 5, text = null, seed = 7 } = {}) {
  const next = random(seed), events = [], solutions = [];
  events.push({ type: "queued", position: 0 });
  events.push({ type: "begin", run: "chatcmpl-made-up", strategy: "beam:n=" + width * n_children, select: "weighted", aggregate: "min",
    policy: "lab:small", reward: "lab:prm", seed: 0, max_tokens: 512 });
  let front = [{ id: "", rewards: [] }], n = 0, value = 12;
  for (let d = 1; d <= depth && n < n_nodes; d++) {
    const grown = [];
    for (const parent of front) {
      for (let i = 0; i < n_children && n < n_nodes; i++, n++) {
        const id = parent.id === "" ? String(i) : parent.id + "." + i, ends = d === depth;
        const reward = Math.max(0, Math.min(1, (parent.rewards[parent.rewards.length - 1] ?? 0.8) + (next() - 0.55) * 0.5));
        value = Math.floor(next() * 4) + 41;
        const says = text || (ends ? `So there are 6 * 7 = ${value}.\nThe answer is ${value}.` : `He has ${value - 5} and finds ${d + i} more: ${value - 5} + ${d + i} = ${value - 5 + d + i}.\n\n`);
        events.push({ type: "node", id, parent: parent.id, text: says, tokens: 9 + Math.floor(next() * 9), logprob: -next() * 4,
          finish: ends ? "end" : "step", ...(ends ? { answer: text ? text : String(value) } : {}) });
        events.push({ type: "reward", id, rewards: [reward] });
        const node = { id, rewards: [...parent.rewards, reward], answer: text || String(value) };
        grown.push(node);
        if (ends) solutions.push(node);
      }
    }
    grown.sort((a, b) => b.rewards[b.rewards.length - 1] - a.rewards[a.rewards.length - 1]);
    if (d < depth) for (const node of grown.slice(width)) events.push({ type: "drop", id: node.id });
    front = grown.slice(0, width);
  }
  const scores = new Map();
  for (const s of solutions) {
    s.score = Math.min(...s.rewards);
    const c = scores.get(s.answer) || { answer: s.answer, votes: 0, score: 0 };
    c.votes++;
    c.score += s.score;
    scores.set(s.answer, c);
  }
  const classes = [...scores.values()].sort((a, b) => b.score - a.score);
  for (const s of solutions)
    events.push({ type: "solution", id: s.id, answer: s.answer, complete: true, tokens: 60, rewards: s.rewards, score: s.score, logprob: -3,
      confidence: null, class: classes.findIndex((c) => c.answer === s.answer) });
  events.push({ type: "classes", classes, voters: solutions.length });
  const best = solutions.filter((s) => classes.length && s.answer === classes[0].answer).sort((a, b) => b.score - a.score)[0];
  events.push({ type: "chosen", id: best ? best.id : null, answer: best ? best.answer : null, votes: best ? classes[0].votes : 0,
    voters: solutions.length, score: best ? classes[0].score : 0, margin: 0.41, select: "weighted", aggregate: "min", ended: "finished", ran_out: null });
  return events;
}

/* The chunks of the stream, so many events in each. */
function chunks(events, n_each = 3) {
  const base = { id: "chatcmpl-made-up", object: "chat.completion.chunk", created: 1760000000, model: "brood/beam" };
  const out = [{ ...base, choices: [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }] }];
  const cost = { tokens_generated: 0, tokens_read: 40, flops: 0, nodes: 0, solutions: 0, pruned: 0, seconds: 0 };
  for (let i = 0; i < events.length; i += n_each) {
    const part = events.slice(i, i + n_each);
    for (const e of part) {
      if (e.type === "node") { cost.nodes++; cost.tokens_generated += e.tokens; cost.flops += e.tokens * 6.1e5; cost.solutions += e.finish === "end"; }
      if (e.type === "reward") cost.tokens_read += 12;
      if (e.type === "drop") cost.pruned++;
    }
    cost.seconds += 0.03;
    out.push({ ...base, choices: [{ index: 0, delta: {}, finish_reason: null }], brood: { events: part, cost: { ...cost } } });
  }
  out.push({ ...base, choices: [{ index: 0, delta: { content: "The answer." }, finish_reason: null }] });
  out.push({ ...base, choices: [{ index: 0, delta: {}, finish_reason: "stop" }], brood: { result: {} } });
  return out;
}

const sse = (list) => list.map((c) => "data: " + JSON.stringify(c) + "\n\n").join("") + "data: [DONE]\n\n";

module.exports = { search, chunks, sse, hostile };
