// The episode over time: value, reward, entropy, and what the heads said of each action. Drawn once an episode; the
// cursor is an element of its own, so that playing costs nothing here.
const GUTTER = 92, PAD = 8;
const chart = { first: 0, count: 1, rows: [], width: 1, key: "" };
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const xOf = (t) => GUTTER + (chart.width - GUTTER - PAD) * (t - chart.first + 0.5) / chart.count;
const rowAt = (x) => {
  const i = Math.floor((x - GUTTER) / (chart.width - GUTTER - PAD) * chart.count);
  return chart.first + Math.min(Math.max(i, 0), chart.count - 1);
};

function drawCharts(episode, withEntropy) {
  const canvas = $("chart-canvas"), context = fit(canvas), ratio = window.devicePixelRatio || 1;
  const width = canvas.width / ratio, height = canvas.height / ratio;
  Object.assign(chart, { first: episode.first, count: episode.count, width });
  context.scale(ratio, ratio);
  context.clearRect(0, 0, width, height);
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  const parts = [];
  if (worth) parts.push([2, valueName(), (box) => drawLine(context, worth, box, colour("--accent"))]);
  parts.push([1.1, "reward", (box) => drawRewards(context, box)]);
  if (withEntropy && entropy) parts.push([1.3, "entropy", (box) => drawLine(context, entropy, box, colour("--soft"))]);
  const actions = Math.min(6, Math.max(2, page.actions.length * 0.5));
  parts.push([actions, heads ? "" : "action", (box) => drawActions(context, box)]);
  const unit = (height - 2 * PAD - (parts.length - 1) * 9) / parts.reduce((sum, [share]) => sum + share, 0);
  let top = PAD;
  parts.forEach(([share, name, draw], i) => {
    const box = { top, height: share * unit, bottom: top + share * unit };
    if (i) rule(context, top - 4.5, width);
    if (name) {
      context.fillStyle = colour("--text");
      context.textAlign = "left";
      context.fillText(name, 9, top + 7);
    }
    draw(box);
    top = box.bottom + 9;
  });
  drawGaps(context, height);
}

function rule(context, y, width) {
  context.strokeStyle = colour("--line");
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(0, Math.round(y) + 0.5);
  context.lineTo(width, Math.round(y) + 0.5);
  context.stroke();
}

function range(series) {
  let low = Infinity, high = -Infinity;
  for (let t = chart.first; t < chart.first + chart.count; t++) { low = Math.min(low, series[t]); high = Math.max(high, series[t]); }
  return low < high ? [low, high] : [low - 0.5, high + 0.5];
}

function label(context, text, y) {
  context.fillStyle = colour("--soft");
  context.textAlign = "right";
  context.fillText(text, GUTTER - 7, y);
}

function drawLine(context, series, box, stroke) {
  const [low, high] = range(series);
  const yOf = (v) => box.bottom - 3 - (box.height - 6) * (v - low) / (high - low);
  label(context, number(high), box.top + 7);
  if (box.height > 30) label(context, number(low), box.bottom - 5);
  if (low < 0 && high > 0) {
    context.strokeStyle = colour("--line");
    context.beginPath(); context.moveTo(GUTTER, yOf(0)); context.lineTo(chart.width - PAD, yOf(0)); context.stroke();
  }
  context.strokeStyle = context.fillStyle = stroke;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.beginPath();
  for (let t = chart.first; t < chart.first + chart.count; t++) {
    if (t === chart.first || isGap(t)) context.moveTo(xOf(t), yOf(series[t])); else context.lineTo(xOf(t), yOf(series[t]));
  }
  context.stroke();
  if (chart.count < 40) for (let t = chart.first; t < chart.first + chart.count; t++) dot(context, xOf(t), yOf(series[t]), 2);
}

function dot(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function drawRewards(context, box) {
  let most = 0, lowest = 0;
  for (let t = chart.first; t < chart.first + chart.count; t++) { most = Math.max(most, steps.reward[t]); lowest = Math.min(lowest, steps.reward[t]); }
  const span = Math.max(most - lowest, 1e-12), yOf = (v) => box.bottom - 2 - (box.height - 5) * (v - lowest) / span;
  const base = most || lowest ? yOf(0) : box.bottom - 2;
  if (most) label(context, number(most), box.top + 7);
  if (lowest && box.height > 24) label(context, number(lowest), box.bottom - 6);
  context.strokeStyle = colour("--line");
  context.beginPath(); context.moveTo(GUTTER, base); context.lineTo(chart.width - PAD, base); context.stroke();
  const bar = Math.max(2, Math.min(6, (chart.width - GUTTER) / chart.count * 0.7));
  for (let t = chart.first; t < chart.first + chart.count; t++) {
    const x = xOf(t), r = steps.reward[t];
    context.fillStyle = colour("--reward");
    if (r) context.fillRect(x - bar / 2, Math.min(base, yOf(r)), bar, Math.max(1.5, Math.abs(yOf(r) - base)));
    if (steps.life_lost.has(t)) { context.fillStyle = colour("--life"); diamond(context, x, box.top + box.height / 2); }
    if (isEnd(t)) { context.fillStyle = colour("--text"); context.fillRect(x - 1, box.top, 2, box.height); }
  }
}

function diamond(context, x, y, size = 4) {
  context.beginPath();
  context.moveTo(x, y - size); context.lineTo(x + size, y); context.lineTo(x, y + size); context.lineTo(x - size, y);
  context.fill();
}

// One line an action: the stronger the blue, the likelier (or the better, for q); a mark where it was taken.
function drawActions(context, box) {
  const names = page.actions, line = box.height / names.length, wide = (chart.width - GUTTER - PAD) / chart.count;
  const long = Math.min(12, Math.max(1, wide - 1));
  if (heads) {
    const picture = new OffscreenCanvas(chart.count, names.length), pen = picture.getContext("2d");
    const image = pen.createImageData(chart.count, names.length);
    const [r, g, b] = hex(colour("--accent"));
    for (let i = 0; i < chart.count; i++) {
      shares(chart.first + i).forEach((p, a) => image.data.set([r, g, b, 235 * p], 4 * (a * chart.count + i)));
    }
    pen.putImageData(image, 0, 0);
    context.imageSmoothingEnabled = wide < 1;
    context.drawImage(picture, GUTTER, box.top, chart.width - GUTTER - PAD, box.height);
  }
  context.fillStyle = colour("--text");
  const mark = Math.min(3, line * 0.4);
  for (let t = chart.first; t < chart.first + chart.count; t++) {
    context.fillRect(xOf(t) - long / 2, box.top + (steps.action[t] + 0.5) * line - mark / 2, long, mark);
  }
  const every = Math.ceil(9 / line);
  context.font = `${Math.min(11, Math.max(8, line))}px system-ui, sans-serif`;
  names.forEach((name, a) => { if (a % every === 0) label(context, shortened(context, name), box.top + (a + 0.5) * line); });
  context.font = "11px system-ui, sans-serif";
}

function shortened(context, text) {
  if (context.measureText(text).width <= GUTTER - 14) return text;
  while (text && context.measureText(text + "…").width > GUTTER - 14) text = text.slice(0, -1);
  return text + "…";
}

// How strongly the heads speak for each action, 0 to 1: a probability, or the place of q between the step's worst and best
function shares(t) {
  const row = heads.values[t];
  if (heads.kind === "probability") return row;
  const low = Math.min(...row), span = Math.max(...row) - low;
  return row.map((q) => (span > 0 ? (q - low) / span : 0));
}

function hex(text) {
  return [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
}

function drawGaps(context, height) {
  context.strokeStyle = colour("--soft");
  context.setLineDash([3, 4]);
  context.lineWidth = 1;
  for (let t = chart.first + 1; t < chart.first + chart.count; t++) {
    if (!isGap(t)) continue;
    const x = Math.round((xOf(t) + xOf(t - 1)) / 2) + 0.5;
    context.beginPath(); context.moveTo(x, 0); context.lineTo(x, height); context.stroke();
  }
  context.setLineDash([]);
}

// Events above the scrubber, at the places that its handle takes
function drawTicks(episode) {
  const canvas = $("ticks"), context = fit(canvas), ratio = window.devicePixelRatio || 1;
  const height = canvas.height / ratio, width = canvas.width / ratio;
  context.scale(ratio, ratio);
  context.clearRect(0, 0, width, height);
  for (const t of events) {
    if (t < episode.first || t >= episode.first + episode.count) continue;
    const x = 8 + (width - 16) * (episode.count > 1 ? (t - episode.first) / (episode.count - 1) : 0);
    if (steps.life_lost.has(t)) { context.fillStyle = colour("--life"); diamond(context, x, height / 2, 3.5); }
    if (steps.reward[t]) { context.fillStyle = colour("--reward"); dot(context, x, height / 2, 2.5); }
    if (isEnd(t)) { context.fillStyle = colour("--text"); context.fillRect(x - 1, 0, 2, height); }
  }
}

function valueName() { return steps.value || !heads ? "value" : "best q"; }
