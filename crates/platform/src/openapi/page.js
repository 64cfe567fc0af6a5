"use strict";
const make = (tag, text, className) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
};
const nameOf = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.type === "array") return `${nameOf(schema.items)}[]`;
  return [].concat(schema.type || "any").join(" | ");
};
const expand = (schema, all, depth = 0) => {
  if (!schema || depth > 4) return "…";
  if (schema.$ref) return expand(all[schema.$ref.split("/").pop()], all, depth + 1);
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((part) => expand(part, all, depth + 1)));
  if (schema.oneOf) return expand(schema.oneOf.find((part) => part.type !== "null"), all, depth + 1);
  if (schema.type === "array") return [expand(schema.items, all, depth + 1)];
  if (schema.properties) {
    return Object.fromEntries(Object.entries(schema.properties).map(([key, value]) => [key, expand(value, all, depth + 1)]));
  }
  return schema.enum ? schema.enum.join(" | ") : nameOf(schema);
};
const operation = (path, method, op, all) => {
  const box = make("details");
  const head = make("summary");
  head.append(make("code", method.toUpperCase(), "method"), make("code", path), make("span", op.summary || "", "about"));
  box.append(head);
  if (op.description) box.append(make("p", op.description));
  if (op["x-scope"]) box.append(make("p", `Scope ${op["x-scope"]}, role ${op["x-role"]} or above, door ${op["x-door"]}.`));
  if ((op.parameters || []).length) {
    const table = make("table");
    for (const parameter of op.parameters) {
      const row = make("tr");
      row.append(make("td", `${parameter.name}${parameter.required ? " *" : ""}`), make("td", parameter.in), make("td", nameOf(parameter.schema)), make("td", parameter.description || ""));
      table.append(row);
    }
    box.append(table);
  }
  const show = (title, content) => {
    for (const [kind, media] of Object.entries(content || {})) {
      box.append(make("p", `${title} (${kind})`), make("pre", JSON.stringify(expand(media.schema, all), null, 2)));
    }
  };
  if (op.requestBody) show("Body", op.requestBody.content);
  for (const [status, response] of Object.entries(op.responses || {})) {
    if (status === "default") continue;
    box.append(make("p", `${status}: ${response.description}`));
    show(`${status}`, response.content);
  }
  box.dataset.text = `${method} ${path} ${op.summary || ""} ${(op.tags || []).join(" ")}`.toLowerCase();
  return box;
};
fetch("openapi.json").then((answer) => answer.json()).then((api) => {
  const main = document.getElementById("routes");
  main.textContent = "";
  const chapters = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of ["get", "post", "put", "patch", "delete"]) {
      if (!item[method]) continue;
      const tag = (item[method].tags || ["other"])[0];
      if (!chapters.has(tag)) {
        const section = make("section");
        section.append(make("h2", tag));
        chapters.set(tag, section);
        main.append(section);
      }
      chapters.get(tag).append(operation(path, method, item[method], (api.components || {}).schemas || {}));
    }
  }
  document.getElementById("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const box of main.querySelectorAll("details")) box.hidden = !box.dataset.text.includes(wanted);
  });
});
