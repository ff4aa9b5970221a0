// The overview's charts: figures from the server, drawn by uPlot in the style sheet's colours.
"use strict";

const drawn = new Map(); // figure → its plot

function colour(element) {
  return getComputedStyle(element).color;
}

function said(value, unit) {
  if (unit === "s") return value < 1 ? `${Math.round(value * 1000)} ms` : `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;
  return `${counted(value)} ${unit}`;
}

function counted(value) {
  return value >= 10 || value === Math.round(value) ? Math.round(value).toLocaleString("en") : value.toFixed(1);
}

// As everywhere on these pages: the time of day in UTC.
function clock(time, seconds) {
  return new Date(time * 1000).toISOString().slice(11, seconds ? 19 : 16);
}

function options(figure, plot) {
  const { unit } = plot.dataset;
  const dim = colour(plot);
  const grid = { stroke: getComputedStyle(document.documentElement).getPropertyValue("--grid") || "rgba(128,128,128,.22)", width: 1 };
  const keys = [...figure.querySelectorAll("[data-series]")];
  return {
    width: plot.clientWidth, height: plot.clientHeight,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [
      { stroke: dim, grid, ticks: grid, size: 32, space: 70, values: (_, times) => times.map((time) => clock(time)) },
      { stroke: dim, grid, ticks: grid, size: 56, values: (_, values) => values.map((value) => unit === "s" ? said(value, unit) : counted(value)) },
    ],
    series: [{}, ...keys.map((key) => ({
      label: key.textContent, stroke: colour(key.querySelector("i")), width: 2, spanGaps: false,
      points: { show: false },
    }))],
    hooks: { setCursor: [(chart) => summarise(figure, chart, chart.cursor.idx)] },
  };
}

// In words what the picture shows: the latest figures, or those under the pointer.
function summarise(figure, chart, at) {
  const { unit } = figure.querySelector(".plot").dataset;
  const times = chart.data[0];
  const here = at ?? times.length - 1;
  const values = chart.data.slice(1).map((line) => line[here]);
  const parts = chart.series.slice(1).map((series, number) => [series.label, values[number]]);
  const told = parts.filter(([, value]) => value != null).map(([label, value]) => `${label} ${said(value, unit)}`);
  const moment = at == null ? "Latest" : `${clock(times[here], true)} UTC`;
  figure.querySelector("[data-summary]").textContent = `${moment}: ${told.join(", ") || "no job"}`;
}

function draw(figure, figures, anew) {
  const plot = figure.querySelector(".plot");
  const keys = [...figure.querySelectorAll("[data-series]")].map((key) => key.dataset.series);
  const data = [figures.times, ...keys.map((key) => figures.series[key])];
  if (anew) { drawn.get(figure)?.destroy(); drawn.delete(figure); }
  let chart = drawn.get(figure);
  if (chart) chart.setData(data);
  else drawn.set(figure, chart = new uPlot(options(figure, plot), data, plot));
  summarise(figure, chart, null);
}

let latest = null;

function drawAll(anew) {
  if (latest) for (const figure of document.querySelectorAll("[data-chart]")) draw(figure, latest, anew);
}

async function load() {
  const charts = document.querySelector("#charts");
  const answer = await fetch(charts.dataset.figures, { headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer?.ok || answer.redirected) return; // the page itself says that it is cut off
  latest = await answer.json();
  drawAll(false);
}

document.addEventListener("ferryman:theme", () => drawAll(true));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(true));
document.addEventListener("htmx:after:swap", load);
addEventListener("DOMContentLoaded", () => {
  load();
  new ResizeObserver(() => {
    for (const [figure, chart] of drawn) {
      const plot = figure.querySelector(".plot");
      chart.setSize({ width: plot.clientWidth, height: plot.clientHeight });
    }
  }).observe(document.querySelector("#charts"));
});
