// The launch page: starts its launch, shows the progress, and then opens the session.
"use strict";

const settings = JSON.parse(document.getElementById("page-data").textContent);
const element = (id) => document.getElementById(id);

const ORDER = ["find", "build", "start", "open"];
const STEP = {
  waiting: "build", fetching: "build", building: "build", pushing: "build",
  built: "start", launching: "start", ready: "open",
};
const PHASE = { building: "building", starting: "launching", ready: "ready" }; // from the API's phases to the stream's phases
const LOOKING = "Looking for the repository...";
const PHASE_TEXT = {
  fetching: "Fetching the repository...",
  building: "Building the environment...",
  pushing: "Storing the environment...",
  built: "The environment is there.",
  launching: "Starting the session...",
};
const TITLE = document.title;
const LOG_PHASES = ["fetching", "building", "pushing"]; // the messages of these phases are lines of the build's log
const LINES_TO_MATCH = 5; // last lines of the stream, to find in the API's log the place where the stream ended
const MAX_LINES = 5000;
const NOTES_SHOWN_MS = 10000;
const ANSI = /\x1b\[[0-9;?]*[ -/]*[@-~]/g;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f]/g;

let source = null;
let polling = null; // replaces the source if the server refuses it, or asks the page to poll
let sourceRefused = false;
let endAnnounced = false; // true after the server's event that it will end the stream without an error
let lastLines = []; // the last log lines that came from the source
let currentStep = "find";
let buildSeen = false; // true if this launch showed a build of its environment
let statusText = ""; // text of the status line, without messages about interruptions
let seenEvents = new Set(); // events of this launch, which the server may send again after a broken connection
let pendingText = []; // log text that is not on the page yet
let flushTimer = 0;

function launch() {
  source?.close();
  polling?.stop();
  resetPage();
  source = new EventSource(`${settings.build}?build_token=${encodeURIComponent(settings.token)}&resumes=1`);
  source.onmessage = handleMessage;
  source.addEventListener("again", () => { endAnnounced = true; });
  source.addEventListener("ask", pollInsteadOfStream);
  source.onerror = handleConnectionError;
  source.onopen = clearInterruption;
}

function resetPage() {
  currentStep = "find";
  buildSeen = false;
  sourceRefused = endAnnounced = false;
  lastLines = [];
  seenEvents = new Set();
  pendingText = [];
  element("lines").replaceChildren();
  element("log").hidden = true;
  element("headline").textContent = "Launching";
  for (const id of ["trouble", "again", "reconnect", "open", "crowd"]) element(id).hidden = true;
  element("trouble").classList.replace("warning", "failure");
  markSteps("now");
  showStatus(LOOKING);
}

function handleMessage(message) {
  const key = `${message.lastEventId}\n${message.data}`;
  if (message.lastEventId && seenEvents.has(key)) return;
  seenEvents.add(key);
  if (seenEvents.size > MAX_LINES) seenEvents.delete(seenEvents.values().next().value);
  const event = JSON.parse(message.data);
  const text = event.message ?? "";
  if (event.phase === "failed") return fail("The launch failed", text);
  addLogText(text);
  if (LOG_PHASES.includes(event.phase)) lastLines = [...lastLines.slice(1 - LINES_TO_MATCH), text.trimEnd()];
  if (event.phase in STEP) advanceTo(event.phase);
  if (event.phase === "ready") return event.url ? openSession(event) : finish("The environment is built.");
  showStatus(PHASE_TEXT[event.phase] ?? text.trim());
}

function advanceTo(phase) {
  if (LOG_PHASES.includes(phase)) buildSeen = true;
  const step = STEP[phase];
  if (ORDER.indexOf(step) < ORDER.indexOf(currentStep)) return; // a launch that tries again may repeat a step; the list only goes forward
  currentStep = step;
  markSteps("now");
}

// Marks the steps of the list. currentState: the state of the current step, such as "now" or "failed".
function markSteps(currentState) {
  const currentPlace = ORDER.indexOf(currentStep);
  for (const item of document.querySelectorAll("#steps li")) {
    const place = ORDER.indexOf(item.dataset.step);
    const state = place < currentPlace ? "done" : place > currentPlace ? "later" : currentState;
    item.className = state;
    if (state === "now") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
    item.querySelector(".state").textContent = stateText(item.dataset.step, state);
  }
}

function stateText(step, state) {
  if (step === "build" && state === "done" && !buildSeen) return "built before";
  return { done: "done", now: "under way", failed: "failed", lost: "not known", later: "" }[state];
}

function showStatus(text) {
  statusText = text;
  element("status").textContent = text;
  document.title = text ? `${text.replace(/\.+$/, "")} - ${TITLE}` : TITLE;
}

function finish(text) {
  source.close();
  markSteps("done");
  element("headline").textContent = "Done";
  showStatus(text);
}

// Resolves the link's path against the session's address. Returns null if the result is outside the session, because the
// session's token is added to it.
function resolveInside(url, path) {
  const base = new URL(url);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  const target = new URL(path, base);
  const isWeb = target.protocol === "https:" || target.protocol === "http:";
  const isInside = target.origin === base.origin && target.pathname.startsWith(base.pathname) && !target.username && !target.password;
  return isWeb && isInside ? target : null;
}

function withToken(address, token) {
  if (token) address.searchParams.set("token", token);
  return address.href;
}

function sessionAddress(url, path) {
  try {
    return resolveInside(url, path);
  } catch {
    return null;
  }
}

// Opens the session of a "ready" event. The last line of its message is the session's address; the lines before it are notes.
function openSession(event) {
  source.close();
  const target = sessionAddress(event.url, settings.path);
  const start = sessionAddress(event.url, "");
  const notes = event.message.trimEnd().split("\n").slice(0, -1).join("\n");
  if (target && notes) return showNotes(notes, withToken(target, event.token));
  if (target) {
    element("headline").textContent = "Opening the session";
    showStatus("The session is ready. Opening it...");
    // Replaces this page in the history: the browser's Back button would otherwise load it and launch again.
    location.replace(withToken(target, event.token));
    return;
  }
  const reason = start
    ? "The session is ready, but the link asks for a page outside of it. You were not sent there."
    : "The session's address cannot be read.";
  fail("The link leads out of the session", reason);
  if (!start) return;
  element("again").hidden = true;
  element("open").href = withToken(start, event.token);
  element("open").hidden = false;
}

// Shows notes for the visitor, such as that large files are missing, and opens the session after some seconds.
function showNotes(notes, href) {
  markSteps("now");
  element("headline").textContent = "The session is ready";
  showStatus("It opens by itself in a few seconds.");
  element("reason").textContent = notes;
  element("trouble").classList.replace("failure", "warning");
  element("trouble").hidden = false;
  element("open").href = href;
  element("open").hidden = false;
  setTimeout(() => location.replace(href), NOTES_SHOWN_MS);
}

function fail(title, reason, stepState = "failed") {
  source.close();
  markSteps(stepState);
  showStatus("");
  document.title = `${title} - ${TITLE}`;
  element("headline").textContent = title;
  element("reason").textContent = reason.trim();
  element("again").href = location.href.split("#")[0];
  element("again").hidden = false;
  element("trouble").hidden = false;
  element("log").open = true;
}

// Handles a broken connection. The browser connects again by itself, unless the server refused the connection because it has
// reached its limit of open streams. Then the page polls the API, which has no such limit.
function handleConnectionError() {
  if (source.readyState !== EventSource.CLOSED) {
    if (endAnnounced) return;
    element("status").classList.add("interrupted");
    element("status").textContent = "The connection was interrupted. Connecting again...";
    return;
  }
  clearInterruption();
  resetPage();
  sourceRefused = true;
  element("crowd").hidden = false;
  startPolling();
}

// Closes the stream and polls: while a build runs, an open stream costs the server more than a request every few seconds.
function pollInsteadOfStream() {
  source.close();
  startPolling((launch) => (launch?.phase === "starting" ? STARTING_WAIT_MS : BUILDING_WAIT_MS));
}

function startPolling(interval) {
  let log = null;
  const onAnswer = (launch) => {
    for (const line of log ? newLines(log, launch.log) : linesAfter(lastLines, launch.log)) addLogText(`${line}\n`);
    log = launch.log;
    return showLaunch(launch);
  };
  const onRefused = (reason) => showLaunch({ phase: "failed", failure: { message: reason } });
  polling = new Polling(settings.build, settings.token, { onAnswer, onRefused, onLost: giveUp, interval });
}

// Shows a launch as the API describes it. Returns true if the launch has ended.
function showLaunch(launch) {
  const ended = ["ready", "failed"].includes(launch.phase);
  element("crowd").hidden = ended || !sourceRefused;
  if (launch.phase in PHASE) advanceTo(PHASE[launch.phase]);
  if (launch.phase === "failed") fail("The launch failed", launch.failure.message);
  else if (launch.url) openSession({ ...launch, message: [...launch.notes, launch.url].join("\n") });
  else if (launch.phase === "ready") finish("The environment is built.");
  else showStatus(launch.queue?.message ?? PHASE_TEXT[PHASE[launch.phase]] ?? LOOKING);
  return ended;
}

function giveUp() {
  element("crowd").hidden = true;
  fail("The connection was lost", "The launch may still be going on. Connect again to see how far it is.", "lost");
  element("reconnect").hidden = false;
}

function clearInterruption() {
  endAnnounced = false;
  const status = element("status");
  if (status.classList.contains("interrupted")) showStatus(statusText);
  status.classList.remove("interrupted");
}

// Adds text to the log. Many lines may arrive at once, so the page is updated at most ten times a second.
function addLogText(message) {
  const text = message
    .replace(ANSI, "")
    .split("\n")
    .map((line) => line.replace(/\r$/, ""))
    .map((line) => line.slice(line.lastIndexOf("\r") + 1).replace(CONTROLS, ""))
    .join("\n");
  if (!text) return;
  pendingText.push(text);
  if (pendingText.length > MAX_LINES) pendingText.shift();
  if (!flushTimer) flushTimer = setTimeout(flushLog, 100);
}

function flushLog() {
  clearTimeout(flushTimer);
  flushTimer = 0;
  if (!pendingText.length) return;
  const lines = element("lines");
  const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
  lines.append(...pendingText);
  pendingText = [];
  while (lines.childNodes.length > MAX_LINES) lines.firstChild.remove();
  element("log").hidden = false;
  if (atEnd) scrollToEnd();
}

function scrollToEnd() {
  element("lines").scrollTop = element("lines").scrollHeight;
}

element("reconnect").addEventListener("click", launch);
element("log").addEventListener("toggle", scrollToEnd);

if (settings.autostart && document.prerendering) {
  // The browser has loaded the page in advance. The launch starts when the visitor opens it.
  document.addEventListener("prerenderingchange", launch, { once: true });
} else if (settings.autostart) {
  launch();
} else {
  // A click that was meant for the previous page must not launch, so the button stays disabled for a moment.
  setTimeout(() => { element("go").disabled = false; }, 600);
  element("go").addEventListener("click", () => {
    element("ask").hidden = true;
    launch();
  });
}
