/* The builder of segments: only comparisons that fit a fact, and the count of who is chosen while one types. Without it the page works by its buttons. */
(function () {
  "use strict";
  var box = document.getElementById("conditions");
  if (!box) { return; }
  var form = box.closest("form"), kinds = JSON.parse(box.getAttribute("data-kinds")), waiting = null, asked = 0;

  function fit(row) {
    var fact = row.querySelector("[name$=_fact]"), test = row.querySelector("[name$=_test]");
    var kind = kinds[fact.value];
    Array.prototype.forEach.call(test.options, function (one) { one.hidden = one.disabled = Boolean(kind && one.value && kind.tests.indexOf(one.value) < 0); });
    if (kind && kind.tests.indexOf(test.value) < 0) { test.value = kind.tests[0]; }
    if (!kind) { test.value = ""; }
    row.querySelector("[name$=_days]").hidden = Boolean(kind && !kind.days);
    row.querySelector("[name$=_value]").setAttribute("list", "values-" + fact.value);
    row.classList.toggle("filled", Boolean(fact.value));
  }

  function count() {
    var turn = ++asked, data = new FormData(form);
    data.set("preview", "1");
    fetch(window.location.href, { method: "POST", body: data, credentials: "same-origin" }).then(function (answer) { return answer.text(); }).then(function (text) {
      var fresh = new DOMParser().parseFromString(text, "text/html").getElementById("preview");
      if (turn === asked && fresh) { document.getElementById("preview").replaceWith(fresh); }
    }).catch(function () { /* the button still counts */ });
  }

  Array.prototype.forEach.call(box.querySelectorAll(".segment-row"), fit);
  form.addEventListener("change", function (event) {
    var row = event.target.closest(".segment-row");
    if (row) { fit(row); }
    if (box.contains(event.target)) { window.clearTimeout(waiting); waiting = window.setTimeout(count, 500); }
  });
}());
