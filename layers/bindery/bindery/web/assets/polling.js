// Where the launch page cannot listen, it asks: creates or finds its launch through the API, and looks how it stands.
"use strict";

const FIRST_WAIT_MS = 2000;
const LONGEST_WAIT_MS = 15000;
const GROWTH = 1.5;
const BUILDING_WAIT_MS = 4000;
const STARTING_WAIT_MS = 1000;
const LONGEST_AWAY_MS = 120000; // for whoever is told again and again that too much is asked, unless told to wait longer
const MOST_SILENCE = 5; // how often in a row nobody may have an answer

class Polling {
  // build: the stream's path, which names the launch. heard: called with each answer; true from it is the end.
  // refused: called with why, if there will be no answer. lost: if nobody answers any more.
  // pace: milliseconds until the next question, by the last answer; without it they grow.
  constructor(build, token, { heard, refused, lost, pace = null }) {
    this.root = document.body.dataset.root;
    const [, , provider, ...spec] = new URL(build, location).pathname.slice(this.root.length).split("/");
    this.asked = { provider, spec: spec.join("/"), build_token: token };
    Object.assign(this, { heard, refused, lost, pace, launch: null, silence: 0, away: 0, wait: FIRST_WAIT_MS, timer: 0, over: false, late: false, stale: false });
    this.ask();
  }

  stop() {
    this.over = true;
    clearTimeout(this.timer);
  }

  async ask() {
    const answer = await this.answer();
    if (this.over) return;
    if (answer?.ok) this.away = 0;
    if (answer?.ok && !this.launch) {
      this.launch = answer.told;
      return this.ask();
    }
    if (answer?.ok) {
      this.silence = 0;
      const wait = this.pace ? this.pace(answer.told) : this.wait;
      return this.heard(answer.told) ? this.stop() : this.later(wait * (0.5 + Math.random()));
    }
    // Everybody was told the same number of seconds, and should not come back at the same moment.
    if (crowded(answer)) return this.later(this.farther(answer.wait ?? this.wait) * (1 + Math.random()));
    if (this.late && !this.launch && answer?.told.code === "bad_build_token") {
      this.late = false;
      this.stale = true;
      return this.ask();
    }
    if (answer && answer.status < 500) return this.refused(answer.told.message ?? "");
    this.silence += 1;
    if (this.silence === MOST_SILENCE) return this.lost();
    this.later((answer?.wait ?? this.wait) * (1 + Math.random()));
  }

  // Twice as long each time that we are turned away: with a crowd that all come back at once nobody would get anywhere.
  farther(wait) {
    this.silence = 0;
    this.late = true;
    return Math.max(wait, Math.min(LONGEST_AWAY_MS, wait * 2 ** this.away++));
  }

  later(wait) {
    this.wait = Math.min(LONGEST_WAIT_MS, this.wait * GROWTH);
    this.timer = setTimeout(() => this.ask(), wait);
  }

  async answer() {
    try {
      const response = await (this.launch ? this.look() : this.create());
      const seconds = Number(response.headers.get("Retry-After")); // neither 0 nor a date is one to wait for
      const wait = seconds > 0 ? 1000 * seconds : null;
      return { ok: response.ok, status: response.status, wait, told: await response.json().catch(() => ({})) };
    } catch {
      return null;
    }
  }

  async create() {
    if (this.stale) {
      // Not a reload: that may be turned away too, and then there would be no page any more.
      const page = await fetch(location.href);
      if (!page.ok) return page;
      const fresh = new DOMParser().parseFromString(await page.text(), "text/html");
      this.asked.build_token = JSON.parse(fresh.getElementById("told").textContent).token;
      this.stale = false;
    }
    const headers = { "Content-Type": "application/json" };
    return fetch(`${this.root}/api/launches`, { method: "POST", headers, body: JSON.stringify(this.asked) });
  }

  look() {
    return fetch(`${this.root}/api/launches/${this.launch.id}`, { headers: { Authorization: `Bearer ${this.launch.launcher_token}` } });
  }
}

// Whether somebody answered, and too much is asked just now.
function crowded(answer) {
  return answer?.status === 429 || answer?.told.code === "busy";
}

// The lines of `now` that come after the last lines that are `shown`; all of them where those are not among them.
function linesAfter(shown, now) {
  if (!shown.length) return now;
  for (let end = shown.length; end <= now.length; end += 1) {
    if (shown.every((line, place) => line === now[end - shown.length + place])) return now.slice(end);
  }
  return now;
}

// The lines of `now` that come after those of `before`: each answer holds the last lines of the log.
function freshLines(before, now) {
  let same = Math.min(before.length, now.length);
  while (before.slice(before.length - same).some((line, place) => line !== now[place])) same -= 1;
  return now.slice(same);
}
