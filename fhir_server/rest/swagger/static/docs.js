"use strict";

// The types of a referral stand first: they are what most people come for.
const FIRST = ["System", "Patient", "ServiceRequest", "Task", "Encounter", "Coverage", "Observation", "DiagnosticReport"];

const select = document.getElementById("docs-type");
const find = document.getElementById("docs-find");
const source = document.getElementById("docs-source");
const problem = document.getElementById("docs-problem");
let names = [];
let ui = null;
let wanted = "";

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
  const name = decodeURIComponent(location.hash.replace(/^#\/?/, "")).split("/")[0];
  return names.includes(name) ? name : "Patient";
}

// Swagger UI unfolds every schema that a call refers to, and FHIR's refer to each other without end: seconds of
// standing still per call. The page names the schema instead; it stands, whole, under "Schemas".
function nameSchemas(value) {
  if (value === null || typeof value !== "object") {
    return value;
  }
  if (Array.isArray(value)) {
    return value.map(nameSchemas);
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => {
    const name = key === "schema" && typeof inner.$ref === "string" ? inner.$ref.split("/").pop() : null;
    return [key, name ? { type: "object", title: name, description: `see ${name} under Schemas` } : nameSchemas(inner)];
  }));
}

// A description says what a primitive looks like; its regular expression is for machines.
function withoutPatterns(schemas) {
  return Object.fromEntries(Object.entries(schemas).map(([name, { pattern, ...schema }]) => [name, schema]));
}

async function read(name) {
  const answer = await fetch(addressOf(name));
  if (!answer.ok) {
    throw new Error(`the document of ${name} could not be read (${answer.status})`);
  }
  const whole = await answer.json();
  const responses = nameSchemas(whole.components.responses);
  const schemas = withoutPatterns(whole.components.schemas);
  return { ...whole, paths: nameSchemas(whole.paths), components: { ...whole.components, responses, schemas } };
}

function open(spec) {
  if (ui !== null) {
    // The same page with another document: whoever is authorized stays so.
    ui.specActions.updateSpec(JSON.stringify(spec));
    return;
  }
  ui = SwaggerUIBundle({
    spec,
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
  });
}

async function show(name) {
  wanted = name;
  select.value = name;
  source.href = addressOf(name);
  document.title = `FHIR server: ${name}`;
  try {
    const spec = await read(name);
    if (wanted === name) {
      tell("");
      open(spec);
    }
  } catch (error) {
    tell(`This page could not show ${name}: ${error.message}`);
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
    const typed = find.value.trim();
    const name = names.find((item) => item.toLowerCase() === typed.toLowerCase());
    tell(name || !typed ? "" : `There is no resource type ${typed}.`);
    if (name) {
      find.value = "";
      choose(name);
    }
  });
  window.addEventListener("hashchange", () => show(nameInAddress()));
  show(nameInAddress());
}

start().catch((error) => tell(`This page could not start: ${error.message}`));
