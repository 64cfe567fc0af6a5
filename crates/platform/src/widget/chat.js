/* The chat widget of allo: <script src="https://…/widget/chat.js" data-token="pub_…" defer></script>
   Attributes (or parameters of the address): data-token (token, publicToken), data-language (fr, en), data-open (true, false),
   data-color (#rrggbb), data-name (the visitor's name). Text only: nothing that comes from anywhere is read as HTML. */
(function () {
  "use strict";
  var script = document.currentScript;
  if (!script || window.alloChat) return;
  var address = new URL(script.src);
  var base = address.origin;
  function option(name) {
    return script.getAttribute("data-" + name) || address.searchParams.get(name) || "";
  }
  var token = option("token") || address.searchParams.get("publicToken") || "";
  if (token.slice(0, 4) !== "pub_") {
    console.error("allo: data-token must be the agent's public token (pub_…)");
    return;
  }
  var WORDS = {
    fr: {
      open: "Ouvrir la conversation", close: "Fermer la conversation", send: "Envoyer", label: "Votre message",
      again: "Nouvelle conversation", ended: "La conversation est terminée.", waiting: "Réponse en cours…", working: "Je cherche…",
      lost: "La connexion a été interrompue. Réessayez.", you: "Vous : ", agent: "Assistant : ",
    },
    en: {
      open: "Open the chat", close: "Close the chat", send: "Send", label: "Your message",
      again: "New chat", ended: "The chat has ended.", waiting: "Answering…", working: "Looking it up…",
      lost: "The connection was interrupted. Try again.", you: "You: ", agent: "Assistant: ",
    },
  };
  var words = WORDS.fr;
  var KEPT = "allo-chat-" + token.slice(-12);
  var session = null, busy = false, over = false;

  function kept() {
    try { return JSON.parse(sessionStorage.getItem(KEPT)); } catch (_) { return null; }
  }
  function keep(value) {
    try {
      if (value) sessionStorage.setItem(KEPT, JSON.stringify(value)); else sessionStorage.removeItem(KEPT);
    } catch (_) { /* a page that may not store anything forgets the chat when it is left */ }
  }

  function ask(method, path, body) {
    var headers = { "X-Public-Token": token, "Accept-Language": words === WORDS.fr ? "fr" : "en" };
    if (session) headers["X-Chat-Token"] = session.token;
    if (body) headers["Content-Type"] = "application/json";
    return fetch(base + path, { method: method, headers: headers, body: body ? JSON.stringify(body) : undefined, credentials: "omit" });
  }
  function problem(response) {
    return response.json().then(
      function (body) { throw Object.assign(new Error(body.title || words.lost), { code: body.code, status: response.status }); },
      function () { throw new Error(words.lost); }
    );
  }
  function json(response) { return response.ok ? response.json() : problem(response); }

  function element(name, attributes, parent, text) {
    var made = document.createElement(name);
    for (var key in attributes) made.setAttribute(key, attributes[key]);
    if (text) made.textContent = text;
    if (parent) parent.appendChild(made);
    return made;
  }

  var STYLE =
    ":host{all:initial}*{box-sizing:border-box;font:16px/1.45 system-ui,sans-serif}" +
    ".toggle{position:fixed;right:16px;bottom:16px;width:56px;height:56px;border:0;border-radius:28px;background:var(--c);color:#fff;cursor:pointer;font-size:24px;box-shadow:0 2px 8px #0005;z-index:2147483000}" +
    ".panel{position:fixed;right:16px;bottom:84px;width:min(380px,calc(100vw - 32px));height:min(560px,calc(100vh - 110px));display:flex;flex-direction:column;background:#fff;color:#1a1a1a;border-radius:12px;box-shadow:0 6px 28px #0006;overflow:hidden;z-index:2147483000}" +
    ".panel[hidden]{display:none}h2{margin:0;padding:12px 16px;background:var(--c);color:#fff;font-size:17px;font-weight:600}" +
    ".log{flex:1;overflow-y:auto;padding:12px 16px;margin:0;list-style:none}.log li{margin:0 0 10px;padding:8px 12px;border-radius:10px;max-width:88%;white-space:pre-wrap;overflow-wrap:anywhere;background:#eef0f3;width:fit-content}" +
    ".log li.user{margin-left:auto;background:var(--c);color:#fff}.note{padding:0 16px 8px;min-height:28px;color:#555;font-size:14px;margin:0}" +
    "form{display:flex;gap:8px;padding:12px;border-top:1px solid #ddd}textarea{flex:1;resize:none;border:1px solid #767676;border-radius:8px;padding:8px;height:44px;background:#fff;color:#1a1a1a}" +
    ".send,.again{border:0;border-radius:8px;padding:0 14px;background:var(--c);color:#fff;cursor:pointer}.again{margin:0 16px 12px;padding:8px 14px}" +
    "button:disabled{opacity:.5;cursor:default}:focus-visible{outline:3px solid #ffb000;outline-offset:2px}" +
    ".hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}" +
    "@media(prefers-color-scheme:dark){.panel{background:#1d1f23;color:#f2f2f2}.log li{background:#30343b}.note{color:#bbb}textarea{background:#111317;color:#f2f2f2}form{border-color:#3a3d44}}";

  var host = element("div", { id: "allo-chat" });
  var root = host.attachShadow({ mode: "open" });
  try {
    // A page's rules for inline styles do not stop a sheet that is made here.
    var sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
  } catch (_) {
    element("style", {}, root, STYLE);
  }
  var color = /^#[0-9a-fA-F]{6}$/.test(option("color")) ? option("color") : "#0b57d0";
  host.style.setProperty("--c", color);
  var toggle = element("button", { class: "toggle", type: "button", "aria-expanded": "false", "aria-controls": "panel" }, root, "💬");
  var panel = element("section", { class: "panel", id: "panel", role: "dialog", "aria-labelledby": "title", hidden: "" }, root);
  var title = element("h2", { id: "title" }, panel);
  var log = element("ol", { class: "log", role: "log", "aria-live": "polite", tabindex: "0", "aria-labelledby": "title" }, panel);
  var note = element("p", { class: "note", role: "status" }, panel);
  var again = element("button", { class: "again", type: "button", hidden: "" }, panel);
  var form = element("form", {}, panel);
  var label = element("label", { class: "hidden", for: "text" }, form);
  var input = element("textarea", { id: "text", rows: "1", autocomplete: "off" }, form);
  var send = element("button", { class: "send", type: "submit" }, form);

  function speak() {
    toggle.setAttribute("aria-label", panel.hidden ? words.open : words.close);
    label.textContent = words.label;
    input.placeholder = words.label;
    send.textContent = words.send;
    again.textContent = words.again;
    panel.lang = words === WORDS.fr ? "fr" : "en";
  }
  function line(role, text) {
    var item = element("li", { class: role }, log);
    element("span", { class: "hidden" }, item, role === "user" ? words.you : words.agent);
    var content = element("span", {}, item, text);
    log.scrollTop = log.scrollHeight;
    return content;
  }
  function clear() { while (log.firstChild) log.removeChild(log.firstChild); }
  function state() {
    send.disabled = busy || over;
    input.disabled = over;
    again.hidden = !over;
    log.setAttribute("aria-busy", busy ? "true" : "false");
  }
  function fail(error) {
    note.textContent = error && error.message ? error.message : words.lost;
    if (error && (error.code === "api_chat_ended" || error.code === "api_chat_full" || (error.status === 404 && session))) finish();
    state();
  }
  function finish() {
    over = true;
    keep(null);
    if (!note.textContent) note.textContent = words.ended;
    state();
  }
  function show(chat) {
    clear();
    (chat.messages || []).forEach(function (message) { line(message.role, message.content); });
  }

  function begin() {
    if (session) return Promise.resolve();
    var before = kept();
    var name = option("name");
    var fresh = function () {
      session = null;
      return ask("POST", "/api/chat/sessions", name ? { visitor: { name: name } } : {}).then(json).then(function (chat) {
        session = { id: chat.id, token: chat.token };
        keep(session);
        show(chat);
      });
    };
    if (!before || !before.id) return fresh();
    session = before;
    return ask("GET", "/api/chat/sessions/" + encodeURIComponent(before.id)).then(json).then(function (chat) {
      if (chat.endedAt) return fresh();
      show(chat);
    }, fresh);
  }

  function events(response, take) {
    if (!response.ok) return problem(response);
    var reader = response.body.getReader(), decoder = new TextDecoder(), rest = "", done = false;
    function block(text) {
      var name = "message", data = "";
      text.split("\n").forEach(function (one) {
        if (one.slice(0, 7) === "event: ") name = one.slice(7);
        else if (one.slice(0, 6) === "data: ") data += one.slice(6);
      });
      if (data) { done = done || name === "done"; take(name, JSON.parse(data)); }
    }
    function next() {
      return reader.read().then(function (part) {
        if (part.done) { if (!done) throw new Error(words.lost); return; }
        rest += decoder.decode(part.value, { stream: true });
        var cut;
        while ((cut = rest.indexOf("\n\n")) >= 0) { block(rest.slice(0, cut)); rest = rest.slice(cut + 2); }
        return next();
      });
    }
    return next();
  }

  function say(text) {
    busy = true;
    note.textContent = words.waiting;
    line("user", text);
    state();
    var open = null, problemSeen = null, ended = false;
    return ask("POST", "/api/chat/sessions/" + encodeURIComponent(session.id) + "/messages", { text: text })
      .then(function (response) {
        return events(response, function (name, data) {
          if (name === "delta") {
            if (!open) open = line("assistant", "");
            open.textContent += data.text;
            log.scrollTop = log.scrollHeight;
            note.textContent = words.waiting;
          } else if (name === "message") {
            if (open) open.textContent = data.content; else line("assistant", data.content);
            open = null;
          } else if (name === "tool") {
            note.textContent = data.state === "started" ? words.working : words.waiting;
          } else if (name === "ended") {
            ended = true;
          } else if (name === "error") {
            problemSeen = new Error(data.message);
          }
        });
      })
      .then(function () {
        note.textContent = "";
        if (ended) finish();
        if (problemSeen) throw problemSeen;
      })
      .catch(fail)
      .then(function () { busy = false; state(); if (!over && !panel.hidden) input.focus(); });
  }

  function open(yes) {
    panel.hidden = !yes;
    toggle.setAttribute("aria-expanded", yes ? "true" : "false");
    speak();
    if (!yes) return toggle.focus();
    input.focus();
    note.textContent = "";
    begin().catch(fail);
  }

  toggle.addEventListener("click", function () { open(panel.hidden); });
  panel.addEventListener("keydown", function (event) { if (event.key === "Escape") open(false); });
  input.addEventListener("keydown", function (event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
  });
  form.addEventListener("submit", function (event) {
    event.preventDefault();
    var text = input.value.trim();
    if (!text || busy || over) return;
    begin().then(function () { input.value = ""; return say(text); }).catch(fail);
  });
  again.addEventListener("click", function () {
    session = null; over = false; keep(null); clear(); note.textContent = ""; state(); input.focus();
    begin().catch(fail);
  });

  ask("GET", "/api/chat/config").then(json).then(function (config) {
    var language = option("language") || config.language;
    words = WORDS[language] || WORDS.fr;
    title.textContent = config.title;
    input.maxLength = config.messageCharactersMax;
    speak();
    state();
    document.body.appendChild(host);
    window.alloChat = { open: function () { open(true); }, close: function () { open(false); } };
    var wished = option("open");
    if (wished ? wished === "true" : config.openOnLoad) open(true);
  }).catch(function (error) { console.error("allo: " + error.message); });
})();
