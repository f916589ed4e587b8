// Pictures: frames as they are, maps in two colours, one over the other.

// Canvases take the size they have on the screen, in the screen's own pixels.
function fit(canvas) {
  const box = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(box.width * ratio)), height = Math.max(1, Math.round(box.height * ratio));
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalCompositeOperation = "source-over";
  return context;
}

const scratch = document.createElement("canvas");

// Enlarged without blur: by a whole number to the nearest pixel, the rest smoothly, so that all pixels look alike.
function crisp(context, source, x, y, width, height) {
  const { width: w, height: h } = context.canvas;
  const times = Math.max(1, Math.ceil(Math.min(w / width, h / height)));
  scratch.width = width * times;
  scratch.height = height * times;
  const between = scratch.getContext("2d");
  between.imageSmoothingEnabled = false;
  between.drawImage(source, x, y, width, height, 0, 0, scratch.width, scratch.height);
  context.imageSmoothingEnabled = true;
  context.drawImage(scratch, 0, 0, w, h);
}

const sheet = new OffscreenCanvas(1, 1);
const sheetContext = sheet.getContext("2d", { willReadFrequently: true });

function onSheet(rgba, width, height) {
  sheet.width = width;
  sheet.height = height;
  sheetContext.putImageData(new ImageData(rgba, width, height), 0, 0);
  return sheet;
}

// One tile of `frames`; of planes all in their colours, or `plane` alone. False as long as it is not decoded.
function drawFrame(context, tile, plane = null) {
  const at = frames.get(tile);
  if (!at) return false;
  if (planar) {
    crisp(context, onSheet(composed(at, plane), frames.width, frames.height), 0, 0, frames.width, frames.height);
  } else {
    crisp(context, at.atlas, at.x, at.y, frames.width, frames.height);
  }
  return true;
}

function composed(at, only) {
  const { width, height, channels } = frames;
  const rgba = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const to = 4 * (y * width + x), from = (at.y + y) * at.atlas.width + at.x + x;
      rgba[to + 3] = 255;
      for (let c = 0; c < channels; c++) {
        const lit = only === null || only === c ? at.atlas.bytes[from + c * width] / 255 : 0;
        if (lit) for (let k = 0; k < 3; k++) rgba[to + k] += lit * page.palette[c % page.palette.length][k];
      }
    }
  }
  return rgba;
}

const COLOURS = { green: [[44, 224, 128], [255, 70, 84]], blue: [[70, 170, 255], [255, 150, 40]] };

// A map over what stands on the canvas already. `full` is the value of the full colour.
function drawMap(context, map, t, { full, opacity, smooth, colours }) {
  const data = mapBytes(map, t);
  if (!data) return false;
  const perLevel = full > 0 ? map.scale[t * map.channels] / 127 / full : 0;
  const coarse = map.height < frames.height || map.width < frames.width;
  const times = smooth && coarse ? Math.max(2, Math.ceil(160 / map.height)) : 1;
  const width = map.width * times, height = map.height * times;
  const levels = times > 1 ? enlarged(data, map.width, map.height, times) : data;
  const rgba = new Uint8ClampedArray(4 * width * height);
  const [positive, negative] = COLOURS[colours];
  for (let i = 0; i < levels.length; i++) {
    const value = (levels[i] - 128) * perLevel;
    const [r, g, b] = value > 0 ? positive : negative;
    rgba[4 * i] = r; rgba[4 * i + 1] = g; rgba[4 * i + 2] = b;
    rgba[4 * i + 3] = 255 * opacity * Math.min(1, Math.abs(value));
  }
  crisp(context, onSheet(rgba, width, height), 0, 0, width, height);
  return true;
}

// Bilinear with half-pixel centres, on the values and not on their colours
function enlarged(data, width, height, times) {
  const out = new Float32Array(width * height * times * times);
  const stops = (size) => Array.from({ length: size * times }, (_, i) => {
    const at = Math.min(Math.max((i + 0.5) / times - 0.5, 0), size - 1), low = Math.floor(at);
    return [low, Math.min(low + 1, size - 1), at - low];
  });
  const columns = stops(width);
  let i = 0;
  for (const [y0, y1, fy] of stops(height)) {
    for (const [x0, x1, fx] of columns) {
      const top = data[y0 * width + x0] * (1 - fx) + data[y0 * width + x1] * fx;
      const bottom = data[y1 * width + x0] * (1 - fx) + data[y1 * width + x1] * fx;
      out[i++] = top * (1 - fy) + bottom * fy;
    }
  }
  return out;
}

function clear(context) { context.clearRect(0, 0, context.canvas.width, context.canvas.height); }

// What lies under a map: the frame in greys and dimmed, so that the colours that remain are the map's.
function drawUnder(context, tile, light) {
  if (!drawFrame(context, tile)) return;
  const cover = (how, style) => {
    context.globalCompositeOperation = how;
    context.fillStyle = style;
    context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  };
  cover("saturation", "#808080");
  cover("source-over", `rgb(0 0 0 / ${1 - light})`);
}

// A box around cell (x, y) of a picture of width x height cells
function drawCell(context, { x, y, width, height }) {
  const w = context.canvas.width / width, h = context.canvas.height / height;
  const ratio = window.devicePixelRatio || 1;
  for (const [colour, line] of [["#000b", 3], ["#fff", 1.2]]) {
    context.strokeStyle = colour;
    context.lineWidth = line * ratio;
    context.strokeRect(x * w, y * h, w, h);
  }
}
