/* The console's behaviour: drawer, drop-downs, tabs, questions before a change, charts. No framework, no inline handlers. */
"use strict";
(function () {
  var doc = document;
  function each(selector, work, root) { Array.prototype.forEach.call((root || doc).querySelectorAll(selector), work); }

  doc.addEventListener("click", function (event) {
    var target = event.target.closest("[data-drawer],[data-drop],[data-tab],[data-fill],[data-show]");
    if (!event.target.closest(".drop")) { each(".open", function (box) { if (!target || box !== target.parentNode) { box.classList.remove("open"); } }); }
    if (!target) { return; }
    if (target.hasAttribute("data-drawer")) { doc.body.classList.toggle("drawer-open"); }
    if (target.hasAttribute("data-drop")) {
      var open = target.parentNode.classList.toggle("open");
      target.setAttribute("aria-expanded", open ? "true" : "false");
    }
    if (target.hasAttribute("data-show")) { target.setAttribute("aria-expanded", target.classList.toggle("shown") ? "true" : "false"); }
    if (target.hasAttribute("data-tab")) { showTab(target); }
    if (target.hasAttribute("data-fill")) {
      var wanted = JSON.parse(target.getAttribute("data-fill"));
      Object.keys(wanted).forEach(function (name) { var field = doc.getElementById(name); if (field) { field.value = wanted[name]; } });
      var form = target.getAttribute("data-submit") && doc.getElementById(target.getAttribute("data-submit"));
      if (form) { form.requestSubmit(); }
    }
  });
  doc.addEventListener("keydown", function (event) {
    if (event.key === "Escape") { doc.body.classList.remove("drawer-open"); each(".open", function (box) { box.classList.remove("open"); }); }
  });

  function showTab(button) {
    var box = button.closest("[data-tabs]");
    each("[data-tab]", function (other) { other.classList.toggle("current", other === button); other.setAttribute("aria-selected", other === button ? "true" : "false"); }, box);
    each("[data-tab-panel]", function (panel) { panel.hidden = panel.getAttribute("data-tab-panel") !== button.getAttribute("data-tab"); }, box);
    history.replaceState(null, "", "#" + button.getAttribute("data-tab"));
    charts.forEach(function (chart) { chart.resize(); });
  }

  /* A change asks first, and asks for a reason where one is wanted. */
  doc.addEventListener("submit", function (event) {
    var form = event.target;
    if (form.dataset.sent) { event.preventDefault(); return; }
    if ((form.dataset.confirm || form.dataset.reason) && !form.dataset.agreed) { event.preventDefault(); ask(form); return; }
    if ((form.method || "").toLowerCase() === "post") {
      form.dataset.sent = "1";
      /* Only once the form is on its way: a button that is disabled before is not sent along, and Preview would publish. */
      setTimeout(function () { each("button[type=submit],button:not([type])", function (button) { button.disabled = true; }, form); }, 0);
      if (form.dataset.download) { setTimeout(function () { released(form); }, 1500); }
    }
  });
  function released(form) {
    delete form.dataset.sent;
    delete form.dataset.agreed;
    each("button", function (button) { button.disabled = false; }, form);
  }
  function ask(form) {
    var dialog = doc.getElementById("ask");
    var reason = dialog.querySelector("textarea");
    dialog.querySelector("h2").textContent = form.dataset.title || "";
    dialog.querySelector("p").textContent = form.dataset.confirm || "";
    dialog.querySelector(".form-field").hidden = !form.dataset.reason;
    reason.required = !!form.dataset.reason;
    reason.value = "";
    dialog.querySelector(".yes").classList.toggle("danger", form.dataset.tone === "danger");
    dialog.showModal();
    var inner = dialog.querySelector("form");
    inner.onsubmit = function (event) {
      event.preventDefault();
      event.stopPropagation();
      if (form.dataset.reason) {
        var field = form.querySelector("[name=reason]") || form.appendChild(Object.assign(doc.createElement("input"), { type: "hidden", name: "reason" }));
        field.value = reason.value;
      }
      dialog.close();
      form.dataset.agreed = "1";
      form.requestSubmit();
    };
    dialog.querySelector(".no").onclick = function () { dialog.close(); };
  }

  /* Charts: the option comes as JSON beside its box. */
  var charts = [];
  var chinese = (doc.documentElement.lang || "").indexOf("zh") === 0;
  function short(value) {
    var size = Math.abs(value), steps = chinese ? [[1e8, "亿"], [1e4, "万"]] : [[1e6, "M"], [1e4, "K"]];
    for (var i = 0; i < steps.length; i += 1) {
      if (size >= steps[i][0]) { return String(Math.round(value / (steps[i][1] === "K" ? 1e3 : steps[i][0]) * 10) / 10) + steps[i][1]; }
    }
    return String(Math.round(value * 100) / 100);
  }
  function written(value, unit) {
    if (value === null || value === undefined) { return "–"; }
    if (unit === "fen") { return "¥" + (value / 100).toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 }); }
    if (unit === "percent") { return value + "%"; }
    return Number(value).toLocaleString();
  }
  function escaped(text) { var box = doc.createElement("i"); box.textContent = text; return box.innerHTML; }
  function draw(box) {
    var option = JSON.parse(doc.getElementById(box.dataset.option).textContent);
    var series = option.series || [];
    var cartesian = !!option.yAxis;
    option.textStyle = { fontFamily: getComputedStyle(doc.body).fontFamily };
    option.animationDuration = 350;
    [].concat(option.yAxis || [], option.xAxis || []).forEach(function (axis) {
      axis.axisLabel = Object.assign({ color: "#666f83", fontSize: 12 }, axis.axisLabel);
      if (axis.type === "value") {
        var mine = axis === option.xAxis ? series : series.filter(function (one) { return (option.yAxis || [])[one.yAxisIndex || 0] === axis; });
        var unit = mine.length && mine[0].unit;
        axis.axisLabel.formatter = function (value) { return unit === "fen" ? "¥" + short(value / 100) : unit === "percent" ? value + "%" : short(value); };
      }
    });
    if (cartesian && series.some(function (one) { return one.unit; })) {
      option.tooltip.formatter = function (points) {
        return escaped(points[0].axisValueLabel) + points.map(function (point) {
          return "<br>" + point.marker + escaped(point.seriesName) + "&nbsp;&nbsp;<b>" + written(point.value, series[point.seriesIndex].unit) + "</b>";
        }).join("");
      };
    }
    series.forEach(function (one) {
      if (one.unit && one.label && one.label.show) { one.label.formatter = function (point) { return written(point.value, one.unit); }; }
    });
    option.aria = { enabled: true };
    var chart = window.echarts.init(box, null, { renderer: "canvas" });
    chart.setOption(option);
    charts.push(chart);
  }
  doc.addEventListener("DOMContentLoaded", function () {
    if (window.echarts) { each(".chart[data-option]", draw); }
    var waiting;
    window.addEventListener("resize", function () { clearTimeout(waiting); waiting = setTimeout(function () { charts.forEach(function (chart) { chart.resize(); }); }, 120); });
    var wanted = location.hash.slice(1);
    if (wanted) { each("[data-tab]", function (button) { if (button.getAttribute("data-tab") === wanted) { showTab(button); } }); }
    var current = doc.querySelector(".side nav a.current");
    if (current && current.scrollIntoView) { current.scrollIntoView({ block: "nearest" }); }
    each("time[data-countdown]", function (box) { box.title = box.dateTime; });
  });
  window.addEventListener("pageshow", function (event) {
    if (event.persisted) { each("form[data-sent]", released); }
  });
}());
