"use strict";

// The types of a referral stand first: they are what most people come for.
const FIRST = ["System", "Patient", "ServiceRequest", "Task", "Encounter", "Coverage", "Observation", "DiagnosticReport"];

const select = document.getElementById("docs-type");
const find = document.getElementById("docs-find");
const source = document.getElementById("docs-source");
const problem = document.getElementById("docs-problem");
let names = [];
let ui = null;

const addressOf = (name) => `openapi/${name}.json`;

function tell(text) {
  problem.textContent = text;
  problem.hidden = !text;
}

function group(label, members) {
  const element = document.createElement("optgroup");
  element.label = label;
  element.append(...members.map((name) => new Option(name, name)));
  return element;
}

function nameInAddress() {
  const wanted = decodeURIComponent(location.hash.replace(/^#\/?/, "")).split("/")[0];
  return names.includes(wanted) ? wanted : "Patient";
}

function show(name) {
  select.value = name;
  source.href = addressOf(name);
  document.title = `FHIR server: ${name}`;
  if (ui === null) {
    ui = SwaggerUIBundle({
      url: addressOf(name),
      dom_id: "#docs-ui",
      presets: [SwaggerUIBundle.presets.apis],
      layout: "BaseLayout",
      validatorUrl: null,
      deepLinking: false,
      docExpansion: "list",
      defaultModelsExpandDepth: 0,
      defaultModelExpandDepth: 1,
      displayRequestDuration: true,
      tryItOutEnabled: true,
      syntaxHighlight: { activated: true },
    });
    window.ui = ui;
  } else {
    // The same page with another document: whoever is authorized stays so.
    ui.specActions.updateUrl(addressOf(name));
    ui.specActions.download(addressOf(name));
  }
}

function choose(name) {
  if (`#${name}` === location.hash) {
    show(name);
  } else {
    location.hash = name;
  }
}

async function start() {
  const answer = await fetch("openapi/index.json");
  if (!answer.ok) {
    throw new Error(`the list of resource types could not be read (${answer.status})`);
  }
  names = await answer.json();
  const first = FIRST.filter((name) => names.includes(name));
  select.append(group("Referral", first), group("All", names.filter((name) => !first.includes(name))));
  document.getElementById("docs-types").append(...names.map((name) => new Option(name, name)));
  select.addEventListener("change", () => choose(select.value));
  find.addEventListener("change", () => {
    const wanted = find.value.trim().toLowerCase();
    const name = names.find((item) => item.toLowerCase() === wanted);
    tell(name || !wanted ? "" : `There is no resource type ${find.value.trim()}.`);
    if (name) {
      find.value = "";
      choose(name);
    }
  });
  window.addEventListener("hashchange", () => show(nameInAddress()));
  show(nameInAddress());
}

start().catch((error) => tell(`This page could not start: ${error.message}`));
