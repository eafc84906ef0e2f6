// The start page's form: makes a link and a badge of what is filled in, and recognises addresses that are pasted.
"use strict";

const providers = JSON.parse(document.getElementById("told").textContent);
const { root } = document.body.dataset;
const element = (id) => document.getElementById(id);
const given = () => element("repo").value.trim();
const chosen = () => providers.find((provider) => provider.id === element("provider").value);
const perSegment = (text) => text.split("/").map(encodeURIComponent).join("/");

const PAUSE = 150; // milliseconds: an address that is typed is asked about when its typing rests
let asked = 0;

// An address of any page, or of a remote as git writes it; what else is in the field stands for itself.
const isAddress = (text) => /^([a-z+]+:\/\/.|[\w.-]+@[\w.-]+:.)/i.test(text);

// A folder of somebody's machine, which would otherwise be taken for the name of a repository.
const isFolder = (text) => /^([/~\\]|\.{1,2}[/\\]|[a-z]:[/\\])/i.test(text);
const FOLDERS = "Folders are not fetched. Name a repository on a host, or serve yours over http.";

// Asks what an address leads to. Whoever goes on typing meanwhile is not disturbed by an answer about what was there before.
async function pasted() {
  const address = given();
  const mine = ++asked;
  written();
  if (!isAddress(address)) return;
  await new Promise((rest) => setTimeout(rest, PAUSE));
  if (mine !== asked) return;
  try {
    const answer = await fetch(`${root}/api/detect?url=${encodeURIComponent(address)}`);
    const told = await answer.json();
    if (mine !== asked) return;
    if (answer.ok) filled(told);
    else element("hint").textContent = told.message;
  } catch {
    if (mine === asked) element("hint").textContent = "This Bindery does not answer. Is the network there?";
  }
}

// The form, as `/api/detect` understood an address.
function filled(told) {
  element("provider").value = told.provider;
  described();
  element("repo").value = told.repo;
  if (told.ref !== (chosen().ref.default ?? "")) element("ref").value = told.ref;
  if (told.path) {
    element("kind").value = told.kind === "file" ? "labpath" : "urlpath";
    element("path").value = told.kind === "folder" ? `lab/tree/${told.path}` : told.path;
  }
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
  const provider = chosen();
  if (isFolder(given())) return "";
  const repo = given().replace(/\/+$/, "");
  const ref = element("ref").value.trim() || provider.ref.default || "";
  if (!repo || (isAddress(repo) && !provider.repo.urlEncode)) return "";
  const encoded = provider.repo.urlEncode ? encodeURIComponent(repo) : perSegment(repo);
  const made = provider.ref.enabled && ref ? `${encoded}/${perSegment(ref)}` : encoded;
  return new RegExp(`^(?:${provider.spec.validateRegex})$`).test(made) ? made : "";
}

// Parentheses would end a link in Markdown.
const markdownSafe = (text) => text.replaceAll("(", "%28").replaceAll(")", "%29");

function written() {
  const made = spec();
  const path = element("path").value.trim();
  const query = path ? `?${element("kind").value}=${encodeURIComponent(path)}` : "";
  const link = made ? markdownSafe(`${location.origin}${root}/v2/${chosen().id}/${made}${query}`) : "";
  element("link").value = link;
  element("badge").value = link ? `[![Binder](${location.origin}${root}/badge_logo.svg)](${link})` : "";
  element("go").disabled = !link;
  for (const button of document.querySelectorAll("[data-copy]")) button.disabled = !link;
  const hint = isFolder(given()) ? FOLDERS : `It should look like ${chosen().repo.placeholder}`;
  element("hint").textContent = given() && !made ? hint : "";
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

element("repo").addEventListener("input", pasted);
element("provider").addEventListener("change", () => { described(); written(); });
for (const id of ["ref", "path", "kind"]) element(id).addEventListener("input", written);
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (element("link").value) location.assign(element("link").value);
});
described();
pasted(); // what the browser kept from before
