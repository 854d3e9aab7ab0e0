"use strict";
// Moves the threshold, sorts the rows, and closes a row's page with Escape.

const report = JSON.parse(document.getElementById("report").textContent);
const { error, flagged, outliers, false_alarms } = report.scores.thresholds;
const slider = document.getElementById("threshold");
const body = document.querySelector("#strangest tbody");
const always = Number(body.dataset.always);
const count = (n) => n.toLocaleString("en");
const percent = (share) => `${(100 * share).toFixed(1)}%`;
const number = (x) => String(Number(x.toPrecision(4)));

function put(name, text) {
  const place = document.getElementById(name);
  if (place) place.textContent = text;
}

function move() {
  const i = slider.valueAsNumber;
  const x = `${(100 * i) / (error.length - 1)}%`;
  const line = document.getElementById("line");
  line.setAttribute("x1", x);
  line.setAttribute("x2", x);
  document.getElementById("beyond").setAttribute("x", x);
  slider.setAttribute("aria-valuetext", `${number(error[i])}: ${count(flagged[i])} rows flagged`);
  put("error", number(error[i]));
  put("flagged", count(flagged[i]));
  put("share", percent(flagged[i] / report.n_rows));
  if (outliers) put("outliers", count(outliers[i]));
  if (false_alarms) {
    put("alarms", count(Math.round(false_alarms[i] * report.n_rows)));
    put("alarm-share", percent(false_alarms[i]));
  }
  show(error[i], flagged[i]);
}

function show(threshold, wanted) {
  const n = Math.min(Math.max(wanted, always), report.rows.length);
  put("listed", count(n));
  for (const row of body.rows) {
    const { rank, error } = row.dataset;
    row.hidden = Number(rank) >= n;
    row.querySelector(".flagged").textContent = Number(error) > threshold ? "yes" : "no";
  }
}

function sort(head) {
  const order = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const cell = (row) => row.cells[head.cellIndex];
  const compare = (a, b) =>
    "value" in a.dataset
      ? Number(a.dataset.value) - Number(b.dataset.value)
      : a.textContent.localeCompare(b.textContent, "en");
  const rows = [...body.rows].sort((a, b) => order * compare(cell(a), cell(b)));
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order > 0 ? "ascending" : "descending");
  body.append(...rows);
}

// Back from a row's page there is a line to come back to.
function reveal() {
  const link = document.getElementById(location.hash.replace("#row-", "in-"));
  if (link) link.closest("tr").hidden = false;
}

slider.addEventListener("input", move);
document.getElementById("reset").addEventListener("click", () => {
  slider.value = report.scores.chosen;
  move();
});
for (const button of document.querySelectorAll("#strangest th button")) {
  button.addEventListener("click", () => sort(button.parentElement));
}
document.addEventListener("keydown", (event) => {
  const page = document.querySelector(".row:target");
  if (event.key === "Escape" && page) page.querySelector(".back").click();
});
slider.value = report.scores.chosen; // browsers remember where it was
move();
window.addEventListener("hashchange", reveal);
reveal();
