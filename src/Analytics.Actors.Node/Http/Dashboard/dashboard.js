// Reads the node's API every two seconds and shows it. All text goes in as text, never as markup: ids and messages come
// from records that anybody may have written.
"use strict";

const REFRESH_MS = 2000;
const HISTORY = 60;
const PROBLEMS = 25;
const BATCHES = 8;

const before = new Map();
const history = { records: [], calls: [] };

const $ = id => document.getElementById(id);
const sum = (items, of) => items.reduce((total, item) => total + (of(item) || 0), 0);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const count = value => value == null ? "–" : whole.format(value);
const rate = value => value == null ? "–" : value < 10 ? value.toFixed(1) : whole.format(value);

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text != null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// A cell is text, or [text, class].
function row(cells) {
  const made = element("tr");
  for (const cell of cells) made.append(Array.isArray(cell) ? element("td", cell[0], cell[1]) : element("td", cell));
  return made;
}

function rows(body, list, empty, columns) {
  if (list.length > 0) return $(body).replaceChildren(...list);
  const cell = element("td", empty, "dim");
  cell.colSpan = columns;
  const only = element("tr");
  only.append(cell);
  $(body).replaceChildren(only);
}

// Per second since the last refresh; null at first, and after a restart of the node.
function perSecond(name, value, now) {
  const last = before.get(name);
  before.set(name, { value, now });
  if (!last || now <= last.now || value < last.value) return null;
  return (value - last.value) * 1000 / (now - last.now);
}

function sparkline(values) {
  const most = Math.max(1e-9, ...values);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${HISTORY - 1} 20`);
  svg.setAttribute("preserveAspectRatio", "none");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const begin = HISTORY - values.length;
  line.setAttribute("points", values.map((value, index) => `${begin + index},${(19 - 18 * value / most).toFixed(2)}`).join(" "));
  svg.append(line);
  return svg;
}

function remember(list, value) {
  if (value != null) list.push(value);
  if (list.length > HISTORY) list.shift();
}

function tile(name, value, className, values) {
  const made = element("div", null, "tile");
  made.append(element("span", name, "quiet"), element("b", value, className));
  if (values && values.length > 1) made.append(sparkline(values));
  return made;
}

const alarm = value => [count(value), value > 0 ? "n bad" : "n dim"];

function showHealth(health) {
  const kind = { healthy: "good", starting: "warn", degraded: "warn", stopping: "warn" }[health.status] || "bad";
  $("status").textContent = health.status;
  $("status").className = `pill ${kind}`;
  const parts = ["main_loop", "consumer", "producer", "store"].filter(name => health[name] !== "running").map(name => `${name.replace("_", " ")}: ${health[name]}`);
  $("identity").textContent = [`${health.group} / ${health.node}`, `version ${health.version}`, ...parts].join(" · ");
  document.title = `${health.node} ${health.status}`;
  $("health-problems").replaceChildren(...health.problems.slice(0, 8).map(text => element("li", text)));
  $("health-problems").hidden = health.problems.length === 0;
}

function showModules(modules, now) {
  let all = 0;
  const list = modules.filter(module => module.enabled || sum(Object.values(module.calls), value => value) > 0).map(module => {
    const calls = module.calls;
    const total = calls.result + calls.nothing + calls.error + calls.timeout;
    const each = perSecond(`module ${module.module}`, total, now);
    all += each || 0;
    return row([
      module.installed || !module.enabled ? module.module : [`${module.module} (not installed)`, "bad"],
      [rate(each), "n"], [count(calls.result), "n"], [count(calls.nothing), "n dim"], alarm(calls.error), alarm(calls.timeout),
      [count(module.calls_running), "n"], [count(module.calls_waiting), "n"], alarm(module.calls_stuck),
      [count(module.batches_open), "n"], [count(module.batches_completed), "n"], alarm(module.batches_timed_out), [count(module.uploads), "n"],
    ]);
  });
  rows("modules", list, "no module is enabled", 13);
  return all;
}

function showSources(sources, fetched, now) {
  const topics = new Map();
  for (const source of sources) {
    const topic = topics.get(source.topic) || { partitions: 0, lag: null, notes: [] };
    topic.partitions++;
    if (source.lag != null) topic.lag = (topic.lag || 0) + source.lag;
    if (source.stopped) topic.notes.push([`${source.partition} stopped: ${source.stopped}`, "bad"]);
    else if (source.gap) topic.notes.push([`${source.partition} skipped ${source.gap.from ?? "?"} to ${source.gap.to ?? "?"}: ${source.gap.reason}`, "warn"]);
    topics.set(source.topic, topic);
  }
  for (const name of Object.keys(fetched)) if (!topics.has(name)) topics.set(name, { partitions: 0, lag: null, notes: [] });
  const list = [...topics].sort((left, right) => left[0] < right[0] ? -1 : 1).map(([name, topic]) => {
    const note = topic.notes[0] || ["", ""];
    return row([
      [name, "break"], [count(topic.partitions), "n"], [count(fetched[name] || 0), "n"], [rate(perSecond(`topic ${name}`, fetched[name] || 0, now)), "n"],
      [count(topic.lag), topic.lag > 1000 ? "n warn" : "n"], note,
    ]);
  });
  rows("sources", list, "no source partition is assigned yet", 6);
}

function showShards(shards) {
  $("shards").replaceChildren(...shards.map(shard => {
    const made = element("div", null, `shard ${shard.phase}`);
    made.append(element("b", shard.shard), element("small", shard.stations == null ? shard.phase : `${count(shard.stations)} st.`));
    made.title = `shard ${shard.shard} on ${shard.node ?? "no node"}: ${shard.phase}, epoch ${shard.epoch ?? "–"}, checkpoint ${shard.checkpoint ?? "–"}, ` +
      `${shard.running_calls ?? 0} calls running, ${shard.outbox ?? 0} outputs to send, ${shard.repeated_parts ?? 0} repeated parts` + (shard.full ? ", full: reading pauses" : "");
    return made;
  }));
  if (shards.length === 0) $("shards").replaceChildren(element("span", "none yet", "dim"));
}

function showBatches(batches, now) {
  rows("batches", batches.slice(0, BATCHES).map(batch => row([
    [batch.batch_id, "break"], batch.module, [`${batch.answered} of ${batch.open || batch.ended != null ? batch.expected : "?"}`, "n"],
    [batch.ended != null ? `ended, revision ${batch.revision}` : batch.deadline == null ? "–" : `${Math.max(0, (batch.deadline - now) / 1000).toFixed(1)} s`, "n"],
  ])), "none", 4);
}

function showProblems(problems) {
  $("problem-counts").textContent = Object.entries(problems.counts).map(([kind, number]) => `${kind}: ${count(number)}`).join(" · ") || "none since the start";
  rows("problems", problems.problems.map(problem => row([
    [new Date(problem.time).toLocaleTimeString(), "n"], [problem.kind, problem.kind === "dead-letter" || problem.kind === "warning" ? "word warn" : "word bad"],
    [problem.station || "", "break"], [problem.text, "break"],
  ])), "none", 4);
}

// A node that wants to know who asks gets the token that a person gave; this tab keeps it, and no cookie sends it by itself.
const token = () => sessionStorage.getItem("token");

async function get(path) {
  const answer = await fetch(path, { cache: "no-store", headers: token() ? { Authorization: `Bearer ${token()}` } : {} });
  if (answer.status === 401) throw new TokenWanted();
  // Health says what is wrong with 503, and says it as JSON.
  if (!answer.ok && path !== "/health") throw new Error((await answer.json()).error);
  return answer.json();
}

class TokenWanted extends Error {}

function askForToken() {
  $("status").textContent = token() ? "token refused" : "token wanted";
  $("status").className = "pill warn";
  $("access").hidden = false;
}

async function showStation(event) {
  event.preventDefault();
  const shown = $("station");
  try {
    shown.textContent = JSON.stringify(await get(`/api/v1/station?id=${encodeURIComponent($("station-id").value)}`), null, 2);
  } catch (failure) {
    shown.textContent = failure.message;
  }
  shown.hidden = false;
}

async function refresh() {
  let health;
  try {
    health = await get("/health");
    $("access").hidden = true;
  } catch (failure) {
    if (failure instanceof TokenWanted) return askForToken();
    $("status").textContent = "no answer";
    $("status").className = "pill bad";
    return;
  }
  showHealth(health);
  try {
    const [shards, sources, modules, counters, batches, problems] = await Promise.all([
      get("/api/v1/shards"), get("/api/v1/sources"), get("/api/v1/modules"), get("/api/v1/counters"), get("/api/v1/batches?limit=100"), get(`/api/v1/problems?limit=${PROBLEMS}`),
    ]);
    // The node's clock, also for rates: the browser's may differ, and may sleep.
    const now = Date.parse(health.timestamp);
    const fetched = sum(Object.values(counters.records_fetched), value => value);
    const records = perSecond("records", fetched, now);
    const calls = showModules(modules, now);
    remember(history.records, records);
    remember(history.calls, records == null ? null : calls);
    const lag = sum(sources, source => source.lag);
    const letters = sum(Object.values(counters.dead_letters), value => value);
    $("tiles").replaceChildren(
      tile("stations", count(health.station_count)),
      tile("records / s", rate(records), "", history.records),
      tile("calls / s", rate(records == null ? null : calls), "", history.calls),
      tile("lag", count(lag), lag > 1000 ? "warn" : ""),
      tile("open batches", count(sum(modules, module => module.batches_open))),
      tile("uploads", count(sum(modules, module => module.uploads))),
      tile("dead letters", count(letters), letters > 0 ? "warn" : ""),
      tile("stuck calls", count(health.stuck_calls.length), health.stuck_calls.length > 0 ? "bad" : ""));
    showSources(sources, counters.records_fetched, now);
    showShards(shards);
    showBatches(batches, now);
    showProblems(problems);
  } catch (failure) {
    $("health-problems").append(element("li", failure.message));
    $("health-problems").hidden = false;
  }
}

async function run() {
  await refresh();
  setTimeout(run, REFRESH_MS);
}

$("find").addEventListener("submit", showStation);
$("access").addEventListener("submit", event => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value.trim());
  $("token").value = "";
  refresh();
});

run();
