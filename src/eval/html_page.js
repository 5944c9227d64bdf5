"use strict";
(function () {
  var $ = function (id) { return document.getElementById(id); };
  var all = function (at, what) { return Array.prototype.slice.call(at.querySelectorAll(what)); };

  /* the list of problems */
  var form = $("filter"), list = $("list");
  if (form && list) {
    var rows = all(list, ".p"), words = rows.map(function (p) {
      var s = p.querySelector("summary") || p;
      return s.textContent.toLowerCase();
    });
    var shows = function (p, i) {
      var kind = $("f-k").value, run = $("f-r") ? +$("f-r").value : 0, level = $("f-l").value;
      var ends = p.dataset.r, end = ends.charAt(run);
      if (level && p.dataset.l !== level) return false;
      if (words[i].indexOf($("f-q").value.trim().toLowerCase()) < 0) return false;
      switch (kind) {
        case "all": return true;
        case "missed": return end === "0" && p.dataset.c === "1";
        case "never": return p.dataset.c === "0";
        case "differ": return ends.indexOf("0") >= 0 && ends.indexOf("1") >= 0;
        case "tree": return p.tagName === "DETAILS";
        default: return end === kind;
      }
    };
    var filter = function () {
      var n = 0;
      rows.forEach(function (p, i) { n += !(p.hidden = !shows(p, i)); });
      $("f-n").textContent = n + " of " + rows.length + " problems";
    };
    form.hidden = false;
    form.addEventListener("input", filter);
    form.addEventListener("submit", function (e) { e.preventDefault(); });
    filter();
  }

  /* the order of events in a tree */
  var rewind = function (tree, at) {
    var counts = { w: 0, s: 0, d: 0 }, what = "";
    var name = function (x, verb) { what = what || x.querySelector("title").textContent.split(":")[0] + " is " + verb; };
    all(tree, "[data-w]").forEach(function (x) {
      var written = +x.dataset.w, scored = +x.dataset.s || Infinity, dropped = +x.dataset.d || Infinity;
      x.classList.toggle("off", written > at);
      x.classList.toggle("ns", scored > at);
      x.classList.toggle("d", dropped <= at);
      if (x.tagName === "g") {
        if (written === at) name(x, "written");
        if (scored === at) name(x, "scored");
        if (dropped === at) name(x, "given up");
      }
      if (!x.id) return;
      counts.w += written <= at;
      counts.s += scored <= at;
      counts.d += dropped <= at;
    });
    return (what ? ": " + what + "; so far " : ": ") + counts.w + " written, " + counts.s + " scored, " + counts.d +
      " given up";
  };
  all(document, ".when").forEach(function (box) {
    var tree = box.parentNode, input = box.querySelector("input"), out = box.querySelector("output");
    box.hidden = false;
    input.addEventListener("input", function () {
      out.textContent = "event " + input.value + " of " + input.max + rewind(tree, +input.value);
    });
    out.textContent = "all " + input.max + " events";
  });

  /* a drawing that is higher than its frame begins where the chosen path ends */
  all(document, ".p").forEach(function (p) {
    p.addEventListener("toggle", function () {
      if (p.open) all(p, ".diagram").forEach(function (d) {
        var ends = all(d, ".c circle"), end = ends[ends.length - 1];
        if (end && !d.scrollTop) d.scrollTop = +end.getAttribute("cy") - d.clientHeight / 2;
      });
    });
  });

  /* branches */
  all(document, ".fold").forEach(function (box) {
    box.hidden = false;
    box.addEventListener("click", function (e) {
      if (!e.target.dataset.open) return;
      all(box.parentNode, ".steps details").forEach(function (d) { d.open = e.target.dataset.open === "1"; });
    });
  });
  var reveal = function () {
    var at = $(decodeURIComponent(location.hash.slice(1)));
    if (!at) return;
    for (var up = at; up; up = up.parentNode) if (up.tagName === "DETAILS") up.open = true;
    at.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", reveal);
  if (location.hash) reveal();
  addEventListener("beforeprint", function () {
    all(document, ".tree .steps li.branch.c > details").forEach(function (d) { d.open = true; });
  });
})();
