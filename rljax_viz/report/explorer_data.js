// The data of the page: its steps, and its atlases, decoded only when one of their tiles is shown.
const $ = (id) => document.getElementById(id);
const page = JSON.parse($("page").textContent);
const steps = page.steps;
const count = steps.step.length;
const heads = steps.heads;
for (const name of ["terminated", "truncated", "life_lost"]) steps[name] = new Set(steps[name]);

const isEnd = (t) => steps.terminated.has(t) || steps.truncated.has(t);
const isEvent = (t) => steps.reward[t] !== 0 || steps.life_lost.has(t) || isEnd(t);
const isGap = (t) => t > 0 && steps.step[t] !== steps.step[t - 1] + 1; // within an episode
const events = [...Array(count).keys()].filter(isEvent);
const episodeOf = (t) => page.episodes.find((e) => t < e.first + e.count);
const worth = steps.value ?? (heads?.kind === "q" ? heads.values.map((row) => Math.max(...row)) : null);
const entropy = heads?.kind === "probability"
  ? heads.values.map((row) => -row.reduce((sum, p) => sum + (p > 0 ? p * Math.log(p) : 0), 0)) : null;

function number(x, digits = 3) {
  if (x === 0) return "0";
  const size = Math.abs(x);
  const text = size >= 1e5 || size < 1e-3 ? x.toExponential(digits - 1) : String(+x.toPrecision(digits));
  return text.replace(/-/g, "\u2212");
}

// --- atlases ---

const arriving = new Map(); // id -> what takes the text of an atlas that lies beside the page
window.rljaxAtlas = (id, text) => { arriving.get(id)?.(text); arriving.delete(id); };

function atlasText(id) {
  const inside = $("atlas-" + id);
  if (inside) return Promise.resolve(inside.textContent);
  return new Promise((resolve, reject) => {
    // A script, because a page from file:// may load scripts that lie beside it, and nothing else.
    const script = document.createElement("script");
    script.src = `${encodeURIComponent(page.folder)}/atlas-${id}.js`;
    script.onload = () => script.remove();
    script.onerror = () => reject(new Error(`${page.folder}/atlas-${id}.js was not found: this page and its folder ` +
      `${page.folder} belong together; put the folder beside the page.`));
    arriving.set(id, resolve);
    document.head.append(script);
  });
}

async function atlasImage(id) {
  const image = new Image();
  image.src = "data:image/webp;base64," + await atlasText(id);
  await image.decode();
  return image;
}

async function atlasBytes(id) { // one byte a pixel
  const image = await atlasImage(id);
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const rgba = context.getImageData(0, 0, image.width, image.height).data;
  const bytes = new Uint8Array(rgba.length / 4);
  for (let i = 0; i < bytes.length; i++) bytes[i] = rgba[4 * i];
  return { bytes, width: image.width, height: image.height };
}

// The last `limit` atlases that were looked at; `get` gives one at once or starts it and gives undefined.
class Shelf {
  constructor(limit, open) { Object.assign(this, { limit, open, ready: new Map(), coming: new Map() }); }
  get(id) {
    const found = this.ready.get(id);
    if (!found) { this.fetch(id); return undefined; }
    this.ready.delete(id);
    this.ready.set(id, found); // newest last
    return found;
  }
  fetch(id) {
    if (this.ready.has(id) || this.coming.has(id)) return;
    this.coming.set(id, this.open(id).then((value) => {
      this.ready.set(id, value);
      if (this.ready.size > this.limit) this.ready.delete(this.ready.keys().next().value);
    }).then(() => invalidate(), fail).finally(() => this.coming.delete(id)));
  }
}

const images = new Shelf(24, atlasImage);
const bytes = new Shelf(96, atlasBytes);

class Tiles {
  constructor(spec, shelf, planes = 1) {
    Object.assign(this, spec);
    this.shelf = shelf;
    this.tileWidth = spec.width * planes;
  }
  // {atlas, x, y} of a tile, or undefined as long as it is not decoded
  get(tile) {
    const atlas = this.shelf.get(this.atlases[Math.floor(tile / this.per_atlas)]);
    const i = tile % this.per_atlas;
    return atlas && { atlas, x: (i % this.columns) * this.tileWidth, y: Math.floor(i / this.columns) * this.height };
  }
  ahead(tile) { // the atlas after this one, so that playing does not wait
    const next = this.atlases[Math.floor(tile / this.per_atlas) + 1];
    if (next !== undefined) this.shelf.fetch(next);
  }
}

const planar = ![1, 3].includes(page.frames.channels);
const frames = new Tiles(page.frames, planar ? bytes : images, planar ? page.frames.channels : 1);
const game = page.rgb && new Tiles(page.rgb, images);
const maps = page.maps.map((spec) => new Tiles(spec, bytes));

// Raw values of a map at step t, or null as long as they are not decoded
function mapBytes(map, t) {
  const at = map.get(t * map.channels);
  if (!at) return null;
  const { bytes: sheet, width } = at.atlas;
  const out = new Uint8Array(map.height * map.width);
  for (let y = 0; y < map.height; y++) {
    const from = (at.y + y) * width + at.x;
    out.set(sheet.subarray(from, from + map.width), y * map.width);
  }
  return out;
}

const largest = new Map(); // the largest magnitude of a map over rows, computed once
function scaleOf(map, t, by) {
  if (by === "frame") return map.scale[t * map.channels];
  const { first, count: rows } = by === "episode" ? episodeOf(t) : { first: 0, count };
  const key = `${maps.indexOf(map)}:${first}:${rows}`;
  if (!largest.has(key)) {
    let most = 0;
    for (let i = first * map.channels; i < (first + rows) * map.channels; i++) most = Math.max(most, map.scale[i]);
    largest.set(key, most);
  }
  return largest.get(key);
}

function fail(error) {
  console.error(error);
  const message = Object.assign(document.createElement("p"), { id: "fatal", textContent: error.message });
  if (!$("fatal")) document.querySelector("main").prepend(message);
}
