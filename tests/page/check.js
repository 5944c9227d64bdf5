/* check.js - the live page as a person uses it, against a real `brood serve` with the bundled models; and with streams that no
 * good model would write. Prints one line a check, and "N passed, M failed" at the end. */
"use strict";
const { chromium } = require("playwright-core");
const { spawn, spawnSync } = require("child_process");
const fs = require("fs"), os = require("os"), path = require("path");
const made_up = require("./events.js");

const brood = process.env.BROOD, shots = process.env.SHOTS;
const dir = fs.mkdtempSync(path.join(os.tmpdir(), "brood-page-"));
const WAIT = { timeout: 120000 };
const markup = "<b id=\"evil\">Tom</b> has 12 jars. <img src=x onerror=\"window.hurt=1\"> Tom sells 5 of them. How many jars does Tom have now?";
const question = "Max has 469 nuts. Max gets 922 more. Max loses as many as at first. Tom buys 29 keys. Max finds 3 more. Gus finds 31 cups. Now Max has 7 times as many. Max buys 3 more. How many nuts does Max have now?";
const bad_name = "<img src=x onerror='window.hurt=1'>.brood";
let passed = 0, failed = 0, complaints = [];

function check(is, what) {
  if (is) passed++;
  else { failed++; console.log("FAIL: " + what); }
}

async function step(what, run) {
  try { await run(); console.log("ok    " + what); }
  catch (e) { failed++; console.log("FAIL: " + what + ": " + e.message.split("\n").slice(0, 4).join(" | ")); }
}

function serve(args, env) {
  const child = spawn(brood, ["serve", "--port", "0", ...args], { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...env } });
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (d) => {
      text += d;
      const m = /http:\/\/\S+/.exec(text);
      if (m && text.includes("\n")) resolve({ child, url: m[0].replace(/\/$/, "") });
    });
    child.on("exit", (code) => reject(new Error("the server ended with " + code)));
  });
}

async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT.timeout);
  page.on("pageerror", (e) => complaints.push("error: " + e.message));
  page.on("console", (m) => { if (m.type() === "error" && !/Failed to load resource|net::ERR/.test(m.text())) complaints.push(m.text()); });
  await page.goto(url);
  await page.waitForSelector("#strategy option", { state: "attached" });
  return page;
}

const text = (page, id) => page.textContent("#" + id);
const done = (page) => page.waitForSelector("#ask:not([disabled])");
const picture = async (page, name) => { if (shots) await page.screenshot({ path: path.join(shots, name + ".png"), fullPage: true }); };

async function ask(page, words, strategy, n) {
  await page.fill("#question", words);
  await page.selectOption("#strategy", strategy);
  if (n) await page.fill("#width", String(n));
  await page.click("#ask");
}

/* The stream is what the test says. */
async function with_stream(page, body, status = 200, headers = {}) {
  await page.route("**/v1/chat/completions", (r) => r.fulfill({ status, headers: { "Content-Type": "text/event-stream", ...headers }, body }));
}

async function is_unhurt(page, what) {
  check(await page.evaluate(() => window.hurt === undefined), what + ": a script of a text ran");
  check(await page.evaluate(() => !document.querySelector("main img, main script, main b, #evil, #bold, main a[href^=javascript]")), what + ": markup of a text is in the page");
}

async function fits(page, what) {
  const [wide, most] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  check(wide <= most, what + ": " + wide + " wide in a window of " + most);
}

/* Everything that can be used has a name. */
async function has_names(page) {
  const nameless = await page.evaluate(() => [...document.querySelectorAll("input, select, textarea, button, canvas, a")].filter((e) =>
    !(e.labels && e.labels.length && e.labels[0].textContent.trim()) && !e.getAttribute("aria-label") && !(/BUTTON|A/.test(e.tagName) && e.textContent.trim()))
    .map((e) => e.outerHTML.slice(0, 80)));
  check(nameless.length === 0, "without a name: " + nameless.join(" "));
}

async function first_question(page) {
  const reply = await page.request.get(page.url());
  const policy = reply.headers()["content-security-policy"] || "";
  check(/default-src 'none'/.test(policy) && !/unsafe/.test(policy), "the Content-Security-Policy is " + policy);
  check((await text(page, "models")).includes("lab:small"), "the page names the policy");
  await ask(page, markup, "sample", 8);
  await done(page);
  check(/^\d+$/.test((await text(page, "answer")).trim()), "the answer is " + await text(page, "answer"));
  check((await text(page, "asked")) === markup, "the question is shown as it was written");
  check(/of 8 solutions/.test(await text(page, "support")), "support: " + await text(page, "support"));
  check(/^8 nodes, 8 solutions/.test(await text(page, "tree-facts")), "tree: " + await text(page, "tree-facts"));
  check(await page.locator("#path li").count() > 0, "the chosen solution has steps");
  check((await text(page, "cost")).match(/written/) && !/^0written/.test(await text(page, "cost")), "costs: " + await text(page, "cost"));
  await is_unhurt(page, "a question");
}

async function beam(page) {
  await ask(page, question, "beam", 16);
  await done(page);
  await page.waitForTimeout(400); /* the drawing comes to rest: for the picture alone */
  await picture(page, "desk");
  const votes = await page.$$eval("#votes li .n", (l) => l.map((e) => parseInt(e.textContent, 10)));
  check(votes.length >= 1 && votes.reduce((a, b) => a + b) <= 16, "votes: " + votes);
  check(/pruned/.test(await text(page, "tree-facts")), "nodes were pruned: " + await text(page, "tree-facts"));
  check(await page.isVisible("#before"), "what was asked before is listed");
  check(await page.locator("#before-rows tr").count() === 2, "two questions");
  await page.focus("#tree");
  await page.keyboard.press("Home");
  check(/^The prompt/.test(await text(page, "said")), "Home is the prompt");
  await page.keyboard.press("ArrowRight");
  const one = await text(page, "said");
  await page.keyboard.press("ArrowDown");
  check(/^Node \d+, reward/.test(one) && (await text(page, "said")) !== one, "arrow keys go from node to node: " + one);
  await page.keyboard.press("End");
  check((await text(page, "path-title")) === "Chosen solution", "End is the chosen solution");
  await page.locator("#votes button").last().click();
  check(await page.locator("#path li").count() > 0, "a vote shows a path");
  await page.locator("#before-rows button").last().click();
  check((await text(page, "asked")) === markup, "an earlier question comes back");
  await is_unhurt(page, "an earlier question");
  await has_names(page);
}

async function cancelled(page, url) {
  await ask(page, question, "sample", 1024);
  await page.waitForSelector("#cancel:not([hidden])");
  await page.keyboard.press("Escape");
  await done(page);
  check(/cancelled/.test(await text(page, "answer-title")), "a cancelled search says so: " + await text(page, "answer-title"));
  check(!(await page.isVisible("#cancel")), "nothing is left to cancel");
  check((await page.request.get(url + "/health")).status() === 200, "the server is well");
  await ask(page, question, "greedy");
  await done(page);
  check((await text(page, "answer-title")) === "answer", "and answers the next question: " + await text(page, "answer-title"));
  await page.selectOption("#budget-unit", "tokens");
  await page.fill("#budget", "60");
  await ask(page, question, "sample", 64);
  await done(page);
  check(/budget/.test(await text(page, "support")), "a budget ends it: " + await text(page, "support"));
  await page.selectOption("#budget-unit", "");
}

async function worst_texts(page) {
  const events = made_up.search({ n_nodes: 20, width: 2, n_children: 2, depth: 3, text: made_up.hostile });
  events.splice(2, 0, { type: "node", id: "9", parent: "", text: made_up.hostile, lead: made_up.hostile, tokens: 1, logprob: null, finish: "length" });
  await with_stream(page, made_up.sse(made_up.chunks(events)));
  await ask(page, markup, "sample", 4);
  await done(page);
  check((await text(page, "answer")) === made_up.hostile, "the answer is text: " + await text(page, "answer"));
  check((await text(page, "votes")).includes(made_up.hostile), "votes are text");
  check((await text(page, "path")).includes(made_up.hostile), "steps are text");
  await page.focus("#tree");
  await page.keyboard.press("Home");
  for (let i = 0; i < 4; i++) await page.keyboard.press(i ? "ArrowDown" : "ArrowRight");
  check((await text(page, "path")).includes(made_up.hostile), "leads are text");
  await is_unhurt(page, "a model's text");
  await fits(page, "a model's long words");
  await page.unroute("**/v1/chat/completions");
}

async function many_nodes(page) {
  const events = made_up.search({ n_nodes: 4096, width: 256, n_children: 4, depth: 8 });
  const n = events.filter((e) => e.type === "node").length;
  await with_stream(page, made_up.sse(made_up.chunks(events, 16)));
  await ask(page, question, "beam", 16);
  await done(page);
  check(n === 4096 && /^4\.10k nodes/.test(await text(page, "tree-facts")), n + " nodes: " + await text(page, "tree-facts"));
  const [all, seen] = await page.evaluate(() => [document.getElementById("stage").scrollHeight, document.getElementById("stage").clientHeight]);
  check(all > 3 * seen, "a high tree scrolls: " + all + " of " + seen);
  await page.focus("#tree");
  await page.keyboard.press("Home");
  for (let i = 0; i < 5; i++) await page.keyboard.press("ArrowRight");
  check(await page.locator("#path li").count() === 5, "five steps to the right");
  await page.click("#whole");
  await page.waitForFunction(() => document.getElementById("stage").scrollHeight <= document.getElementById("stage").clientHeight + 1);
  await page.waitForTimeout(400);
  await picture(page, "desk-4096-whole");
  await page.click("#whole");
  const elements = await page.evaluate(() => document.querySelectorAll("*").length);
  check(elements < 1200, "the page stays small: " + elements + " elements");
  await page.waitForTimeout(400);
  await picture(page, "desk-4096");
  await page.unroute("**/v1/chat/completions");
}

async function failures(page) {
  const error = JSON.stringify({ error: { message: "the queue is full <b>now</b>", type: "rate_limit_error", param: null, code: null } });
  await with_stream(page, error, 429, { "Retry-After": "7", "Content-Type": "application/json" });
  await ask(page, question, "sample", 4);
  await done(page);
  check((await text(page, "wrong")).includes("<b>now</b> (try again in 7 s)"), "a full queue: " + await text(page, "wrong"));
  await page.unroute("**/v1/chat/completions");
  await with_stream(page, made_up.sse(made_up.chunks(made_up.search())).slice(0, 5000));
  await ask(page, question, "sample", 4);
  await done(page);
  check(/broke/.test(await text(page, "wrong")), "half a stream: " + await text(page, "wrong"));
  await page.unroute("**/v1/chat/completions");
  await with_stream(page, "data: " + error + "\n\n");
  await ask(page, question, "sample", 4);
  await done(page);
  check(/queue is full/.test(await text(page, "wrong")), "an error in the stream: " + await text(page, "wrong"));
  await page.unroute("**/v1/chat/completions");
  await page.route("**/v1/chat/completions", (r) => r.abort());
  await ask(page, question, "sample", 4);
  await done(page);
  check(/cannot be reached/.test(await text(page, "wrong")), "no server: " + await text(page, "wrong"));
  await page.unroute("**/v1/chat/completions");
  await ask(page, question, "sample", 4);
  await done(page);
  check(!(await page.isVisible("#wrong")), "the complaint goes with the next question");
}

async function runs(page) {
  await page.click("#to-runs");
  await page.waitForSelector("#runs-rows tr");
  check((await text(page, "runs-rows")).includes(bad_name), "a run's name is text");
  await page.click("#runs-rows a >> text=small.brood");
  await page.waitForSelector("#run-body .chart .line");
  check(await page.locator("#run-body .chart .line").count() >= 2, "a curve for each selection");
  await page.click("#run-body .tabs button >> text=FLOP");
  check((await page.locator("#run-body .tabs [aria-pressed=true]").textContent()) === "FLOP", "the axis is chosen");
  check(/FLOP/.test(await page.locator("#run-body .chart").textContent()), "and drawn");
  check(/right %/.test(await text(page, "run-body")), "the numbers are in a table");
  await is_unhurt(page, "a run's name");
  await has_names(page);
  await picture(page, "desk-runs");
  await page.click("#to-ask");
  await page.waitForSelector("#question", { state: "visible" });
  check(await page.isVisible("#question"), "and back");
}

async function narrow(browser, url, width, scheme) {
  const page = await open(browser, url, { viewport: { width, height: 780 }, colorScheme: scheme, isMobile: true, hasTouch: true, deviceScaleFactor: 2 });
  await fits(page, width + " wide, empty");
  await page.fill("#question", question);
  await page.click("#more summary");
  await fits(page, width + " wide, all settings");
  await page.click("#more summary");
  await page.selectOption("#strategy", "beam");
  await page.tap("#ask");
  await done(page);
  await page.waitForTimeout(400);
  await fits(page, width + " wide, answered");
  const small = await page.evaluate(() => [...document.querySelectorAll("#form input, #form select, #form button")].filter((e) => e.offsetHeight > 0 && e.offsetHeight < 36).length);
  check(small === 0, small + " controls are too small for a finger");
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  check((scheme === "dark") === (parseInt(/\d+/.exec(ground)[0], 10) < 100), scheme + " is " + ground);
  await picture(page, "phone-" + width + "-" + scheme);
  await page.goto(url + "/#runs/small.brood");
  await page.waitForSelector("#run-body .chart");
  await fits(page, width + " wide, a run");
  await picture(page, "phone-" + width + "-" + scheme + "-run");
  await page.context().close();
}

/* Nothing but the keyboard: from the top of the page to an answer, through its tree, to a recorded run and back. */
async function keyboard_alone(browser, url) {
  const page = await open(browser, url), active = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
  const to = async (id, most) => {
    for (let i = 0; i < most && (await active()) !== id; i++) await page.keyboard.press("Tab");
    check((await active()) === id, "the tabulator comes to " + id + ": " + await active());
    const seen = await page.evaluate(() => {
      const s = getComputedStyle(document.activeElement);
      return (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== "none";
    });
    check(seen, "one sees that " + id + " is meant");
  };
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter"); /* to the question, past the rest */
  await to("question", 2);
  await page.keyboard.type(question);
  await to("strategy", 3);
  await page.keyboard.type("beam");
  await to("width", 3);
  await page.keyboard.press("Control+A");
  await page.keyboard.type("8");
  await page.keyboard.press("Enter");
  await done(page);
  check(/of 8 solutions/.test(await text(page, "support")), "asked with Enter: " + await text(page, "support"));
  await to("tree", 12);
  await page.keyboard.press("Home");
  for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowRight");
  check(await page.locator("#path li").count() === 3, "three steps into the tree");
  await page.keyboard.press("End");
  check((await text(page, "path-title")) === "Chosen solution", "and to its end");
  await page.keyboard.press("Tab");
  check(await page.evaluate(() => Boolean(document.activeElement.closest("#votes"))), "votes come behind the tree");
  for (let i = 0; i < 60 && (await active()) !== "to-runs"; i++) await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#runs-rows a");
  await to("small.brood", 4);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#run-body .chart");
  check((await active()) === "run-title", "the run is read from its title: " + await active());
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  check((await page.locator("#run-body .tabs [aria-pressed=true]").textContent()) === "generated tokens", "the axis by keys");
  await page.context().close();
}

/* What the operator declared: a verifier, a plan, prices. */
async function declared(browser) {
  fs.writeFileSync(path.join(dir, "plan.json"), JSON.stringify({ brood_plan: 1, unit: "samples", prices: [[1, 1], [2, 2]],
    levels: [{ budget: 1, bins: [{ strategy: "sample:n=3" }] }] }));
  const server = await serve(["--plan", "three=" + path.join(dir, "plan.json"), "--prices", "policy_input=1,policy_output=4,reward_input=0.5",
    "--verify", "ends-in-8=command,accept=exit:grep -q 8}\\. {file}"]);
  const page = await open(browser, server.url);
  await page.fill("#question", question);
  await page.selectOption("#strategy", "sample");
  await page.fill("#width", "16");
  await page.click("#more summary");
  await page.selectOption("#verify", "ends-in-8");
  await page.click("#ask");
  await done(page);
  await page.waitForTimeout(400);
  check(/the first that the verifier passed/.test(await text(page, "support")), "verified: " + await text(page, "support"));
  check(/8$/.test(await text(page, "answer")), "what passed was chosen: " + await text(page, "answer"));
  check(/passed by the verifier/.test(await text(page, "path-facts")), "the verdict is told: " + await text(page, "path-facts"));
  check(/\$0\.00/.test(await text(page, "cost")), "and what it cost: " + await text(page, "cost"));
  await picture(page, "desk-verified");
  await page.selectOption("#verify", "");
  await page.selectOption("#plan", "three");
  check((await page.inputValue("#strategy")) === "adaptive", "a plan is for adaptive");
  await page.click("#ask");
  await done(page);
  check(/of 3 solutions/.test(await text(page, "support")), "the plan was gone by: " + await text(page, "support"));
  await page.selectOption("#budget-unit", "usd");
  await page.fill("#budget", "0.001");
  await page.selectOption("#strategy", "sample");
  check((await page.inputValue("#plan")) === "", "and for nothing else");
  await page.fill("#width", "64");
  await page.click("#ask");
  await done(page);
  check(/budget of usd/.test(await text(page, "support")), "a budget in dollars: " + await text(page, "support"));
  await page.context().close();
  server.child.kill("SIGTERM");
}

async function with_key(browser) {
  const server = await serve([], { BROOD_SERVE_KEY: "sesame-sesame" });
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT.timeout);
  await page.goto(server.url);
  await page.waitForSelector("#key-label:not([hidden])");
  await page.fill("#question", question);
  await page.click("#ask");
  await page.waitForSelector("#wrong:not([hidden])");
  check(/wants a key/.test(await text(page, "wrong")), "without a key: " + await text(page, "wrong"));
  await page.fill("#key", "sesame-sesame");
  await page.press("#key", "Enter");
  await page.waitForSelector("#strategy option", { state: "attached" });
  await done(page);
  if (!(await page.isVisible("#result"))) await page.click("#ask");
  await page.waitForFunction(() => /^\d+$/.test(document.getElementById("answer").textContent));
  check(await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, location.href, document.cookie]).indexOf("sesame") < 0), "the key is kept nowhere");
  await page.close();
  server.child.kill("SIGTERM");
}

(async () => {
  const bench = spawnSync(brood, ["bench", "lab:story", "-n", "4", "--limit", "6", "--run", path.join(dir, "small.brood")], { stdio: "ignore" });
  check(bench.status === 0, "a run to show");
  fs.writeFileSync(path.join(dir, bad_name), "no run");
  const server = await serve(["--runs", dir]);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: process.getuid && process.getuid() === 0 ? ["--no-sandbox"] : [] });
  const page = await open(browser, server.url);
  await step("a question with markup in it", () => first_question(page));
  await step("a beam, keys, votes, what was asked before", () => beam(page));
  await step("cancelling, budgets", () => cancelled(page, server.url));
  await step("a model that writes markup", () => worst_texts(page));
  await step("4,096 nodes", () => many_nodes(page));
  await step("failures are told", () => failures(page));
  await step("recorded runs", () => runs(page));
  await step("a phone, light", () => narrow(browser, server.url, 390, "light"));
  await step("a small phone, dark", () => narrow(browser, server.url, 320, "dark"));
  await step("the keyboard alone", () => keyboard_alone(browser, server.url));
  await step("a verifier, a plan, prices", () => declared(browser));
  await step("a server with a key", () => with_key(browser));
  check(complaints.length === 0, "the browser complained: " + complaints.slice(0, 4).join(" | "));
  await browser.close();
  server.child.kill("SIGTERM");
  fs.rmSync(dir, { recursive: true, force: true });
  console.log(passed + " passed, " + failed + " failed");
  process.exit(failed > 0 ? 1 : 0);
})().catch((e) => { console.log("FAIL: " + e.stack); process.exit(1); });
