/* tree.js - the search tree on a canvas: only what is in view is drawn, so thousands of nodes stay quick.
 *
 * The canvas sticks to the corner of its scrolling box; a box behind it (extent) has the size of the whole drawing.
 * Depth goes to the right; leaves lie below each other, in the order of their paths.
 */
const LEFT = 22, TOP = 18, ROW_MAX = 30, ROW_MIN = 6, COLUMN_MAX = 210, COLUMN_MIN = 16, LABEL_ROW = 12;

const short = (text, n_max) => (text.length > n_max ? text.slice(0, n_max - 1) + "\u2026" : text);

export class TreeView {
  constructor(stage, canvas, extent, on_select) {
    Object.assign(this, { stage, canvas, extent, on_select });
    this.context = canvas.getContext("2d");
    this.search = null;
    this.selected = null;
    this.hovered = null;
    this.version = -1;
    this.asked = false;
    this.whole = false; /* small enough to be seen at once, however small that is */
    this.still = matchMedia("(prefers-reduced-motion:reduce)");
    this.read_colours();
    matchMedia("(prefers-color-scheme:dark)").addEventListener("change", () => { this.read_colours(); this.redraw(); });
    new ResizeObserver(() => this.redraw(true)).observe(stage);
    stage.addEventListener("scroll", () => this.redraw(), { passive: true });
    canvas.addEventListener("pointermove", (e) => this.hover(this.find(e)));
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("click", (e) => { const node = this.find(e); if (node) this.select(node, true); });
    canvas.addEventListener("keydown", (e) => this.key(e));
  }

  read_colours() {
    const css = getComputedStyle(document.documentElement), get = (n) => css.getPropertyValue("--" + n).trim();
    this.colour = { ink: get("ink"), soft: get("soft"), panel: get("panel"), edge: get("edge"), link: get("link"), chosen: get("s1"),
      none: get("rn"), rewards: Array.from({ length: 11 }, (_, i) => get("r" + i)) };
    this.font = getComputedStyle(document.body).fontFamily;
  }

  show(search) {
    this.search = search;
    this.selected = this.hovered = null;
    this.version = -1;
    this.stage.scrollTo(0, 0);
    this.redraw();
  }

  redraw(reshape) {
    if (reshape) this.version = -1;
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame((now) => { this.asked = false; this.draw(now); });
  }

  /* ---- where things are ---- */
  lay_out() {
    const s = this.search, width = this.stage.clientWidth, height = this.stage.clientHeight;
    this.rows = [];
    let deepest = 1, n_leaves = 0;
    const open = [[s.root, 0]];
    while (open.length > 0) { /* children before parents, without recursion */
      const top = open[open.length - 1], [node, i] = top;
      if (i < node.children.length) {
        top[1]++;
        open.push([node.children[i], 0]);
        continue;
      }
      open.pop();
      deepest = Math.max(deepest, node.depth);
      node.row = node.children.length ? (node.children[0].row + node.children[node.children.length - 1].row) / 2 : n_leaves++;
      this.rows.push(node);
    }
    const labels = width < 480 ? 64 : 96;
    const fitting = Math.min(ROW_MAX, (height - 2 * TOP) / Math.max(1, n_leaves - 1));
    this.row = this.whole ? fitting : Math.max(ROW_MIN, fitting);
    this.column = Math.max(COLUMN_MIN, Math.min(COLUMN_MAX, (width - LEFT - labels) / deepest));
    this.radius = Math.max(this.row < 3 ? 1.3 : 2.4, Math.min(6.5, this.row * 0.4));
    this.full_height = Math.max(height, (n_leaves - 1) * this.row + 2 * TOP);
    this.full_width = Math.max(width, LEFT + deepest * this.column + labels);
    this.middle = Math.max(TOP, (height - (n_leaves - 1) * this.row) / 2);
    this.extent.style.width = this.full_width + "px";
    this.extent.style.height = this.full_height + "px";
    this.is_high = fitting < ROW_MIN;
    this.path = new Set();
    for (let x = s.chosen_node(); x; x = x.parent) this.path.add(x);
    this.version = s.version;
  }

  place(node, now) {
    const x = LEFT + node.depth * this.column, y = this.middle + node.row * this.row;
    if (node.at === undefined || this.still.matches) {
      const from = node.parent && !this.still.matches && node.parent.at !== undefined ? node.parent : null;
      node.x = from ? from.x : x;
      node.y = from ? from.y : y;
    }
    const k = node.at === undefined ? 0 : 1 - Math.exp(-(now - node.at) / 90);
    node.at = now;
    node.x += (x - node.x) * k;
    node.y += (y - node.y) * k;
    if (Math.abs(x - node.x) + Math.abs(y - node.y) < 0.4) { node.x = x; node.y = y; return false; }
    return true;
  }

  find(e) {
    if (!this.search || !this.rows) return null;
    const box = this.canvas.getBoundingClientRect();
    const x = e.clientX - box.left + this.stage.scrollLeft, y = e.clientY - box.top + this.stage.scrollTop;
    let best = null, least = 18 * 18;
    for (const node of this.rows) {
      const d = (node.x - x) ** 2 + (node.y - y) ** 2;
      if (d < least) { least = d; best = node; }
    }
    return best;
  }

  hover(node) {
    if (node === this.hovered) return;
    this.hovered = node;
    this.canvas.style.cursor = node ? "pointer" : "default";
    this.redraw();
  }

  select(node, by_user) {
    this.selected = node;
    if (node && by_user) this.bring_into_view(node);
    this.on_select(node, by_user);
    this.redraw();
  }

  set_whole(is_whole) {
    this.whole = is_whole;
    this.redraw(true);
    if (!is_whole && this.search) this.bring_into_view(this.selected || this.search.chosen_node() || this.search.latest);
  }

  bring_into_view(node) {
    if (!this.search) return;
    if (this.version !== this.search.version) this.lay_out();
    const x = LEFT + node.depth * this.column, y = this.middle + node.row * this.row, s = this.stage;
    if (y < s.scrollTop + TOP || y > s.scrollTop + s.clientHeight - TOP) s.scrollTop = y - s.clientHeight / 2;
    if (x < s.scrollLeft + LEFT || x > s.scrollLeft + s.clientWidth - 70) s.scrollLeft = x - s.clientWidth / 2;
  }

  /* ---- keys ---- */
  key(e) {
    if (!this.search || !this.rows) return;
    const s = this.search, at = this.selected || s.chosen_node() || s.root;
    let to = null;
    if (e.key === "ArrowLeft") to = at.parent;
    else if (e.key === "ArrowRight") to = this.best_child(at);
    else if (e.key === "ArrowUp" || e.key === "ArrowDown") to = this.neighbour(at, e.key === "ArrowUp" ? -1 : 1);
    else if (e.key === "Home") to = s.root;
    else if (e.key === "End") to = s.chosen_node() || s.latest;
    else return;
    e.preventDefault();
    if (to) this.select(to, true);
  }

  best_child(node) {
    const on_path = node.children.find((c) => this.path && this.path.has(c));
    if (on_path) return on_path;
    return node.children.reduce((best, c) => (best && (this.search.reward(best) ?? -1) >= (this.search.reward(c) ?? -1) ? best : c), null);
  }

  neighbour(node, step) {
    const same = this.rows.filter((x) => x.depth === node.depth).sort((a, b) => a.row - b.row);
    return same[same.indexOf(node) + step] || null;
  }

  /* ---- drawing ---- */
  fit_canvas() {
    const width = this.stage.clientWidth, height = this.stage.clientHeight, scale = Math.min(devicePixelRatio || 1, 3);
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
      this.canvas.style.width = width + "px";
      this.canvas.style.height = height + "px";
    }
    const c = this.context;
    c.setTransform(scale, 0, 0, scale, 0, 0);
    c.clearRect(0, 0, width, height);
    c.translate(-this.stage.scrollLeft, -this.stage.scrollTop);
    return { top: this.stage.scrollTop - 30, bottom: this.stage.scrollTop + height + 30 };
  }

  draw(now) {
    if (!this.search || this.stage.clientWidth === 0) return;
    if (this.version !== this.search.version) this.lay_out();
    const view = this.fit_canvas();
    let moves = false;
    for (let i = this.rows.length; i-- > 0;) moves = this.place(this.rows[i], now) || moves; /* parents first */
    const seen = this.rows.filter((n) => (n.y >= view.top && n.y <= view.bottom) ||
      (n.parent && Math.min(n.y, n.parent.y) <= view.bottom && Math.max(n.y, n.parent.y) >= view.top));
    this.draw_edges(seen.filter((n) => n.parent && n.gone), this.colour.edge, this.row < 3 ? 0.4 : 1.1, [3, 3]);
    this.draw_edges(seen.filter((n) => n.parent && !n.gone && !this.path.has(n)), this.colour.edge, this.row < 3 ? 0.5 : this.row < 8 ? 1 : 1.5, []);
    this.draw_edges(seen.filter((n) => n.parent && this.path.has(n)), this.colour.chosen, 3.4, []);
    for (const node of seen) if (node.y >= view.top && node.y <= view.bottom) this.draw_node(node);
    if (this.row < LABEL_ROW) for (const node of seen) if (node.children.length > 1) this.draw_common_label(node);
    if (moves) this.redraw();
  }

  draw_edges(nodes, colour, width, dash) {
    const c = this.context;
    c.beginPath();
    for (const n of nodes) {
      const p = n.parent, bend = Math.min(this.column * 0.5, 44);
      c.moveTo(p.x, p.y);
      c.bezierCurveTo(p.x + bend, p.y, Math.max(p.x, n.x - bend), n.y, n.x, n.y);
    }
    c.setLineDash(dash);
    c.strokeStyle = colour;
    c.lineWidth = width;
    c.stroke();
    c.setLineDash([]);
  }

  draw_node(n) {
    const c = this.context, reward = this.search.reward(n), ends = n.finish === "end";
    const fill = n === this.search.root ? this.colour.ink : reward === null ? this.colour.none
      : this.colour.rewards[Math.max(0, Math.min(10, Math.round(reward * 10)))];
    const r = n === this.search.root ? Math.max(4, this.radius) : ends ? this.radius + 0.6 : this.radius;
    c.beginPath();
    if (n.finish === "length" || n.finish === "failed") c.rect(n.x - r * 0.8, n.y - r * 0.8, r * 1.6, r * 1.6);
    else c.arc(n.x, n.y, r, 0, 7);
    if (n.gone) {
      c.fillStyle = this.colour.panel;
      c.fill();
      c.strokeStyle = fill;
      c.lineWidth = Math.min(2, r * 0.6);
    } else {
      c.fillStyle = fill;
      c.fill();
      c.strokeStyle = this.colour.panel;
      c.lineWidth = r > 3 ? 1.2 : 0.5;
    }
    c.stroke();
    if (n === this.selected || n === this.hovered) {
      c.beginPath();
      c.arc(n.x, n.y, r + 3.5, 0, 7);
      c.strokeStyle = n === this.selected ? this.colour.link : this.colour.soft;
      c.lineWidth = 2;
      c.stroke();
    }
    this.draw_label(n, r);
  }

  /* Too close for a label each: one where solutions with the same parent agree. */
  draw_common_label(parent) {
    const all = parent.children, first = all[0], last = all[all.length - 1];
    if ((all.length - 1) * this.row < LABEL_ROW - 4 || all.some((n) => n.finish !== "end" || n.answer !== first.answer || n.passed !== first.passed || this.path.has(n))) return;
    if (first.answer === null || first.answer === undefined) return;
    const c = this.context;
    c.font = "12px " + this.font;
    c.fillStyle = this.colour.soft;
    c.textBaseline = "middle";
    const mark = first.passed === true ? "\u2713 " : first.passed === false ? "\u2717 " : "";
    c.fillText(short(mark + first.answer, 13), Math.max(first.x, last.x) + this.radius + 7, (first.y + last.y) / 2 + 0.5);
  }

  draw_label(n, r) {
    const chosen = n === this.search.chosen_node();
    if (n.finish !== "end" || n.children.length > 0) return;
    if (this.row < LABEL_ROW && n !== this.selected && n !== this.hovered && !chosen) return;
    const mark = n.passed === true ? "\u2713 " : n.passed === false ? "\u2717 " : "";
    const c = this.context, text = mark + (n.answer === null || n.answer === undefined ? "no answer" : String(n.answer));
    c.font = (chosen ? "700 " : "") + "12px " + this.font;
    c.fillStyle = chosen ? this.colour.ink : this.colour.soft;
    c.textBaseline = "middle";
    const label = short(text, this.full_width < 480 ? 8 : 13);
    if (this.row < LABEL_ROW) { /* over its neighbours: on a ground of its own */
      const width = c.measureText(label).width;
      c.fillStyle = this.colour.panel;
      c.fillRect(n.x + r + 5, n.y - 8, width + 5, 16);
      c.fillStyle = this.colour.ink;
    }
    c.fillText(label, n.x + r + 7, n.y + 0.5);
  }
}
