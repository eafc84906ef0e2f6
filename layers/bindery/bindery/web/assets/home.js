// The start page's form: makes a link and a badge of what is filled in, and recognises addresses that are pasted.
"use strict";

const providers = JSON.parse(document.getElementById("told").textContent);
const { root } = document.body.dataset;
const element = (id) => document.getElementById(id);
const given = () => element("repo").value.trim();
const chosen = () => providers.find((provider) => provider.id === element("provider").value);
const perSegment = (text) => text.split("/").map(encodeURIComponent).join("/");

const PAUSE = 150; // milliseconds: text that is typed is asked about when its typing rests
let asked = 0; // requests to /api/detect so far: only the answer to the last one counts
let timer = 0;
let understood = null; // the server's answer about the text in the field, while that text is still being typed
let settled = ""; // the text that the form shows as it was understood: nobody need be asked about it
let detected = {}; // the branch and the path that an answer has put into the form

const PAGES = /^[\w-]+\/[\w.-]+\/(tree|blob|raw|blame|edit|commit|commits|releases|pull)\//;
const DOI = /^(doi:\s*|info:doi\/)?10\.\d{4,9}(\.\d+)*\//i;
const HOST = /^[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?\//i;
const URL_OR_REMOTE = /^([a-z+]+:\/\/.|[\w.-]+@[\w.-]+:.)/i;
const WORDS = /^(\$ )?git clone |\]\(|<a\s|:target:/i;

// An address of any page, or of a remote as git writes it, with words around it or without its scheme; or a DOI. Other text is a
// name on the chosen host, where a group of GitLab's may have a dot in its name.
function isAddress(text) {
  if ([URL_OR_REMOTE, WORDS, PAGES, DOI].some((kind) => kind.test(text))) return true;
  return HOST.test(text) && !(chosen().id === "gl" && text.split("/").length === 2);
}

// A folder of somebody's machine, which would otherwise be taken for the name of a repository.
const isFolder = (text) => /^([/~\\]|\.{1,2}[/\\]|[a-z]:[/\\])/i.test(text);
const FOLDERS = "Folders are not fetched. Name a repository on a host, or serve yours over http.";

// Something was typed or pasted. Text that is still being typed stays as it is: only a paste rewrites the form at once.
function changed(event) {
  asked += 1;
  clearTimeout(timer);
  understood = null;
  const pasted = ["insertFromPaste", "insertFromDrop"].includes(event.inputType);
  for (const id of ["ref", "path"]) { // those of the repository before, unless somebody typed them since
    if (pasted || element(id).value === detected[id]) element(id).value = "";
  }
  detected = {};
  written();
  if (pasted) look(true);
  else timer = setTimeout(look, PAUSE);
}

// The field was left: the form shows what is understood of it.
function left() {
  clearTimeout(timer);
  if (understood) filled(understood, fields());
  else look(true);
}

const fields = () => ({ ref: element("ref").value, path: element("path").value });

// Asks what an address leads to. An answer about text that is no longer there changes nothing.
async function look(rewrite = false) {
  const text = given();
  if (text && text === settled) return;
  if (!isAddress(text) || isFolder(text)) return named(rewrite);
  const mine = ++asked;
  const before = fields();
  try {
    const answer = await fetch(`${root}/api/detect?url=${encodeURIComponent(text)}`);
    const told = await answer.json();
    if (mine !== asked) return;
    if (answer.ok && (rewrite || document.activeElement !== element("repo"))) return filled(told, before);
    if (answer.ok) understood = told;
    else if (DOI.test(text) && !chosen().ref.enabled) settled = text; // the chosen host may know a DOI that tells nothing
    else return say(told.message);
    written();
  } catch {
    if (mine === asked) say("This Bindery does not answer. Is the network there?");
  }
}

const say = (hint) => { element("hint").textContent = hint; };

// A name. One that the chosen host cannot have, and GitHub can, is GitHub's.
function named(rewrite) {
  const github = providers.some(({ id }) => id === "gh");
  if (rewrite && github && !chosen().repo.urlEncode && !spec() && /^[a-z0-9-]+\/[\w.-]+$/i.test(given())) {
    element("provider").value = "gh";
    described();
  }
  written();
}

// The form, as `/api/detect` understood an address. before: fields as they were then; what was typed into them since stays.
function filled(told, before) {
  understood = null;
  element("provider").value = told.provider;
  described();
  element("repo").value = told.repo;
  settled = given();
  const place = told.kind === "folder" && told.path ? `lab/tree/${told.path}` : told.path;
  detected = { ref: told.ref === (chosen().ref.default ?? "") ? "" : told.ref, path: place };
  for (const id of ["ref", "path"]) if (element(id).value === before[id]) element(id).value = detected[id];
  if (element("path").value === place) element("kind").value = told.kind === "file" || !place ? "labpath" : "urlpath";
  written();
}

function described() {
  const provider = chosen();
  element("repo-label").textContent = provider.repo.label;
  element("repo").placeholder = provider.repo.placeholder;
  element("ref-row").hidden = !provider.ref.enabled;
  element("ref").placeholder = provider.ref.default ?? "";
}

// The part of a link after `/v2/<provider>/`; empty while it cannot be one of the provider's.
function spec() {
  const { repo: { urlEncode, placeholder }, ref: { enabled, default: usual }, spec: { validateRegex } } = chosen();
  const text = given().replace(/\/+$/, "");
  if (!text || /\s/.test(text) || isFolder(text) || (isAddress(given()) && given() !== settled)) return "";
  if (urlEncode && placeholder.startsWith("http") && !/^https?:\/\//i.test(text)) return "";
  if (!urlEncode && enabled && !/^[^/]+\/[^/]+$/.test(text)) return ""; // owner and name
  const ref = element("ref").value.trim() || usual || "";
  const encoded = urlEncode ? encodeURIComponent(text) : perSegment(text);
  const made = enabled && ref ? `${encoded}/${perSegment(ref)}` : encoded;
  return new RegExp(`^(?:${validateRegex})$`).test(made) ? made : "";
}

// Parentheses would end a link in Markdown.
const markdownSafe = (text) => text.replaceAll("(", "%28").replaceAll(")", "%29");

function written() {
  const made = understood ? "" : spec();
  const path = element("path").value.trim();
  const query = path ? `?${element("kind").value}=${encodeURIComponent(path)}` : "";
  const own = made ? `${location.origin}${root}/v2/${chosen().id}/${made}${query}` : "";
  const link = markdownSafe(understood ? location.origin + root + understood.link.slice(understood.link.indexOf("/v2/")) : own);
  element("link").value = link;
  element("badge").value = link ? `[![Binder](${location.origin}${root}/badge_logo.svg)](${link})` : "";
  element("go").disabled = !link;
  for (const button of document.querySelectorAll("[data-copy]")) button.disabled = !link;
  const hint = isFolder(given()) ? FOLDERS : `It should look like ${chosen().repo.placeholder}`;
  element("hint").textContent = given() && !link && !isAddress(given()) ? hint : "";
  element("copied").textContent = "";
}

async function copy(button) {
  const field = element(button.dataset.copy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    element("copied").textContent = "Copied.";
  } catch {
    element("copied").textContent = "Selected: copy it with your keyboard.";
  }
}

element("repo").addEventListener("input", changed);
element("repo").addEventListener("change", left);
element("provider").addEventListener("change", () => { described(); written(); });
for (const id of ["ref", "path", "kind"]) element(id).addEventListener("input", written);
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (element("link").value) location.assign(element("link").value);
});
described();
look(true); // what the browser kept from before
