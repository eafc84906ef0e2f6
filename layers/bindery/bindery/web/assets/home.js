// The start page's form: makes a link and a badge from its fields, and recognises pasted addresses.
"use strict";

const providers = JSON.parse(document.getElementById("page-data").textContent);
const { root } = document.body.dataset;
const element = (id) => document.getElementById(id);
const repoText = () => element("repo").value.trim();
const chosenProvider = () => providers.find((provider) => provider.id === element("provider").value);
const encodeSegments = (text) => text.split("/").map(encodeURIComponent).join("/");

const TYPING_PAUSE_MS = 150; // after this pause in typing, the text is sent to /api/detect
let requestNumber = 0; // requests to /api/detect so far: only the answer to the latest one is used
let timer = 0;
let pendingDetection = null; // the server's answer for the text in the field, while that text is still being typed
let detectedText = ""; // the text that the last answer has put into the field: no request is needed for it
let detectedFields = {}; // the branch and the path that the last answer has put into the form

const PAGES = /^[\w-]+\/[\w.-]+\/(tree|blob|raw|blame|edit|commit|commits|releases|pull)\//;
const DOI = /^(doi:\s*|info:doi\/)?10\.\d{4,9}(\.\d+)*\//i;
const HOST = /^[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?\//i;
const URL_OR_REMOTE = /^([a-z+]+:\/\/.|[\w.-]+@[\w.-]+:.)/i;
const MARKUP = /^(\$ )?git clone |\]\(|<a\s|:target:/i;

// Tests for an address of a page or of a git remote, also inside a command or markup, or without a scheme; or for a DOI.
// Other text is a repository's name on the chosen host. GitLab is an exception to HOST: its groups may have a dot in their names.
function isAddress(text) {
  if ([URL_OR_REMOTE, MARKUP, PAGES, DOI].some((pattern) => pattern.test(text))) return true;
  return HOST.test(text) && !(chosenProvider().id === "gl" && text.split("/").length === 2);
}

// Tests for a folder on the visitor's machine. Without this test, it would count as the name of a repository.
const isFolder = (text) => /^([/~\\]|\.{1,2}[/\\]|[a-z]:[/\\])/i.test(text);
const FOLDER_HINT = "Folders are not fetched. Name a repository on a host, or serve yours over http.";

// Handles typed or pasted text. A paste rewrites the form at once; text that is still being typed stays as it is.
function onInput(event) {
  requestNumber += 1;
  clearTimeout(timer);
  pendingDetection = null;
  const pasted = ["insertFromPaste", "insertFromDrop"].includes(event.inputType);
  for (const id of ["ref", "path"]) { // values that belong to the previous repository; values that the visitor typed stay
    if (pasted || element(id).value === detectedFields[id]) element(id).value = "";
  }
  detectedFields = {};
  updateOutput();
  if (pasted) detect(true);
  else timer = setTimeout(detect, TYPING_PAUSE_MS);
}

// Fills the form when the visitor leaves the field.
function onFieldLeft() {
  clearTimeout(timer);
  if (pendingDetection) fillForm(pendingDetection, currentFields());
  else detect(true);
}

const currentFields = () => ({ ref: element("ref").value, path: element("path").value });

// Sends an address to /api/detect. The answer is ignored if the text has changed since.
async function detect(rewrite = false) {
  const text = repoText();
  if (text && text === detectedText) return;
  if (!isAddress(text) || isFolder(text)) return readAsName(rewrite);
  const thisRequest = ++requestNumber;
  const fieldsBefore = currentFields();
  try {
    const response = await fetch(`${root}/api/detect?url=${encodeURIComponent(text)}`);
    const payload = await response.json();
    if (thisRequest !== requestNumber) return;
    if (response.ok && (rewrite || document.activeElement !== element("repo"))) return fillForm(payload, fieldsBefore);
    if (response.ok) pendingDetection = payload;
    else if (DOI.test(text) && !chosenProvider().ref.enabled) detectedText = text; // the chosen host may find this DOI all the same
    else return showHint(payload.message);
    updateOutput();
  } catch {
    if (thisRequest === requestNumber) showHint("This Bindery does not answer. Is the network there?");
  }
}

const showHint = (hint) => { element("hint").textContent = hint; };

// Reads the text as a repository's name. If it cannot be a name on the chosen host, but can be one on GitHub, GitHub is chosen.
function readAsName(rewrite) {
  const hasGithub = providers.some(({ id }) => id === "gh");
  if (rewrite && hasGithub && !chosenProvider().repo.urlEncode && !linkSpec() && /^[a-z0-9-]+\/[\w.-]+$/i.test(repoText())) {
    element("provider").value = "gh";
    updateLabels();
  }
  updateOutput();
}

// Fills the form with an answer of `/api/detect`. fieldsBefore: the fields at the time of the request; a field that was changed
// since keeps its value.
function fillForm(detection, fieldsBefore) {
  pendingDetection = null;
  element("provider").value = detection.provider;
  updateLabels();
  element("repo").value = detection.repo;
  detectedText = repoText();
  const path = detection.kind === "folder" && detection.path ? `lab/tree/${detection.path}` : detection.path;
  detectedFields = { ref: detection.ref === (chosenProvider().ref.default ?? "") ? "" : detection.ref, path };
  for (const id of ["ref", "path"]) if (element(id).value === fieldsBefore[id]) element(id).value = detectedFields[id];
  if (element("path").value === path) element("kind").value = detection.kind === "file" || !path ? "labpath" : "urlpath";
  updateOutput();
}

// Shows the labels and placeholders of the chosen provider.
function updateLabels() {
  const provider = chosenProvider();
  element("repo-label").textContent = provider.repo.label;
  element("repo").placeholder = provider.repo.placeholder;
  element("ref-row").hidden = !provider.ref.enabled;
  element("ref").placeholder = provider.ref.default ?? "";
}

// Returns the part of a link after `/v2/<provider>/`, or "" if the fields make no valid one for this provider.
function linkSpec() {
  const { repo: { urlEncode, placeholder }, ref: { enabled, default: defaultRef }, spec: { validateRegex } } = chosenProvider();
  const text = repoText().replace(/\/+$/, "");
  if (!text || /\s/.test(text) || isFolder(text) || (isAddress(repoText()) && repoText() !== detectedText)) return "";
  if (urlEncode && placeholder.startsWith("http") && !/^https?:\/\//i.test(text)) return "";
  if (!urlEncode && enabled && !/^[^/]+\/[^/]+$/.test(text)) return ""; // must be owner and name
  const ref = element("ref").value.trim() || defaultRef || "";
  const encoded = urlEncode ? encodeURIComponent(text) : encodeSegments(text);
  const spec = enabled && ref ? `${encoded}/${encodeSegments(ref)}` : encoded;
  return new RegExp(`^(?:${validateRegex})$`).test(spec) ? spec : "";
}

// Encodes parentheses, since one would end a link in Markdown.
const markdownSafe = (text) => text.replaceAll("(", "%28").replaceAll(")", "%29");

// Writes the link and the badge, enables the buttons if there is a link, and shows a hint if there is none.
function updateOutput() {
  const spec = pendingDetection ? "" : linkSpec();
  const path = element("path").value.trim();
  const query = path ? `?${element("kind").value}=${encodeURIComponent(path)}` : "";
  const formLink = spec ? `${location.origin}${root}/v2/${chosenProvider().id}/${spec}${query}` : "";
  const detectedPath = pendingDetection?.link.slice(pendingDetection.link.indexOf("/v2/"));
  const link = markdownSafe(pendingDetection ? location.origin + root + detectedPath : formLink);
  element("link").value = link;
  element("badge").value = link ? `[![Binder](${location.origin}${root}/badge_logo.svg)](${link})` : "";
  element("go").disabled = !link;
  for (const button of document.querySelectorAll("[data-copy]")) button.disabled = !link;
  const hint = isFolder(repoText()) ? FOLDER_HINT : `It should look like ${chosenProvider().repo.placeholder}`;
  element("hint").textContent = repoText() && !link && !isAddress(repoText()) ? hint : "";
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

element("repo").addEventListener("input", onInput);
element("repo").addEventListener("change", onFieldLeft);
element("provider").addEventListener("change", () => { updateLabels(); updateOutput(); });
for (const id of ["ref", "path", "kind"]) element(id).addEventListener("input", updateOutput);
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (element("link").value) location.assign(element("link").value);
});
updateLabels();
detect(true); // the browser may have restored the text of an earlier visit
