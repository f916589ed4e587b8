// The page is laid out from what was recorded, and its controls and keys are tied to the state.
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

function layOut() {
  const root = $("stage").style, aspect = frames.width / frames.height;
  const widths = [...(game ? [game.width / game.height] : []), aspect, ...(maps.length ? [aspect] : [])];
  root.setProperty("--columns", widths.map((w) => `calc(var(--s) * ${w})`).join(" "));
  root.setProperty("--units", widths.reduce((a, b) => a + b));
  root.setProperty("--gaps", widths.length);
  root.setProperty("--agent-aspect", aspect);
  if (game) root.setProperty("--game-aspect", game.width / game.height);
  document.body.classList.toggle("no-game", !game);
  document.body.classList.toggle("no-maps", !maps.length);
  document.title = $("title").textContent = $("title").title = page.title;
  $("game-note").textContent = game ? `${game.width}×${game.height}, in colour` : "";
  if (!game) { // the agent's frame is the game; what happens at the step stands below it
    $("game").hidden = true;
    $("panel").append($("now-facts"));
  }
  $("chips").replaceChildren(...page.facts.map(([name, text]) => make("li", { title: `${name}: ${text}` }, make("span", { textContent: name }), text)));
  $("facts-table").replaceChildren(...[["title", page.title], ...page.facts, ["steps shown", count], ["episodes", page.episodes.length]]
    .map(([name, text]) => make("tr", {}, make("th", { textContent: name }), make("td", { textContent: text }))));
}

function layOutStack() {
  const { stack, channels, width, height } = page.frames;
  $("agent-note").textContent = planar ? `${width}×${height}, ${channels} planes of objects` : `${width}×${height}${stack > 1 ? `, newest of ${stack} frames` : ""}`;
  const many = planar ? channels : stack;
  if (many === 1) { $("stack").append(make("p", { textContent: "The agent is given this frame and nothing else." })); return; }
  for (let i = 0; i < many; i++) {
    const name = planar ? `${i}` : i === stack - 1 ? "now" : `−${stack - 1 - i}`;
    const title = planar ? `plane ${i} alone` : i === stack - 1 ? "the newest frame" : `the frame ${stack - 1 - i} before`;
    const button = make("button", { title }, make("canvas"), make("span", { textContent: name }));
    const rest = planar ? null : stack - 1;
    button.onclick = () => set({ pinned: state.pinned === i || i === rest ? null : i });
    $("stack").append(button);
  }
}

function layOutPickers() {
  $("episode").replaceChildren(...page.episodes.map((e, i) => {
    let total = 0;
    for (let t = e.first; t < e.first + e.count; t++) total += steps.reward[t];
    return make("option", { value: i, textContent: `episode ${e.id} · reward ${number(total, 4)}` });
  }));
  $("episode").title = "episode, and the sum of the rewards of its steps shown here";
  $("method").replaceChildren(...lenses.map((name) => make("option", { value: name, textContent: name })));
  $("score").replaceChildren(...scores.map(([score, name]) => make("option", { value: score, textContent: name })));
  $("speed").replaceChildren(...[2, 5, 10, 15, 30, 60, 120].map((n) => make("option", { value: n, textContent: `${n} steps/s` })));
  $("speed").value = state.speed;
  for (const name of lenses) {
    const { method, layer, short } = maps.find((m) => lens(m) === name);
    const words = severalLayers(method) ? `${short} ${layer}` : short;
    const button = make("button", { title: name }, make("canvas"), make("span", { textContent: words }));
    button.dataset.lens = name;
    button.onclick = () => choose(name, maps[state.map].score);
    $("thumbs").append(button);
  }
}

function layOutHeads() {
  const title = heads?.kind === "probability" ? "probability of each action; the chosen one is framed" : heads ? "q of each action; the chosen one is framed" : "the action taken";
  $("heads-title").textContent = title;
  const dense = page.actions.length > 9;
  $("bars").classList.toggle("dense", dense);
  $("bars").style.setProperty("--rows", dense ? Math.ceil(page.actions.length / 2) : page.actions.length);
  $("bars").replaceChildren(...page.actions.map((name) => make("li", { title: name }, make("i"), make("span", { textContent: name }), make("b"))));
  $("now-value-name").textContent = valueName();
}

// --- controls ---

function tieControls() {
  const click = { play: toggle, back: () => step(-1), forward: () => step(1), "previous-event": () => event(-1), "next-event": () => event(1),
    "facts-button": () => $("facts").showModal(), "help-button": () => $("help").showModal() };
  for (const [id, act] of Object.entries(click)) $(id).onclick = act;
  $("episode").onchange = (e) => { pause(); go(page.episodes[e.target.value].first); };
  $("method").onchange = (e) => choose(e.target.value, maps[state.map].score);
  $("score").onchange = (e) => choose(lens(maps[state.map]), e.target.value);
  $("speed").onchange = (e) => { state.speed = Number(e.target.value); };
  $("scrub").oninput = (e) => { pause(); go(episodeOf(state.t).first + Number(e.target.value)); };
  $("opacity").oninput = (e) => set({ opacity: e.target.value / 100 });
  $("gain").oninput = (e) => set({ gain: 10 ** (e.target.value / 20) });
  $("smooth").onchange = (e) => set({ smooth: e.target.checked });
  $("colours").onchange = (e) => set({ colours: e.target.checked ? "blue" : "green" });
  for (const name of ["view", "scaling"]) for (const button of $(name).children) button.onclick = () => set({ [name]: button.dataset.value });
  for (const dialog of document.querySelectorAll("dialog")) dialog.onclick = (e) => { if (e.target === dialog) dialog.close(); };
  // After the mouse, keys belong to the page again.
  document.addEventListener("click", (e) => { if (e.detail > 0) e.target.closest?.("button")?.blur(); });
  document.addEventListener("change", (e) => e.target.blur());
  document.addEventListener("pointerup", (e) => { if (e.target.type === "range") e.target.blur(); });
}

function tieTheme() {
  const dark = matchMedia("(prefers-color-scheme: light)");
  let chosen = null;
  const apply = () => {
    document.documentElement.dataset.theme = chosen ?? (dark.matches ? "light" : "dark");
    invalidate();
  };
  dark.addEventListener("change", apply);
  $("theme").onclick = () => { chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark"; apply(); };
  apply();
}

function tieCharts() {
  const charts = $("charts");
  const at = (e) => rowAt(e.clientX - charts.getBoundingClientRect().left - charts.clientLeft);
  let held = false;
  charts.onpointerdown = (e) => { held = true; charts.setPointerCapture(e.pointerId); pause(); go(at(e)); };
  charts.onpointermove = (e) => {
    const t = at(e);
    if (held) go(t);
    showTip(t, charts.clientWidth);
  };
  charts.onpointerup = charts.onpointercancel = () => { held = false; };
  charts.onpointerleave = () => { $("tip").hidden = $("ghost").hidden = true; };
  charts.onpointerleave();
}

function showTip(t, width) {
  const words = [`step ${steps.step[t]}`, page.actions[steps.action[t]]];
  if (worth) words.push(`${valueName()} ${number(worth[t])}`);
  if (steps.reward[t]) words.push(`reward ${number(steps.reward[t], 4)}`);
  if (entropy) words.push(`entropy ${number(entropy[t])}`);
  if (steps.life_lost.has(t)) words.push("life lost");
  if (isEnd(t)) words.push(steps.terminated.has(t) ? "end" : "cut off");
  $("tip").hidden = $("ghost").hidden = false;
  $("tip").textContent = words.join(" · ");
  $("ghost").style.transform = `translateX(${xOf(t)}px)`;
  const room = width - $("tip").offsetWidth - 4;
  $("tip").style.transform = `translateX(${Math.max(4, Math.min(xOf(t) + 8, room))}px)`;
}

function tiePointer(canvas) {
  canvas.onpointermove = canvas.onpointerdown = (e) => {
    const box = canvas.getBoundingClientRect();
    const x = Math.floor((e.clientX - box.left) / box.width * frames.width), y = Math.floor((e.clientY - box.top) / box.height * frames.height);
    if (x < 0 || y < 0 || x >= frames.width || y >= frames.height) return;
    state.hover = { x, y };
    invalidate();
  };
  canvas.onpointerleave = () => { state.hover = null; invalidate(); };
}

const KEYS = {
  " ": toggle, ArrowLeft: (e) => step(e.shiftKey ? -10 : -1), ArrowRight: (e) => step(e.shiftKey ? 10 : 1),
  Home: () => step(-count), End: () => step(count), n: () => event(1), p: () => event(-1),
  m: (e) => maps.length && choose(turn(lenses, lens(maps[state.map]), e.shiftKey ? -1 : 1), maps[state.map].score),
  s: (e) => maps.length && choose(lens(maps[state.map]), turn(scores.map(([score]) => score), maps[state.map].score, e.shiftKey ? -1 : 1)),
  v: () => set({ view: state.view === "overlay" ? "side" : "overlay" }),
  1: () => set({ scaling: "frame" }), 2: () => set({ scaling: "episode" }), 3: () => set({ scaling: "global" }),
  "+": () => set({ opacity: Math.min(1, state.opacity + 0.1) }), "-": () => set({ opacity: Math.max(0, state.opacity - 0.1) }),
  e: () => set({ entropy: !state.entropy }), "?": () => $("help").showModal(),
  "[": () => otherEpisode(-1), "]": () => otherEpisode(1),
};
KEYS["="] = KEYS["+"];

function otherEpisode(by) {
  const next = page.episodes[page.episodes.indexOf(episodeOf(state.t)) + by];
  if (next) { pause(); go(next.first); }
}

function tieKeys() {
  document.addEventListener("keydown", (e) => {
    const act = KEYS[e.key.length === 1 ? e.key.toLowerCase() : e.key], at = e.target;
    if (!act || e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]")) return;
    if (at.tagName === "SELECT" || (at.type === "range" && at.id !== "scrub" && e.key.startsWith("Arrow"))) return;
    if (e.key === " " && ["BUTTON", "INPUT"].includes(at.tagName) && at.id !== "scrub") return; // a focused control takes its own space
    e.preventDefault();
    act(e);
  });
}

layOut();
layOutStack();
layOutPickers();
layOutHeads();
tieControls();
tieCharts();
tieKeys();
for (const id of ["agent-canvas", "map-canvas"]) tiePointer($(id));
tieTheme();
set({});
recall();
new ResizeObserver(() => { chart.key = ""; invalidate(); }).observe(document.querySelector("main"));
