// The page as a whole: one state, one `draw`, and what changes the state.
const state = {
  t: 0, playing: false, speed: 15, map: 0, view: "overlay", scaling: "frame", opacity: 0.5, gain: 1, smooth: true,
  colours: "green", entropy: false, pinned: null, hover: null,
};
const lens = (map) => (severalLayers(map.method) ? `${map.name} · ${map.layer}` : map.name);
const severalLayers = (method) => new Set(maps.filter((m) => m.method === method).map((m) => m.layer)).size > 1;
const lenses = [...new Set(maps.map(lens))];
const scores = [...new Map(maps.map((m) => [m.score, m.score_name]))];
const bestMap = (name, score) => maps.find((m) => lens(m) === name && m.score === score) ?? maps.find((m) => lens(m) === name);

// --- drawing ---

let queued = false;
function invalidate() {
  delete document.body.dataset.drawn;
  if (!queued) requestAnimationFrame(() => { queued = false; draw(); });
  queued = true;
}

function draw() {
  const { t } = state, map = maps[state.map], episode = episodeOf(t);
  const chartKey = JSON.stringify([episode.first, state.entropy, innerWidth, innerHeight, devicePixelRatio, document.documentElement.dataset]);
  if (chartKey !== chart.key) { chart.key = chartKey; drawCharts(episode, state.entropy); drawTicks(episode); }
  const drawn = [drawGame(t), drawAgent(t), !map || drawWhy(map, t)];
  drawThumbs(t);
  tell(t, episode, map);
  if (drawn.every(Boolean)) document.body.dataset.drawn = `${t}`; // whoever waits for the picture may go on
}

function drawGame(t) {
  if (!game) return true;
  const at = game.get(t);
  if (at) crisp(fit($("game-canvas")), at.atlas, at.x, at.y, game.width, game.height);
  game.ahead(t);
  return Boolean(at);
}

function shownFrame(t) {
  const stack = page.frames.index[t];
  return planar || state.pinned === null ? [stack.at(-1), planar ? state.pinned : null] : [stack[state.pinned], null];
}

function drawAgent(t) {
  const context = fit($("agent-canvas")), done = drawFrame(context, ...shownFrame(t));
  frames.ahead(page.frames.index[t].at(-1));
  if (state.hover) drawCell(context, { ...state.hover, width: frames.width, height: frames.height });
  for (const [i, canvas] of [...$("stack").querySelectorAll("canvas")].entries()) {
    if (planar) drawFrame(fit(canvas), page.frames.index[t].at(-1), i); else drawFrame(fit(canvas), page.frames.index[t][i]);
  }
  return done;
}

const look = (map, t) => ({ full: scaleOf(map, t, state.scaling) / state.gain, smooth: state.smooth, colours: state.colours,
  opacity: state.view === "overlay" ? state.opacity : 1 });

function drawWhy(map, t) {
  const context = fit($("map-canvas"));
  clear(context);
  if (state.view === "overlay") drawUnder(context, page.frames.index[t].at(-1), 1 - 0.8 * state.opacity);
  const done = drawMap(context, map, t, look(map, t));
  map.ahead(t);
  if (state.hover) drawCell(context, { ...cellOf(map), width: map.width, height: map.height });
  return done;
}

// The cell of the map under the pointer, which stands on a pixel of the frame
const cellOf = (map) => ({ x: Math.floor((state.hover.x + 0.5) / frames.width * map.width), y: Math.floor((state.hover.y + 0.5) / frames.height * map.height) });

function drawThumbs(t) {
  for (const button of $("thumbs").children) {
    const map = bestMap(button.dataset.lens, maps[state.map].score), context = fit(button.querySelector("canvas"));
    clear(context);
    if (state.view === "overlay") drawUnder(context, page.frames.index[t].at(-1), 0.4);
    drawMap(context, map, t, { ...look(map, t), opacity: 1 }); // too small for half of a colour
    map.ahead(t);
  }
}

// --- words ---

function tell(t, episode, map) {
  const reward = steps.reward[t];
  $("now-action").textContent = $("now-action").title = page.actions[steps.action[t]];
  $("now-reward").textContent = (reward > 0 ? "+" : "") + number(reward, 4) + (steps.life_lost.has(t) ? " · life lost" : isEnd(t) ? " · end" : "");
  $("now-reward").className = reward ? "earned" : "";
  $("now-value").textContent = worth ? number(worth[t]) : "–";
  $("scrub").max = episode.count - 1;
  $("scrub").value = t - episode.first;
  $("episode").value = page.episodes.indexOf(episode);
  const last = steps.step[episode.first + episode.count - 1];
  $("where").replaceChildren(`step ${steps.step[t]}`, make("span", { textContent: ` of ${last} · ${t - episode.first + 1}/${episode.count} shown` }));
  $("cursor").style.transform = `translateX(${xOf(t)}px)`;
  tellBars(t);
  if (map) tellMap(t, map);
}

function tellBars(t) {
  const share = heads && shares(t);
  for (const [a, item] of [...$("bars").children].entries()) {
    item.classList.toggle("chosen", a === steps.action[t]);
    if (!heads) continue;
    item.querySelector("i").style.width = `${100 * share[a]}%`;
    const value = heads.values[t][a];
    item.querySelector("b").textContent = heads.kind === "q" ? number(value) : `${(100 * value).toFixed(value > 0.0995 ? 0 : 1)} %`;
  }
}

const BY = { frame: "the largest of this step", episode: "the largest of this episode", global: "the largest of all steps" };

function tellMap(t, map) {
  const full = scaleOf(map, t, state.scaling) / state.gain;
  $("why-title").textContent = map.name;
  $("why-note").textContent = `for ${map.score_name}${map.layer ? `, layer ${map.layer}` : ""} · ${map.width}×${map.height}`;
  $("low").textContent = map.signed ? number(-full) : "0";
  $("high").textContent = map.signed ? "+" + number(full) : number(full);
  $("legend").querySelector(".scale").classList.toggle("unsigned", !map.signed);
  const about = state.colours === "green" ? map.about : map.about.replace(/Green/g, "Blue").replace(/green/g, "blue")
    .replace(/\bRed\b/g, "Orange").replace(/\bred\b/g, "orange");
  const strong = Object.assign(document.createElement("b"));
  if (state.hover) {
    const { x, y } = cellOf(map), data = mapBytes(map, t);
    const value = data ? (data[y * map.width + x] - 128) / 127 * map.scale[t * map.channels] : NaN;
    strong.textContent = `${value > 0 ? "+" : ""}${number(value)} ${map.units}`;
    $("readout").replaceChildren(strong, ` at x ${x}, y ${y} of ${map.width}×${map.height}: ` +
      `${full > 0 ? Math.round(100 * Math.abs(value) / full) : 0} % of the full colour`);
  } else {
    strong.textContent = `${number(full)}${map.units ? " " + map.units : ""}`;
    const source = full > 0 ? `has the full colour: ${BY[state.scaling]}${state.gain > 1 ? ` / ${number(state.gain, 2)}` : ""}. ` : ": an empty map. ";
    $("readout").replaceChildren(strong, ` ${source}${about}`);
  }
  $("readout").title = about;
  $("method").value = lens(map);
  $("score").value = map.score;
  for (const button of $("thumbs").children) button.setAttribute("aria-pressed", button.dataset.lens === lens(map));
}

// --- changes ---

function go(t) {
  const before = episodeOf(state.t);
  state.t = Math.min(Math.max(Math.round(t), 0), count - 1);
  if (!state.playing) remember();
  if (before !== episodeOf(state.t)) chart.key = "";
  invalidate();
}

function within(t) { // the same episode
  const { first, count: rows } = episodeOf(state.t);
  return Math.min(Math.max(t, first), first + rows - 1);
}

const step = (by) => { pause(); go(within(state.t + by)); };
const event = (by) => {
  pause();
  const next = by > 0 ? events.find((t) => t > state.t) : events.findLast((t) => t < state.t);
  if (next !== undefined) go(next);
};

function set(changes) {
  Object.assign(state, changes);
  document.documentElement.dataset.colours = state.colours;
  for (const name of ["view", "scaling"]) {
    for (const button of $(name).children) button.setAttribute("aria-pressed", button.dataset.value === state[name]);
  }
  $("opacity").value = 100 * state.opacity;
  $("opacity").disabled = state.view !== "overlay";
  $("opacity-text").textContent = `${Math.round(100 * state.opacity)} %`;
  $("gain").value = 20 * Math.log10(state.gain);
  $("gain-text").textContent = `× ${number(state.gain, 2)}`;
  for (const [i, button] of [...$("stack").querySelectorAll("button")].entries()) {
    button.setAttribute("aria-pressed", state.pinned === null ? !planar && i === page.frames.stack - 1 : i === state.pinned);
  }
  if (!state.playing) remember();
  invalidate();
}

function choose(name, score) {
  const map = bestMap(name, score);
  if (map) set({ map: maps.indexOf(map) });
}
const turn = (list, now, by) => list[(list.indexOf(now) + by + list.length) % list.length];

let before = 0, owed = 0;
function tick(now) {
  if (!state.playing) return;
  owed = Math.min(owed + (now - before) / 1000 * state.speed, 8);
  before = now;
  const next = within(state.t + Math.floor(owed));
  if (next > state.t && document.body.dataset.drawn === `${state.t}`) { // never ahead of the pictures
    owed -= Math.floor(owed);
    go(next);
  }
  if (state.t === within(count)) pause(); else requestAnimationFrame(tick);
}

function play() {
  const { first } = episodeOf(state.t);
  if (state.t === within(count)) go(first);
  state.playing = true;
  $("play").classList.add("playing");
  $("play").setAttribute("aria-label", "pause");
  before = performance.now();
  owed = 0;
  requestAnimationFrame(tick);
}

function pause() {
  if (!state.playing) return;
  state.playing = false;
  $("play").classList.remove("playing");
  $("play").setAttribute("aria-label", "play");
  remember();
}
const toggle = () => (state.playing ? pause() : play());

// The address holds the moment, so that it can be sent to somebody.
let remembering = 0;
function remember() {
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    const map = maps[state.map];
    const words = new URLSearchParams({ t: state.t, ...(map && { method: lens(map), score: map.score }), view: state.view, scaling: state.scaling });
    try { history.replaceState(null, "", "#" + words); } catch { /* some browsers refuse it for file:// */ }
  }, 300);
}

function recall() {
  const words = new URLSearchParams(location.hash.slice(1)), t = Number(words.get("t"));
  if (words.has("method")) choose(words.get("method"), words.get("score"));
  if (["overlay", "side"].includes(words.get("view"))) set({ view: words.get("view") });
  if (words.get("scaling") in BY) set({ scaling: words.get("scaling") });
  if (Number.isFinite(t)) go(t);
}
