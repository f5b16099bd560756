"use strict";
// Follows the status once a second. Everything shown is set as text, never as markup.
const EACH_MS = 1000;
const KEPT = 300;
const EVENTS = 8;
const history = new Map();
const sections = new Map();
let token = "";

const percent = (share, digits = 2) => share == null ? "–" : `${(share * 100).toFixed(digits)} %`;
const find = (section, name) => section.querySelector(`[data-${name}]`);
const text = (section, name, value) => { find(section, name).textContent = value; };

function section(name) {
  if (!sections.has(name)) {
    const made = document.getElementById("dependency").content.cloneNode(true).firstElementChild;
    text(made, "name", name);
    for (const button of made.querySelectorAll("[data-verb]")) {
      button.addEventListener("click", () => order(name, button.dataset.verb, find(made, "answer")));
    }
    document.getElementById("dependencies").append(made);
    sections.set(name, made);
    history.set(name, []);
  }
  return sections.get(name);
}

async function order(name, verb, answer) {
  if (verb === "rollback" && !confirm(`Send everyone of ${name} back to V1?`)) return;
  const path = `api/v1/dependencies/${encodeURIComponent(name)}/${verb}`;
  const send = () => fetch(path, {
    method: "POST",
    headers: token ? { authorization: `Bearer ${token}` } : {},
    body: JSON.stringify({ by: "page", reason: `${verb} on the live page` }),
  });
  try {
    let response = await send();
    if (response.status === 401) {
      token = prompt("The admin token, kept until this page is closed:") ?? "";
      response = await send();
    }
    const said = await response.json();
    answer.textContent = response.ok ? `${said.kind}: allowed ${said.from} % → ${said.to} %` : said.detail;
  } catch (error) {
    answer.textContent = String(error);
  }
}

function show(dependency) {
  const made = section(dependency.name);
  const { percent: share, verdict } = dependency;
  made.className = verdict?.verdict ?? "";
  text(made, "stage", dependency.stage);
  text(made, "phase", dependency.phase.replaceAll("_", " "));
  find(made, "mode").hidden = dependency.enforced;
  text(made, "verdict", verdict ? verdict.verdict : "not judged");
  text(made, "sentence", verdict ? verdict.sentence : `in stage ${dependency.stage} the gate has no say`);
  find(made, "ceiling").style.width = `${share.ceiling}%`;
  find(made, "effective").style.width = `${share.effective}%`;
  const observed = share.observed == null ? "no traffic" : `${share.observed.toFixed(1)} % observed`;
  const next = dependency.next_step == null ? "" : `, next step ${dependency.next_step} %`;
  text(made, "percents", `${share.effective} % on V2 (ceiling ${share.ceiling} %, allowed ${share.allowed} %, ${observed})${next}`);
  showRates(made, dependency);
  showEvidence(made, verdict);
  draw(made, dependency);
  showEvents(made, dependency.events);
}

function showRates(made, dependency) {
  const cell = (rates) => {
    const td = document.createElement("td");
    td.append(percent(rates.hit_rate));
    const small = document.createElement("small");
    small.textContent = `${(rates.rich + rates.fallback).toLocaleString("en")} answers`;
    td.append(small);
    return td;
  };
  const rows = ["1m", "5m", "1h"].filter((window) => dependency.hit_rates[window]).map((window) => {
    const row = document.createElement("tr");
    const head = document.createElement("td");
    head.textContent = window;
    const rates = dependency.hit_rates[window];
    row.append(head, cell(rates.v1), cell(rates.v2), cell(rates.served));
    return row;
  });
  find(made, "rates").replaceChildren(...rows);
}

function showEvidence(made, verdict) {
  if (!verdict) return text(made, "evidence", "");
  const it = verdict.evidence;
  const left = it.seconds_needed == null ? 0 : Math.ceil(Math.max(it.seconds_needed, it.bake_left_s));
  const wait = left > 0 ? `, about ${left.toLocaleString("en")} s to go` : "";
  const top = it.top_cause;
  const cause = top ? `; ${percent(top.share)} of V2's fallbacks: ${top.cause}` : "";
  text(made, "evidence", `On this step: ${it.samples.toLocaleString("en")} requests, V2 between ${percent(it.lo)} and ${percent(it.hi)}; `
    + `evidence ${Math.min(it.log_e, it.log_e_pairs).toFixed(1)} of ${it.log_e_need.toFixed(1)} for a promotion, `
    + `${it.log_r.toFixed(1)} of ${it.log_r_alarm.toFixed(1)} for a rollback${wait}${cause}`);
}

function draw(made, dependency) {
  const points = history.get(dependency.name);
  const now = dependency.hit_rates["1m"];
  points.push({ v1: now?.v1.hit_rate, v2: now?.v2.hit_rate, served: now?.served.hit_rate });
  if (points.length > KEPT) points.shift();
  const values = points.flatMap(Object.values).concat(dependency.slo ?? []).filter((value) => value != null);
  const low = Math.max(0, Math.min(1, ...values) - 0.02);
  const y = (value) => 78 - (value - low) / (1 - low || 1) * 76;
  for (const line of made.querySelectorAll("[data-line]")) {
    const known = points.map((point, at) => [at, point[line.dataset.line]]).filter(([, value]) => value != null);
    const x = (at) => points.length < 2 ? 300 : at / (points.length - 1) * 300;
    line.setAttribute("points", known.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" "));
  }
  const slo = find(made, "slo");
  slo.style.visibility = dependency.slo == null ? "hidden" : "visible";
  slo.setAttribute("y1", y(dependency.slo ?? 1));
  slo.setAttribute("y2", y(dependency.slo ?? 1));
  text(made, "slo-text", dependency.slo == null ? "" : `SLO ${percent(dependency.slo)}`);
  text(made, "range", `${percent(low, 0)} to 100 %, each point the last minute`);
}

function showEvents(made, events) {
  const rows = events.slice(0, EVENTS).map((event) => {
    const row = document.createElement("li");
    const time = document.createElement("time");
    time.dateTime = event.time;
    time.textContent = new Date(event.time).toLocaleTimeString("en-GB", { timeZone: "UTC" });
    const moved = event.from === event.to ? "" : ` ${event.from} → ${event.to} %`;
    row.append(time, ` ${event.kind.replaceAll("_", " ")}${moved} by ${event.by}: ${event.reason}`);
    return row;
  });
  find(made, "events").replaceChildren(...rows);
}

function showFiles(status) {
  const problems = Object.values(status.files).flatMap((file) => [
    ...(file.error ? [`${file.path} is not in force, what it said before still is:\n${file.error}`] : []),
    ...(file.needs_restart ?? []).map((what) => `${what} was changed, and needs a restart`),
  ]);
  if (status.store_error) problems.push(`The gate's state cannot be saved: ${status.store_error}`);
  document.getElementById("files").replaceChildren(...problems.map((problem) => {
    const shown = document.createElement("p");
    shown.className = "problem";
    shown.textContent = problem;
    return shown;
  }));
}

async function follow() {
  const state = document.getElementById("state");
  try {
    const response = await fetch("api/v1/dependencies", { cache: "no-store" });
    const status = await response.json();
    showFiles(status);
    status.dependencies.forEach(show);
    const named = new Set(status.dependencies.map((dependency) => dependency.name));
    for (const [name, made] of sections) {
      if (!named.has(name)) { made.remove(); sections.delete(name); history.delete(name); }
    }
    state.className = "";
    state.textContent = `revision ${status.revision.number}, ${new Date(status.time).toISOString().slice(11, 19)} UTC`;
  } catch {
    state.className = "lost";
    state.textContent = "no answer from crossfade; what is shown is old";
  }
  setTimeout(follow, EACH_MS);
}

follow();
