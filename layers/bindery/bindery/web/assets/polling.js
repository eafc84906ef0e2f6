// Polling for launch pages without an event stream: creates or finds the launch through the API, and requests its state.
"use strict";

const FIRST_WAIT_MS = 2000;
const MAX_WAIT_MS = 15000;
const GROWTH = 1.5;
const BUILDING_WAIT_MS = 4000;
const STARTING_WAIT_MS = 1000;
const MAX_BACKOFF_MS = 120000; // the longest wait after repeated refusals, unless the server asks for a longer one
const MAX_FAILURES = 5; // requests in a row without a usable answer, before polling gives up

class Polling {
  // build: the stream's path, which names the launch. onAnswer: called with each answer; polling ends when it returns true.
  // onRefused: called with the reason when the server refuses the launch. onLost: called when the server no longer answers.
  // interval: called with the last answer; returns milliseconds until the next request. Without it the waits grow.
  constructor(build, token, { onAnswer, onRefused, onLost, interval = null }) {
    this.root = document.body.dataset.root;
    const [, , provider, ...spec] = new URL(build, location).pathname.slice(this.root.length).split("/");
    this.request = { provider, spec: spec.join("/"), build_token: token };
    Object.assign(this, { onAnswer, onRefused, onLost, interval });
    Object.assign(this, { launch: null, failures: 0, refusals: 0, wait: FIRST_WAIT_MS, timer: 0, stopped: false });
    this.wasDelayed = false; // true after a refusal for too many requests: the token may have expired since
    this.tokenExpired = false;
    this.poll();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  async poll() {
    const answer = await this.send();
    if (this.stopped) return;
    if (answer?.ok) this.refusals = 0;
    if (answer?.ok && !this.launch) {
      this.launch = answer.payload;
      return this.poll();
    }
    if (answer?.ok) {
      this.failures = 0;
      const wait = this.interval ? this.interval(answer.payload) : this.wait;
      return this.onAnswer(answer.payload) ? this.stop() : this.schedule(wait * (0.5 + Math.random()));
    }
    // The server gives all pages the same number of seconds. The random part keeps them from coming back at the same moment.
    if (isOverloaded(answer)) return this.schedule(this.backoff(answer.wait ?? this.wait) * (1 + Math.random()));
    if (this.wasDelayed && !this.launch && answer?.payload.code === "bad_build_token") {
      this.wasDelayed = false;
      this.tokenExpired = true;
      return this.poll();
    }
    if (answer && answer.status < 500) return this.onRefused(answer.payload.message ?? "");
    this.failures += 1;
    if (this.failures === MAX_FAILURES) return this.onLost();
    this.schedule((answer?.wait ?? this.wait) * (1 + Math.random()));
  }

  // Returns the wait, doubled for each refusal in a row. If all pages of a crowd came back after the same wait, most would be
  // refused each time.
  backoff(wait) {
    this.failures = 0;
    this.wasDelayed = true;
    return Math.max(wait, Math.min(MAX_BACKOFF_MS, wait * 2 ** this.refusals++));
  }

  schedule(wait) {
    this.wait = Math.min(MAX_WAIT_MS, this.wait * GROWTH);
    this.timer = setTimeout(() => this.poll(), wait);
  }

  // Sends one request. Returns null if there was no answer.
  async send() {
    try {
      const response = await (this.launch ? this.fetchLaunch() : this.createLaunch());
      const seconds = Number(response.headers.get("Retry-After")); // 0 and dates are ignored
      const wait = seconds > 0 ? 1000 * seconds : null;
      return { ok: response.ok, status: response.status, wait, payload: await response.json().catch(() => ({})) };
    } catch {
      return null;
    }
  }

  async createLaunch() {
    if (this.tokenExpired) {
      // A new token comes from a new copy of the page. A reload could be refused, and would then leave the visitor without a page.
      const page = await fetch(location.href);
      if (!page.ok) return page;
      const freshPage = new DOMParser().parseFromString(await page.text(), "text/html");
      this.request.build_token = JSON.parse(freshPage.getElementById("page-data").textContent).token;
      this.tokenExpired = false;
    }
    const headers = { "Content-Type": "application/json" };
    return fetch(`${this.root}/api/launches`, { method: "POST", headers, body: JSON.stringify(this.request) });
  }

  fetchLaunch() {
    return fetch(`${this.root}/api/launches/${this.launch.id}`, { headers: { Authorization: `Bearer ${this.launch.launcher_token}` } });
  }
}

// Tests for an answer that refuses the request because of too many requests.
function isOverloaded(answer) {
  return answer?.status === 429 || answer?.payload.code === "busy";
}

// Returns the lines of `log` that follow the lines `before`; all lines of `log` if it does not contain `before`.
function linesAfter(before, log) {
  if (!before.length) return log;
  for (let end = before.length; end <= log.length; end += 1) {
    if (before.every((line, place) => line === log[end - before.length + place])) return log.slice(end);
  }
  return log;
}

// Returns the lines of `log` that `before`, an earlier answer's log, does not have. Each answer holds the last lines of the log.
function newLines(before, log) {
  let overlap = Math.min(before.length, log.length);
  while (before.slice(before.length - overlap).some((line, place) => line !== log[place])) overlap -= 1;
  return log.slice(overlap);
}
