"""Tests of ten thousand pages of which two hundred may listen. The other pages run their own code, at the template's
limits.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from bindery.web.pages.assets import asset
from bindery.web.pages.site import TOKEN_SECONDS
from tests.infra.deployed.rights import RESOURCES, TEMPLATE
from tests.serving.browser import chromium

VISITORS = 10_000
BUILD_SECONDS, ARRIVING_SECONDS = 600, 60
# The real `Polling`, on a clock that jumps from one timer to the next, before a gate as API Gateway's: a bucket of requests.
CROWD = """async ({ count, rate, burst, retry, arriving, ready, permitted }) => {
  document.body.dataset.root = "";
  const STEP = 50, slots = [];
  let now = 0, filled = 0, left = burst, arrived = 0, lost = 0, refused = 0, last = 0, asked = 0, expired = 0;
  window.setTimeout = (work, wait) => (slots[Math.ceil((now + wait) / STEP)] ??= []).push(work);
  window.fetch = async (url, { body } = {}) => {
    asked += 1;
    left = Math.min(burst, left + ((now - filled) / 1000) * rate);
    filled = now;
    const ok = left >= 1;
    if (ok) left -= 1;
    const text = async () => `<script id="page-data" type="application/json">{"token": ${now}}</script>`;
    if (ok && url === location.href) return { ok, status: 200, headers: new Map(), text };
    if (ok && body && now - JSON.parse(body).build_token > permitted) {
      expired += 1;
      return { ok: false, status: 403, headers: new Map(), json: async () => ({ code: "bad_build_token" }) };
    }
    const payload = ok ? { id: "l", launcher_token: "t", phase: now >= ready ? "ready" : "building" } : { code: "too_many_requests" };
    return { ok, status: ok ? 200 : 429, headers: new Map(ok ? [] : [["Retry-After", retry]]), json: async () => payload };
  };
  const onAnswer = (launch) => {
    if (launch.phase !== "ready") return false;
    arrived += 1;
    last = now;
    return true;
  };
  const listeners = { onAnswer, onRefused: () => (refused += 1), onLost: () => (lost += 1) };
  for (let number = 0; number < count; number += 1)
    setTimeout(() => new Polling("https://b.test/build/gh/o/r/HEAD", now, listeners), Math.random() * arriving);
  for (let slot = 0; slot < slots.length; slot += 1) {
    now = slot * STEP;
    for (const work of slots[slot] ?? []) {
      work();
      for (let tick = 0; tick < 40; tick += 1) await null; // its requests are answered at once
    }
    delete slots[slot];
  }
  return { arrived, lost, refused, last, asked, expired };
}"""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with chromium(tmp_path) as browser:
        page = browser.new_page()
        polling = asset("polling.js")
        assert polling
        page.add_script_tag(content=polling.body.decode())
        yield page


def test_ten_thousand_watchers_of_one_build_all_reach_their_sessions(page: Page) -> None:
    limits = {name: TEMPLATE["Parameters"][name]["Default"] for name in ("RequestsPerSecond", "RequestsAtOnce")}
    throttled = RESOURCES["Api"]["Properties"]["GatewayResponses"]["THROTTLED"]["ResponseParameters"]["Headers"]
    watching = TEMPLATE["Parameters"]["WatchersAtOnce"]["Default"]
    crowd = {
        "count": VISITORS - watching,
        "rate": limits["RequestsPerSecond"],
        "burst": limits["RequestsAtOnce"],
        "retry": throttled["Retry-After"].strip("'"),
        "arriving": ARRIVING_SECONDS * 1000,
        "ready": BUILD_SECONDS * 1000,
        "permitted": TOKEN_SECONDS * 1000,
    }
    counts = page.evaluate(CROWD, crowd)
    assert (counts["lost"], counts["refused"]) == (0, 0), counts
    assert counts["expired"] > 0, "some are kept outside for longer than their page's permit lasts"
    assert counts["arrived"] == VISITORS - watching
    assert counts["last"] / 1000 < BUILD_SECONDS + 300, "minutes after it is built at the latest"


def test_the_reserved_concurrency_of_streams_equals_the_watchers_at_once() -> None:
    """The reserved number leaves workers the rest of the account's limit while ten thousand people watch."""
    stream = RESOURCES["StreamLaunch"]["Properties"]
    assert stream["ReservedConcurrentExecutions"] == {"Ref": "WatchersAtOnce"}
    assert 0 < TEMPLATE["Parameters"]["WatchersAtOnce"]["Default"] <= 200
