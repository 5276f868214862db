"use strict";
// Draws the curves of every clip, and ties them to its video: a click goes there, and while it plays a cursor runs.

const LEFT = 168, RIGHT = 58, TOP = 8, BOTTOM = 34;
const data = JSON.parse(document.getElementById("data").textContent);
const LOOK = { displayModeBar: false, responsive: true, doubleClick: "reset" };
const FONT = { family: '"Segoe UI", "Helvetica Neue", Arial, "Liberation Sans", sans-serif', size: 12, color: "#1d2733" };

// Rows of a face from top to bottom: what they are called, how high they are, and their traces.
function rowsOf(clip, face) {
  const x = clip.x, rows = [];
  if (face.expressions.length) {
    rows.push({
      label: "<b>expression</b>", height: 62, range: [0, 1], share: "",
      traces: face.expressions.map((one) => ({
        x, y: one.y, name: one.name, stackgroup: "e", stackgaps: "infer zero", mode: "none", fillcolor: one.colour,
        hovertemplate: one.name + " %{y:.2f}<extra></extra>",
      })),
    });
  }
  const dimensions = Object.entries(face.va);
  if (dimensions.length) {
    const strokes = { valence: ["#1d2733", "solid"], arousal: ["#8a6d00", "dot"] };
    rows.push({
      label: "<b>valence</b>, arousal (dotted)", height: 58, range: [-1, 1], share: "", zero: true,
      traces: dimensions.map(([name, y]) => ({
        x, y, name, mode: "lines", line: { color: strokes[name][0], dash: strokes[name][1], width: 1.5 },
        hovertemplate: name + " %{y:.2f}<extra></extra>",
      })),
    });
  }
  for (const unit of face.units) {
    rows.push({
      label: "<b>" + unit.name + "</b> " + unit.title, height: 36, range: [0, 1], limit: unit.limit,
      share: unit.share === null ? "" : Math.round(100 * unit.share) + " %",
      traces: [{  // a fill of its own: that of a line would bridge the gaps
        x, y: unit.y.map((value) => value === null ? 0 : value), mode: "none", fill: "tozeroy",
        fillcolor: face.colour + "2b", hoverinfo: "skip",
      }, {
        x, y: unit.y, name: unit.name, mode: "lines", line: { color: face.colour, width: 1.4 },
        hovertemplate: unit.name + " %{y:.2f}<extra></extra>",
      }],
    });
  }
  if (face.quality) {
    rows.push({
      label: "<b>quality</b>", height: 36, range: [0, 1], share: "",
      traces: [{
        x, y: face.quality, name: "quality", mode: "lines", line: { color: "#5d6b7a", width: 1.2 },
        hovertemplate: "quality %{y:.2f}<extra></extra>",
      }],
    });
  }
  return rows;
}

function drawFace(clip, face, plot) {
  const rows = rowsOf(clip, face), space = 7;
  const inside = rows.reduce((sum, row) => sum + row.height + space, 0);
  const layout = {
    height: inside + TOP + BOTTOM, margin: { l: LEFT, r: RIGHT, t: TOP, b: BOTTOM }, showlegend: false, font: FONT,
    hovermode: "x", hoverlabel: { font: { size: 12 } }, dragmode: "zoom", plot_bgcolor: "#fff", paper_bgcolor: "#fff",
    xaxis: {
      range: clip.range.slice(), anchor: rows.length > 1 ? "y" + rows.length : "y", showgrid: true, gridcolor: "#eef1f4",
      zeroline: false, title: { text: clip.timed ? "time (s)" : "frame", standoff: 4 }, hoverformat: clip.timed ? ".2f" : "d",
    },
    shapes: face.gaps.map(([a, b]) => ({
      type: "rect", xref: "x", yref: "paper", x0: a, x1: b, y0: 0, y1: 1, fillcolor: "#e3e7ec", line: { width: 0 },
      layer: "below",
    })),
    annotations: [],
  };
  const traces = [];
  let top = 1;
  rows.forEach((row, k) => {
    const axis = k ? "y" + (k + 1) : "y", height = row.height / inside;
    layout["yaxis" + (k ? k + 1 : "")] = {
      domain: [top - height, top], range: row.range, fixedrange: true, showgrid: false, zeroline: !!row.zero,
      zerolinecolor: "#c3cad2", showticklabels: false, linecolor: "#c3cad2", showline: true,
    };
    if (row.limit !== undefined && row.limit !== null) {
      layout.shapes.push({
        type: "line", xref: "paper", x0: 0, x1: 1, yref: axis, y0: row.limit, y1: row.limit,
        line: { color: "#5d6b7a", width: 1, dash: "dot" },
      });
    }
    const middle = top - height / 2;
    layout.annotations.push(
      { text: row.label, xref: "paper", yref: "paper", x: 0, xanchor: "right", xshift: -8, y: middle,
        yanchor: "middle", showarrow: false },
      { text: row.share, xref: "paper", yref: "paper", x: 1, xanchor: "left", xshift: 6, y: middle,
        yanchor: "middle", showarrow: false });
    row.traces.forEach((trace) => traces.push(Object.assign({ xaxis: "x", yaxis: axis, connectgaps: false }, trace)));
    top -= height + space / inside;
  });
  return Plotly.newPlot(plot, traces, layout, LOOK);
}

function drawCircle(clip, box) {
  const faces = clip.faces.filter((face) => face.va.valence && face.va.arousal);
  if (!faces.length) { box.style.display = "none"; return; }
  const traces = faces.map((face) => ({
    x: face.va.valence, y: face.va.arousal, mode: "markers", name: face.name, hoverinfo: "name",
    marker: { color: face.colour, size: 5, opacity: 0.3 },
  }));
  faces.forEach((face) => traces.push({
    x: [null], y: [null], mode: "markers", showlegend: false, hoverinfo: "skip",
    marker: { color: face.colour, size: 13, line: { color: "#111", width: 2 } },
  }));
  const axis = { range: [-1.08, 1.08], zeroline: true, zerolinecolor: "#c3cad2", showgrid: false, tickvals: [-1, 0, 1] };
  Plotly.newPlot(box, traces, {
    margin: { l: 44, r: 10, t: 8, b: 40 }, font: FONT, showlegend: false, dragmode: false,
    xaxis: Object.assign({ title: { text: "valence", standoff: 2 }, fixedrange: true }, axis),
    yaxis: Object.assign({ title: { text: "arousal", standoff: 2 }, scaleanchor: "x", fixedrange: true }, axis),
    shapes: [{ type: "circle", x0: -1, x1: 1, y0: -1, y1: 1, line: { color: "#c3cad2" }, layer: "below" }],
  }, LOOK);
  box.marked = faces;
}

// The place of the last point at or before a time.
function placeAt(x, time) {
  let low = 0, high = x.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (x[middle] <= time + 1e-6) low = middle; else high = middle - 1;
  }
  return low;
}

function tie(clip, part, charts, circle) {
  const video = part.querySelector("video");
  let marked = -1;
  function show(time) {
    for (const chart of charts) {
      const cursor = chart.parentElement.querySelector(".cursor"), [from, to] = chart.layout.xaxis.range;
      const share = (time - from) / (to - from);
      cursor.style.display = share >= 0 && share <= 1 ? "block" : "none";
      cursor.style.left = LEFT + share * (chart.clientWidth - LEFT - RIGHT) + "px";
    }
    const place = placeAt(clip.x, time);
    if (circle.marked && place !== marked) {
      marked = place;
      const count = circle.marked.length, at = circle.marked.map((_, k) => count + k);
      Plotly.restyle(circle, {
        x: circle.marked.map((face) => [face.va.valence[place]]), y: circle.marked.map((face) => [face.va.arousal[place]]),
      }, at);
    }
  }
  function go(time) {
    part.dataset.time = time.toFixed(3);
    show(time);
    if (video) video.currentTime = time;
  }
  for (const chart of charts) {
    let down = null;
    chart.addEventListener("pointerdown", (event) => { down = [event.clientX, event.clientY]; }, true);
    window.addEventListener("pointerup", (event) => {
      if (!down) return;
      const still = Math.hypot(event.clientX - down[0], event.clientY - down[1]) < 4;
      down = null;
      const across = event.clientX - chart.getBoundingClientRect().left - LEFT, width = chart.clientWidth - LEFT - RIGHT;
      const [from, to] = chart.layout.xaxis.range;
      if (still && across >= 0 && across <= width) go(from + across / width * (to - from));
    }, true);
    chart.on("plotly_relayout", (change) => {
      const range = chart.layout.xaxis.range.slice();
      for (const other of charts) {
        const [a, b] = other.layout.xaxis.range;
        if (other !== chart && (Math.abs(a - range[0]) > 1e-6 || Math.abs(b - range[1]) > 1e-6)) {
          Plotly.relayout(other, { "xaxis.range": range });
        }
      }
      if (part.dataset.time) show(video ? video.currentTime : Number(part.dataset.time));
    });
  }
  if (!video) return;
  const run = () => { show(video.currentTime); if (!video.paused && !video.ended) requestAnimationFrame(run); };
  video.addEventListener("play", run);
  video.addEventListener("seeked", () => { part.dataset.time = video.currentTime.toFixed(3); show(video.currentTime); });
  video.addEventListener("error", () => { part.querySelector(".gone").hidden = false; });
}

function drawGroups(groups, box) {
  const columns = groups.measures.length, traces = [];
  const layout = {
    margin: { l: 40, r: 10, t: 28, b: 40 }, font: FONT, showlegend: false, boxmode: "group",
    grid: { rows: 1, columns, pattern: "independent", xgap: 0.28 }, annotations: [],
  };
  groups.measures.forEach((measure, k) => {
    const end = k ? String(k + 1) : "";
    measure.values.forEach((values, level) => traces.push({
      type: "box", y: values, x: values.map(() => groups.levels[level]), name: groups.levels[level], boxpoints: "all",
      jitter: 0.4, pointpos: 0, fillcolor: "rgba(0,0,0,0)", line: { color: groups.colours[level], width: 1.5 },
      marker: { color: groups.colours[level], size: 6, opacity: 0.7 }, xaxis: "x" + end, yaxis: "y" + end,
      hovertemplate: measure.name + " %{y:.2f}<extra></extra>",
    }));
    layout["xaxis" + end] = { fixedrange: true };
    layout["yaxis" + end] = { fixedrange: true, gridcolor: "#eef1f4", zerolinecolor: "#c3cad2", nticks: 5 };
    if (measure.what === "share") {
      Object.assign(layout["yaxis" + end], { range: [-0.03, 1.03], tickformat: ".0%", tickvals: [0, 0.25, 0.5, 0.75, 1] });
    }
    layout.annotations.push({
      text: "<b>" + measure.name + "</b> " + measure.what, xref: "x" + end + " domain", yref: "y" + end + " domain", x: 0.5,
      y: 1, yanchor: "bottom", showarrow: false,
    });
  });
  Plotly.newPlot(box, traces, layout, LOOK);
}

const drawn = data.clips.map((clip) => {
  const part = document.querySelector('[data-clip="' + clip.id + '"]');
  if (!part) return null;
  const charts = clip.faces.map((face) => part.querySelector('[data-face="' + face.face + '"] .plot'));
  const circle = document.getElementById(clip.id + "-va");
  drawCircle(clip, circle);
  return Promise.all(clip.faces.map((face, k) => drawFace(clip, face, charts[k]))).then(() => tie(clip, part, charts, circle));
});
if (data.groups && data.groups.measures.length) drawGroups(data.groups, document.getElementById("groups-plot"));
Promise.all(drawn).then(() => { document.documentElement.dataset.ready = "yes"; });
// Charts are drawn again, as wide as an A4 sheet: the browser would print them as wide as the window.
const SHEET = 700;
const allCharts = () => [...document.querySelectorAll(".js-plotly-plot")];
window.addEventListener("beforeprint", () => allCharts().forEach((one) => {
  Plotly.relayout(one, { width: one.classList.contains("va") ? 320 : SHEET });
}));
window.addEventListener("afterprint", () => allCharts().forEach((one) => {
  Plotly.relayout(one, { width: null, autosize: true });
}));
