// Cuts a vendor's OpenAPI document down to the calls that an adapter makes, in the form that Prism can serve:
// `node openapi.mjs IN OUT CALLS [BELOW]`, where CALLS is JSON of `{"/path": ["get"]}`, and BELOW what all paths lie under. Request schemas stay as published, but for
// one thing: a request may hold no property that the document does not name, so that a field in the wrong call is seen.

import { readFileSync, writeFileSync } from "node:fs";

const [source, target, calls, below = ""] = process.argv.slice(2);
const document = JSON.parse(readFileSync(source, "utf8"));

const paths = {};
for (const [path, methods] of Object.entries(JSON.parse(calls))) {
  // Jira's second version is its third one with texts in the place of documents.
  const published = document.paths[path] ?? document.paths[path.replace("/rest/api/2/", "/rest/api/3/")];
  if (!published) throw new Error(`the document has no ${path}`);
  paths[path] = {};
  for (const method of methods) {
    const call = published[method];
    if (!call) throw new Error(`the document has no ${method} ${path}`);
    // The answers are not looked at here, and Prism has no writer for some of their kinds.
    call.responses = { default: { description: "whatever the server says" } };
    call.parameters = [
      ...(call.parameters ?? []),
      { name: "User-Agent", in: "header", required: true, schema: { type: "string", minLength: 1 } },
    ];
    for (const content of Object.values(call.requestBody?.content ?? {})) close(content.schema);
    paths[path][method] = call;
  }
}
// Forges take slashes in a file's path, Prism's router does not.
for (const path of Object.keys(paths).filter((path) => path.endsWith("/contents/{path}"))) {
  const deeper = structuredClone(paths[path]);
  for (const call of Object.values(deeper)) {
    call.operationId += "-in-folder";
    call.parameters.push({ name: "folder", in: "path", required: true, schema: { type: "string" } });
  }
  paths[path.replace("{path}", "{folder}/{path}")] = deeper;
}

function close(schema, depth = 0) {
  if (!schema || schema.$ref || depth > 3) return;
  if (schema.type === "object" && schema.properties) schema.additionalProperties ??= false;
  for (const branch of [schema.oneOf, schema.anyOf, schema.allOf].flat()) close(branch, depth + 1);
}

const components = { securitySchemes: { bearer: { type: "http", scheme: "bearer" } } };
for (const call of Object.values(paths).flatMap(Object.values)) {
  for (const name of (call.security ?? []).flatMap(Object.keys)) {
    components.securitySchemes[name] = document.components.securitySchemes[name];
  }
}
const seen = new Set();
function follow(node) {
  if (Array.isArray(node)) return node.forEach(follow);
  if (!node || typeof node !== "object") return;
  if (typeof node.$ref === "string" && !seen.has(node.$ref)) {
    seen.add(node.$ref);
    const [, , kind, name] = node.$ref.split("/");
    const part = document.components[kind][name];
    (components[kind] ??= {})[name] = part;
    follow(part);
  }
  Object.values(node).forEach(follow);
}
follow(paths);
if (Object.keys(paths).some((path) => path.includes("/rest/api/2/"))) {
  components.schemas.Comment.properties.body = { type: "string" };
}
for (const path of Object.keys(paths).filter(() => below)) {
  paths[below + path] = paths[path];
  delete paths[path];
}
const { openapi, info } = document;
writeFileSync(target, JSON.stringify({ openapi, info, security: [{ bearer: [] }], paths, components }));
