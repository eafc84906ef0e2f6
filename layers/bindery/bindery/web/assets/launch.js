// The launch page: starts the launch it was made for, shows how far it is, and goes on to the session.
"use strict";

const told = JSON.parse(document.getElementById("told").textContent);
const element = (id) => document.getElementById(id);

const ORDER = ["find", "build", "start", "open"];
const STEP = {
  waiting: "build", fetching: "build", building: "build", pushing: "build",
  built: "start", launching: "start", ready: "open",
};
const PHASE = { building: "building", starting: "launching", ready: "ready" }; // of a launch's stages, as the API has them
const LOOKING = "Looking for the repository...";
const SAYS = {
  fetching: "Fetching the repository...",
  building: "Building the environment...",
  pushing: "Storing the environment...",
  built: "The environment is there.",
  launching: "Starting the session...",
};
const TITLE = document.title;
const LOG = ["fetching", "building", "pushing"]; // phases whose messages are lines of a build's log
const LINES_TO_MATCH = 5; // by so many lines the log goes on where the source left it
const MOST_LINES = 5000;
const NOTES_READ_MS = 10000;
const ANSI = /\x1b\[[0-9;?]*[ -/]*[@-~]/g;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f]/g;

let source = null;
let polling = null; // instead of the source, where that is refused or costs too much
let turnedAway = false; // whether the source was refused
let expected = false; // whether the server said that it ends the stream, and that all is well
let shown = []; // the last lines of the log that came by the source
let current = "find";
let built = false; // whether this launch saw its environment being built
let saying = ""; // what the status line says, but for interruptions
let heard = new Set(); // what was told already, should the server tell it again after a broken connection
let waiting = []; // log text that is not on the page yet
let writing = 0;

function launch() {
  source?.close();
  polling?.stop();
  clear();
  source = new EventSource(`${told.build}?build_token=${encodeURIComponent(told.token)}&resumes=1`);
  source.onmessage = hear;
  source.addEventListener("again", () => { expected = true; });
  source.addEventListener("ask", askInstead);
  source.onerror = lose;
  source.onopen = resume;
}

function clear() {
  current = "find";
  built = false;
  turnedAway = expected = false;
  shown = [];
  heard = new Set();
  waiting = [];
  element("lines").replaceChildren();
  element("log").hidden = true;
  element("headline").textContent = "Launching";
  for (const id of ["trouble", "again", "reconnect", "open", "crowd"]) element(id).hidden = true;
  element("trouble").classList.replace("warning", "failure");
  mark("now");
  say(LOOKING);
}

function hear(event) {
  const key = `${event.lastEventId}\n${event.data}`;
  if (event.lastEventId && heard.has(key)) return;
  heard.add(key);
  if (heard.size > MOST_LINES) heard.delete(heard.values().next().value);
  const news = JSON.parse(event.data);
  const message = news.message ?? "";
  if (news.phase === "failed") return fail("The launch failed", message);
  write(message);
  if (LOG.includes(news.phase)) shown = [...shown.slice(1 - LINES_TO_MATCH), message.trimEnd()];
  if (news.phase in STEP) advance(news.phase);
  if (news.phase === "ready") return news.url ? open(news) : finish("The environment is built.");
  say(SAYS[news.phase] ?? message.trim());
}

function advance(phase) {
  if (["fetching", "building", "pushing"].includes(phase)) built = true;
  const step = STEP[phase];
  if (ORDER.indexOf(step) < ORDER.indexOf(current)) return; // a launch that tries again may go back; the list need not
  current = step;
  mark("now");
}

function mark(how) {
  const at = ORDER.indexOf(current);
  for (const item of document.querySelectorAll("#steps li")) {
    const place = ORDER.indexOf(item.dataset.step);
    const state = place < at ? "done" : place > at ? "later" : how;
    item.className = state;
    if (state === "now") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
    item.querySelector(".how").textContent = words(item.dataset.step, state);
  }
}

function words(step, state) {
  if (step === "build" && state === "done" && !built) return "built before";
  return { done: "done", now: "under way", failed: "failed", lost: "not known", later: "" }[state];
}

function say(text) {
  saying = text;
  element("status").textContent = text;
  document.title = text ? `${text.replace(/\.+$/, "")} - ${TITLE}` : TITLE;
}

function finish(text) {
  source.close();
  mark("done");
  element("headline").textContent = "Done";
  say(text);
}

// Where to go: the link's path, resolved against the session's address, which it must not leave: the token goes with it.
function within(url, path) {
  const base = new URL(url);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  const to = new URL(path, base);
  const web = to.protocol === "https:" || to.protocol === "http:";
  const stays = to.origin === base.origin && to.pathname.startsWith(base.pathname) && !to.username && !to.password;
  return web && stays ? to : null;
}

function withToken(address, token) {
  if (token) address.searchParams.set("token", token);
  return address.href;
}

function address(url, path) {
  try {
    return within(url, path);
  } catch {
    return null;
  }
}

function open(news) {
  source.close();
  const to = address(news.url, told.path);
  const start = address(news.url, "");
  const notes = news.message.trimEnd().split("\n").slice(0, -1).join("\n");
  if (to && notes) return remark(notes, withToken(to, news.token));
  if (to) {
    element("headline").textContent = "Opening the session";
    say("The session is ready. Opening it...");
    // Not a step back away: whoever comes back to this page would launch once more.
    location.replace(withToken(to, news.token));
    return;
  }
  const reason = start
    ? "The session is ready, but the link asks for a page outside of it. You were not sent there."
    : "The session's address cannot be read.";
  fail("The link leads out of the session", reason);
  if (!start) return;
  element("again").hidden = true;
  element("open").href = withToken(start, news.token);
  element("open").hidden = false;
}

// Something the visitor should know before the page is gone, such as that large files are missing.
function remark(notes, href) {
  mark("now");
  element("headline").textContent = "The session is ready";
  say("It opens by itself in a few seconds.");
  element("reason").textContent = notes;
  element("trouble").classList.replace("failure", "warning");
  element("trouble").hidden = false;
  element("open").href = href;
  element("open").hidden = false;
  setTimeout(() => location.replace(href), NOTES_READ_MS);
}

function fail(title, reason, how = "failed") {
  source.close();
  mark(how);
  say("");
  document.title = `${title} - ${TITLE}`;
  element("headline").textContent = title;
  element("reason").textContent = reason.trim();
  element("again").href = location.href.split("#")[0];
  element("again").hidden = false;
  element("trouble").hidden = false;
  element("log").open = true;
}

// The browser connects again by itself and goes on where it was, unless the server refused it altogether: only so many
// can listen at one time. Everybody can ask.
function lose() {
  if (source.readyState !== EventSource.CLOSED) {
    if (expected) return;
    element("status").classList.add("interrupted");
    element("status").textContent = "The connection was interrupted. Connecting again...";
    return;
  }
  resume();
  clear();
  turnedAway = true;
  element("crowd").hidden = false;
  poll();
}

// A stream that is open while a build runs costs the server more than a question every few seconds.
function askInstead() {
  source.close();
  poll((now) => (now?.phase === "starting" ? STARTING_WAIT_MS : BUILDING_WAIT_MS));
}

function poll(pace) {
  let log = null;
  const heard = (now) => {
    for (const line of log ? freshLines(log, now.log) : linesAfter(shown, now.log)) write(`${line}\n`);
    log = now.log;
    return look(now);
  };
  const refused = (why) => look({ phase: "failed", failure: { message: why } });
  polling = new Polling(told.build, told.token, { heard, refused, lost: giveUp, pace });
}

// How the launch stands, where nobody tells its events. Answers whether that was all.
function look(now) {
  const ended = ["ready", "failed"].includes(now.phase);
  element("crowd").hidden = ended || !turnedAway;
  if (now.phase in PHASE) advance(PHASE[now.phase]);
  if (now.phase === "failed") fail("The launch failed", now.failure.message);
  else if (now.url) open({ ...now, message: [...now.notes, now.url].join("\n") });
  else if (now.phase === "ready") finish("The environment is built.");
  else say(now.queue?.message ?? SAYS[PHASE[now.phase]] ?? LOOKING);
  return ended;
}

function giveUp() {
  element("crowd").hidden = true;
  fail("The connection was lost", "The launch may still be going on. Connect again to see how far it is.", "lost");
  element("reconnect").hidden = false;
}

function resume() {
  expected = false;
  const status = element("status");
  if (status.classList.contains("interrupted")) say(saying);
  status.classList.remove("interrupted");
}

// Log lines come in bursts: they are put on the page a few times a second.
function write(message) {
  const text = message
    .replace(ANSI, "")
    .split("\n")
    .map((line) => line.replace(/\r$/, ""))
    .map((line) => line.slice(line.lastIndexOf("\r") + 1).replace(CONTROLS, ""))
    .join("\n");
  if (!text) return;
  waiting.push(text);
  if (waiting.length > MOST_LINES) waiting.shift();
  if (!writing) writing = setTimeout(flush, 100);
}

function flush() {
  clearTimeout(writing);
  writing = 0;
  if (!waiting.length) return;
  const lines = element("lines");
  const follows = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
  lines.append(...waiting);
  waiting = [];
  while (lines.childNodes.length > MOST_LINES) lines.firstChild.remove();
  element("log").hidden = false;
  if (follows) scroll();
}

function scroll() {
  element("lines").scrollTop = element("lines").scrollHeight;
}

element("reconnect").addEventListener("click", launch);
element("log").addEventListener("toggle", scroll);

if (told.autostart && document.prerendering) {
  document.addEventListener("prerenderingchange", launch, { once: true }); // nobody has opened the page yet
} else if (told.autostart) {
  launch();
} else {
  // A click meant for the page before this one must not launch: the button waits a moment.
  setTimeout(() => { element("go").disabled = false; }, 600);
  element("go").addEventListener("click", () => {
    element("ask").hidden = true;
    launch();
  });
}
