"""A foreign site: its pages try all that a web page can do to another address."""

from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.serving.loopback import Loopback, Quiet

# Answers a line for each attempt with its result, once all attempts have ended.
ATTACK = """
async function attack(bindery, spec) {
  const build = `${bindery}/build/git/${spec}`, page = `${bindery}/v2/git/${spec}`, api = `${bindery}/api/launches`;
  const order = JSON.stringify({provider: "git", spec});
  const results = [];
  const report = (attempt) => (result) => results.push(`${attempt}: ${result}`);
  const ask = (what, url, options) =>
    fetch(url, options).then((answer) => answer.text().then((text) => `${answer.type} ${answer.status} ${text}`))
      .catch((error) => error.name).then(report(what));
  const load = (what, tag, attributes) => new Promise((resolve) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.onload = () => resolve("loaded");
    element.onerror = () => resolve("error");
    document.body.append(element);
  }).then(report(what));
  const submit = (what, action, method, enctype, name, value) => new Promise((resolve) => {
    const frame = Object.assign(document.createElement("iframe"), {name: `frame ${what}`});
    document.body.append(frame);
    frame.onload = () => resolve("loaded");
    const form = Object.assign(document.createElement("form"), {action, method, enctype, target: frame.name});
    form.append(Object.assign(document.createElement("input"), {name, value}));
    document.body.append(form);
    form.submit();
  }).then(report(what));
  const events = {Accept: "text/event-stream"};
  const json = {"Content-Type": "application/json"};
  const tries = [];
  for (const mode of ["cors", "no-cors"]) for (const credentials of ["omit", "include"]) {
    const how = `${mode} ${credentials}`;
    tries.push(ask(`stream ${how}`, build, {mode, credentials, headers: events}));
    tries.push(ask(`page ${how}`, page, {mode, credentials}));
    tries.push(ask(`text ${how}`, api, {mode, credentials, method: "POST", body: order}));
    tries.push(ask(`json ${how}`, api, {mode, credentials, method: "POST", body: order, headers: json}));
  }
  tries.push(ask("bearer", api, {method: "POST", body: order, headers: {...json, Authorization: "Bearer x"}}));
  tries.push(ask("forged", build, {headers: {...events, "Sec-Fetch-Site": "none", Origin: bindery, Host: "localhost"}}));
  tries.push(ask("quiet", build, {headers: events, referrerPolicy: "no-referrer", mode: "no-cors"}));
  tries.push(new Promise((resolve) => {
    const source = new EventSource(build);
    source.onmessage = (event) => { source.close(); resolve(event.data); };
    source.onerror = () => { source.close(); resolve("error"); };
  }).then(report("events")));
  for (const tag of ["img", "script", "embed", "iframe"])
    for (const [name, src] of [["build", build], ["page", page]]) tries.push(load(`${tag} ${name}`, tag, {src}));
  tries.push(load("style", "link", {rel: "stylesheet", href: build}));
  tries.push(load("object", "object", {data: build}));
  for (const [name, action] of [["build", build], ["page", page], ["api", api]]) {
    tries.push(submit(`get ${name}`, action, "get", "", "build_only", "false"));
    tries.push(submit(`post ${name}`, action, "post", "text/plain", `{"provider": "git", "spec": "${spec}", "x": "`, '"}'));
  }
  tries.push(ask("worker", URL.createObjectURL(new Blob([""])), {}).then(() => new Promise((resolve) => {
    const code = `fetch("${build}", {headers: {Accept: "text/event-stream"}, mode: "no-cors"})
      .then(() => postMessage("done"), () => postMessage("done"))`;
    new Worker(URL.createObjectURL(new Blob([code]))).onmessage = resolve;
  })));
  navigator.sendBeacon(api, new Blob([order], {type: "text/plain"}));
  await Promise.all(tries);
  return results.sort();
}
"""
PAGE = """<!doctype html><meta charset="utf-8"><title>elsewhere</title><h1>elsewhere</h1>
<script>{attack}</script>
<a id="link" href="{to}">look</a>
<a id="quiet" href="{to}" rel="noreferrer">look</a>
<a id="redirected" href="/redirect?to={quoted}">look</a>
<button id="opened" onclick="window.opened = window.open('{to}')">look</button>
<button id="sent" onclick="location.href = '{to}'">look</button>
<form action="{to}"><button id="form">look</button></form>"""


class ForeignSite(Loopback):
    """A foreign site. `/?to=<address>` is a page with ways to that address; `/redirect` and `/refresh` lead there by themselves."""

    def __init__(self) -> None:
        super().__init__(_Handler)


class _Handler(Quiet, BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        to = query.get("to", "")
        match urlsplit(self.path).path:
            case "/redirect":
                self._answer(302, "", Location=to)
            case "/refresh":
                self._answer(200, f'<meta http-equiv="refresh" content="0; url={to}">')
            case "/":
                quoted = to.replace("%", "%25")
                page = PAGE.replace("{attack}", ATTACK).replace("{to}", to).replace("{quoted}", quoted)
                self._answer(200, page)
            case _:
                self._answer(404, "")

    def _answer(self, status: int, text: str, **headers: str) -> None:
        self.send(status, text.encode(), {"Content-Type": "text/html; charset=utf-8", **headers})
