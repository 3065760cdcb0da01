// The page on which people label. One module over JSON, no build step; server.py answers it.
//
// A decision goes to the outbox first, which localStorage holds, and from there to the server. The
// next item shows when the server has committed it, or, without a server, when it lies in the
// outbox. It is sent until the server answers, always with the same client id, so it counts once.

// --- the document --------------------------------------------------------------------------------

const $ = (query, inside = document) => inside.querySelector(query);

function el(tag, props = {}, ...kids) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "style") Object.assign(node.style, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...kids.flat(3).filter((kid) => kid !== null && kid !== undefined && kid !== false));
  return node;
}

const button = (props, ...kids) => el("button", { type: "button", ...props }, ...kids);
const kbd = (key) => key && el("kbd", { "aria-hidden": "true" }, KEY_NAMES[key] ?? key);
const KEY_NAMES = { " ": "Space", Backspace: "⌫", Enter: "↵", Escape: "Esc", ArrowLeft: "←", ArrowRight: "→" };
const plural = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
const short = (text, n) => (text.length > n ? `${text.slice(0, n - 1)}…` : text);
const ago = (s) => (s < 90 ? "just now" : s < 5400 ? `${Math.round(s / 60)} min ago`
  : s < 129600 ? `${Math.round(s / 3600)} h ago` : `${Math.round(s / 86400)} days ago`);

let toasting = 0;
function toast(text, kind = "") {
  const node = $("#toast");
  node.textContent = text;
  node.className = `toast shown ${kind}`;
  clearTimeout(toasting);
  toasting = setTimeout(() => node.classList.remove("shown"), kind === "bad" ? 8000 : 3000);
}
const say = (text) => { $("#spoken").textContent = text; };

// Puts a view in the place of another, if it differs; who has the focus keeps it.
function put(...nodes) {
  const main = $("#main");
  const focused = main.contains(document.activeElement) && document.activeElement.id;
  const open = $("#main details[open]");
  const fresh = el("div", {}, nodes);
  if (open) fresh.querySelector("details")?.setAttribute("open", "");
  if (fresh.isEqualNode(el("div", {}, [...main.childNodes].map((node) => node.cloneNode(true))))) return;
  main.replaceChildren(...fresh.childNodes);
  if (focused) document.getElementById(focused)?.focus();
}

// --- what this browser keeps ----------------------------------------------------------------------

const store = {
  get(key, otherwise) {
    try { return JSON.parse(localStorage.getItem(key)) ?? otherwise; } catch { return otherwise; }
  },
  set(key, value) {
    try { localStorage.setItem(key, JSON.stringify(value)); return true; } catch { return false; }
  },
};

// Random, also where the address is not https and there is no crypto.randomUUID.
const unique = () => [...crypto.getRandomValues(new Uint8Array(12))]
  .map((byte) => byte.toString(16).padStart(2, "0")).join("");
const TAB = unique();
const GRID = `${TAB} grid`; // what it holds, the one-by-one view does not show

const S = { me: "", queue: [], now: null, mending: null, done: [], gone: new Set(), view: "", sent: 0, news_at: -Infinity };
let settings = store.get("labelnext:settings", {});
settings = { hide: true, why: true, sound: true, keysOff: false, soon: 100, theme: "", keys: {}, ...settings };
function keep(changes) {
  Object.assign(settings, changes);
  store.set("labelnext:settings", settings);
  document.documentElement.dataset.theme = settings.theme;
}

// --- the server ----------------------------------------------------------------------------------

class Offline extends Error {}

async function ask(name, body, seconds = 8) {
  let answer;
  try {
    answer = await fetch(`api/${name}`, {
      signal: AbortSignal.timeout(seconds * 1000),
      headers: { ...(S.me && { "Labelnext-Person": encodeURIComponent(S.me) }), ...(body && { "Content-Type": "application/json" }) },
      ...(body && { method: "POST", body: JSON.stringify(body) }),
    });
  } catch { throw new Offline("No connection"); }
  const data = await answer.json().catch(() => ({}));
  if (answer.status === 429 || answer.status === 503) throw new Offline(data.error ?? "The server is busy");
  if (answer.status === 401 || answer.status === 409) locked(data.error);
  const version = answer.headers.get("Labelnext-Classes");
  if (S.version && version && version !== S.version && name !== "start") await (S.learning ??= news().finally(() => { S.learning = null; }));
  if (!answer.ok) throw Object.assign(new Error(data.error ?? `The server answered ${answer.status}.`), { status: answer.status });
  return data;
}

// Decisions on their way. Tabs share localStorage: what a closed one left, the next one sends. What
// the server refuses for good stays there, until the person corrects, repeats or discards it.
const outbox = {
  waiting: new Map(), // by name: [operation, who waits for its result, whether localStorage has it]
  refused: new Map(), // by name: the operation, with why
  sending: null,
  delay: 0,
  at_once: 100,
  prefix: "",

  start(loop, me) {
    this.prefix = `labelnext:out:${loop}:${me}:`;
    const left = Object.keys(localStorage).filter((name) => name.startsWith(this.prefix)).sort();
    for (const name of left) {
      const operation = store.get(name);
      if (operation?.refused) this.refused.set(name, operation);
      else if (operation) this.waiting.set(name, [operation, () => {}, true]);
    }
    // What is decided now comes after what was kept, whatever the clock says.
    S.sent = Number(left.at(-1)?.slice(this.prefix.length).split("-")[0]) || 0;
    addEventListener("storage", ({ key, newValue }) => {
      if (!key?.startsWith(this.prefix)) return;
      const operation = JSON.parse(newValue);
      if (operation?.refused) this.refused.set(key, operation);
      else if (!operation) this.refused.delete(key);
      saved();
    });
    if (this.waiting.size) this.flush();
  },

  // Resolves with the server's result, or with null when the operation waits here for a server.
  send(operation) {
    S.sent = Math.max(S.sent + 1, Date.now());
    const name = `${this.prefix}${S.sent}-${TAB}`;
    const kept = store.set(name, operation);
    return new Promise((resolve) => {
      let timer = 0;
      const once = (result) => { clearTimeout(timer); resolve(result); };
      if (kept) timer = setTimeout(() => once(null), 3000);
      this.waiting.set(name, [operation, once, kept]);
      this.flush();
    });
  },

  flush() {
    clearTimeout(this.delayed);
    this.sending ??= this.empty().finally(() => { this.sending = null; saved(); });
  },

  async empty() {
    while (this.waiting.size) {
      const part = [...this.waiting].slice(0, this.at_once);
      saved();
      try {
        const { results } = await ask("record", { events: part.map(([, [operation]]) => operation) });
        [this.delay, this.why, this.at_once] = [0, "", 100];
        part.forEach(([name], i) => this.done(name, results[i]));
      } catch (error) {
        if ([400, 404, 413].includes(error.status)) { // one of them stops the others: which?
          if (part.length === 1) this.done(part[0][0], { error: error.message });
          this.at_once = Math.max(1, part.length >> 1);
          continue;
        }
        if (error.message !== this.why && error.message !== "No connection") toast(error.message, "bad");
        this.why = error.message;
        for (const [, [, once, kept]] of part) if (kept) once(null);
        this.delay = Math.min(5000, (this.delay || 250) * 2);
        this.delayed = setTimeout(() => this.flush(), this.delay);
        return;
      }
    }
  },

  done(name, result) {
    const [operation, once] = this.waiting.get(name);
    this.waiting.delete(name);
    if (result.error) {
      this.refused.set(name, { ...operation, refused: result.error });
      store.set(name, this.refused.get(name));
      toast("Not taken, but kept; the link above says why", "bad");
    } else {
      localStorage.removeItem(name);
      // Who takes back what was refused wants it no more.
      if (result.undone === null && operation.of) [...this.refused].forEach(([other, { client }]) => client === operation.of && this.discard(other));
    }
    once(result);
  },

  discard(name) {
    this.refused.delete(name);
    localStorage.removeItem(name);
    saved();
  },

  again(name) {
    const { refused, ...operation } = this.refused.get(name);
    const sent = this.send({ ...operation, client: unique() });
    this.discard(name);
    return sent;
  },
};
addEventListener("online", () => outbox.prefix && outbox.flush());
addEventListener("beforeunload", (event) => {
  const lost = [...outbox.waiting.values()].some(([, , kept]) => kept === false);
  if (lost) event.preventDefault();
});

// Nothing flickers where the server answers at once, as it mostly does.
let slow = 0;
function saved(waited = false) {
  const n = outbox.waiting.size;
  const refused = $("#refused");
  refused.hidden = !outbox.refused.size;
  refused.textContent = `⚠ ${outbox.refused.size} not taken`;
  const offline = outbox.delay > 0;
  if (!offline && n && !waited) { slow ||= setTimeout(saved, 400, true); return; }
  clearTimeout(slow);
  slow = 0;
  const node = $("#saved");
  const text = offline ? `${outbox.why === "No connection" ? outbox.why : "Not saved yet"} · ${n} kept here` : n ? "Saving …" : "✓ All saved";
  if (node.textContent !== text) node.textContent = text;
  node.className = `saved ${offline ? "offline" : n ? "busy" : ""}`;
}

// Somebody has changed the classes or the guidelines. A class may have the key of another now: what
// is pressed before one can have seen it is no decision.
async function news() {
  const data = await ask("start").catch(() => null);
  if (!data) return;
  const changed = JSON.stringify(data.classes) !== JSON.stringify(S.classes);
  const moved = data.classes.some((name, i) => i in S.classes && S.classes[i] !== name);
  Object.assign(S, { classes: data.classes, guidelines: data.guidelines, version: data.version });
  if (moved) S.news_at = performance.now();
  if (["label", "agree"].includes(S.view)) VIEWS[S.view].open();
  const text = changed ? `The classes have changed: ${short(S.classes.join(", "), 200)}` : "The guidelines have changed";
  toast(text, "bad");
  say(text);
}

function locked(why) {
  S.view = "";
  document.body.dataset.view = "";
  const n = outbox.waiting.size;
  put(el("div", { class: "empty", role: "alert" },
    el("h2", {}, "This page needs its key"),
    el("p", {}, why ?? "Open the whole address that the server printed, with what follows the #."),
    n ? el("p", {}, `${plural(n, "decision")} of yours ${n === 1 ? "is" : "are"} kept in this browser, and sent when your own address is opened here.`) : null));
}

// Other tabs of this person: what one decides, the others drop.
let tabs = null;
function listen(loop) {
  tabs = new BroadcastChannel(`labelnext:${loop}:${S.me}`);
  tabs.onmessage = ({ data }) => {
    S.gone.add(data);
    S.queue = S.queue.filter((item) => item.key !== data);
    if (S.now?.key === data && !S.mending) { toast("Decided in another tab"); next(); }
  };
}

// --- the queue -----------------------------------------------------------------------------------

const AHEAD = 8;
let refilling = null;

// What this tab shows or will, and what was decided but is not with the server.
const in_hand = () => new Set([
  ...[S.now, ...S.queue].filter(Boolean), ...[...outbox.waiting.values()].map(([operation]) => operation), ...outbox.refused.values(),
].map(({ key }) => key).filter((key) => key !== undefined));

function refill() {
  if (S.queue.length > AHEAD / 2 || refilling) return refilling;
  refilling = (async () => {
    const before = S.queue.length;
    S.gone.clear(); // what another tab decides while this asks
    try {
      const { items, waiting } = await ask("take", { n: AHEAD, have: [...in_hand()], tab: TAB });
      S.waiting = waiting ?? 0;
      const known = new Set([...in_hand(), ...S.gone]);
      for (const item of items) if (!known.has(item.key)) { S.queue.push(item); prefetch(item); }
      S.queue_known = true;
      if (items.some((item) => !round_of(item))) update();
    } catch (error) {
      if (!(error instanceof Offline)) toast(error.message, "bad");
      S.queue_known = false;
    } finally { refilling = null; }
    if (!S.now && S.view === "label") S.queue.length ? next() : nothing_left();
    else if (S.queue.length > before) refill();
  })();
  return refilling;
}

function prefetch(item) {
  if (item.kind === "image" && item.media) { item.image = new Image(); item.image.src = item.media; }
}

function next() {
  S.mending = null;
  S.now = S.queue.shift() ?? null;
  refill(); // at first: where nothing is left to show, it is said whether more is on its way
  if (S.view === "label") show_now();
  S.queue[0]?.image?.decode().catch(() => {}); // a large one takes longer than a glance
}

let shown_at = 0; let hidden_for = 0; let hid_at = 0;
addEventListener("visibilitychange", () => {
  if (document.hidden) hid_at = performance.now();
  else { hidden_for += hid_at && performance.now() - hid_at; hid_at = 0; }
});
const spent = () => Math.max(0, Math.round(performance.now() - shown_at - hidden_for));
function shows_now() {
  [shown_at, hidden_for] = [performance.now(), 0];
  if (document.hidden) hid_at = shown_at;
}
// A second press of a finger or a worn key is no decision on what nobody has seen yet.
const too_soon = () => performance.now() - shown_at < settings.soon || performance.now() - S.news_at < 1000;

const VERBS = { skip: "skipped", "cannot-tell": "cannot tell", flag: "flagged", comment: "comment", undo: "undone", adjudicate: "settled" };
const said = (action, value) => (action === "label" || action === "adjudicate" || action === "import"
  ? (Array.isArray(value) ? value.join(", ") || "none" : String(value)) : VERBS[action] ?? action);

const operation_on = (item, action, value, comment = null) => ({ client: unique(), key: item.key, sample: item.id, action, value, comment, milliseconds: spent() });

// What does not decide stays beside the decision that follows it: nobody waits for it.
async function remark(action, comment = null) {
  const item = S.now;
  if (!item) return;
  const operation = operation_on(item, action, null, comment);
  const result = await outbox.send(operation);
  if (result?.error) return;
  toast(action === "flag" ? "Flagged" : "Comment kept");
  item.flagged ||= action === "flag";
  S.done.push({ item, action, value: null, client: operation.client });
  if (S.now === item) show_mark();
}

// A decision on what is shown: kept, sent, and only then the next item.
async function decide(action, value = null) {
  const item = S.now;
  if (!item || S.deciding || too_soon()) return;
  S.deciding = true;
  performance.mark("decided");
  try {
    S.choices?.chosen(value);
    const operation = operation_on(item, action === "label" && S.mending?.adjudicate ? "adjudicate" : action, value);
    const sent = outbox.send(operation);
    if (S.mending?.refused) outbox.discard(S.mending.refused); // this one takes its place
    const result = await sent;
    tabs.postMessage(item.key);
    if (!result?.error) {
      S.done.push({ item, action, value, client: operation.client });
      S.done.splice(0, S.done.length - 100);
      if (S.done.length === 1) store.set("labelnext:used", true);
      if (!S.mending && action !== "skip") count(1, item.round);
    }
    const back = S.mending?.back;
    if (back) S.queue.unshift(back);
    next();
    say(`${result?.error ? `Not taken: ${result.error}` : said(action, value)}. ${S.now ? `Next: ${spoken(S.now)}` : ""}`);
  } finally { S.deciding = false; }
}

async function undo() {
  if (S.deciding) return;
  S.deciding = true;
  try {
    const local = S.done.at(-1);
    const result = await outbox.send({ client: unique(), action: "undo", of: local?.client });
    const undone = result ? result.undone : local;
    if (!undone) return toast("Nothing to undo");
    if (local?.item.key === undone.item.key) S.done.pop();
    if (!["label", "skip", "cannot-tell"].includes(undone.action)) { // it took nothing out of the queue
      toast(`Undone: ${said(undone.action, undone.value)} on ${short(name_of(undone.item), 40)}`);
      for (const item of [S.now, ...S.queue]) if (item?.key === undone.item.key && undone.action === "flag") item.flagged = false;
      if (S.view === "label") show_mark(); else VIEWS[S.view].open();
      return;
    }
    if (S.now && S.now.key !== undone.item.key && !S.mending) S.queue.unshift(S.now);
    S.queue = S.queue.filter((item) => item.key !== undone.item.key);
    S.mending = null;
    S.now = undone.item;
    if (undone.action === "label" || undone.action === "cannot-tell") count(-1, undone.item.round);
    if (S.view !== "label") location.hash = "label"; else show_now();
    toast(`Undone: ${said(undone.action, undone.value)}`);
    say(`Undone: ${said(undone.action, undone.value)}. ${spoken(undone.item)}`);
  } finally { S.deciding = false; }
}

function mend(item, value, more = {}) {
  S.mending = { back: S.mending ? S.mending.back : S.now, value, ...more };
  S.now = item;
  if (S.view !== "label") location.hash = "label"; else show_now();
}

// --- an item -------------------------------------------------------------------------------------

const name_of = (item) => String(item.id);
const spoken = (item) => (item.kind === "text" ? short(item.content, 300) : `${item.kind} ${name_of(item)}`);

function broken(item, why) {
  return el("div", { class: "broken" }, el("strong", {}, "This cannot be shown"),
    el("p", {}, why), el("p", { class: "soft" }, name_of(item), " · Say that you cannot tell, or flag it."));
}

// A text as long as a book, so that the browser lays out no more of it than shows.
const in_parts = (text) => (text.length < 20000 ? text
  : text.match(/[^]{1,3000}(?:\s|$)|[^]{1,3000}/gu).map((part) => el("span", { class: "part" }, part)));

function body_of(item, small = false) {
  if (item.error) return broken(item, item.error);
  if (item.kind === "text") {
    const size = small ? "" : item.content.length < 180 ? "large" : item.content.length < 700 ? "middle" : "";
    return el("p", { class: `words ${size}`, dir: "auto" }, small ? short(item.content, 240) : in_parts(item.content));
  }
  if (item.kind === "image") {
    const image = item.image && !item.image.parentNode ? item.image : el("img", { src: item.media });
    image.alt = `Image ${name_of(item)}`;
    const tiny = () => image.classList.toggle("tiny", image.naturalWidth > 0 && image.naturalWidth <= 96);
    image.onload = tiny;
    tiny();
    const fail = () => image.replaceWith(broken(item, "The image is missing or damaged."));
    image.onerror = fail;
    if (image.complete && image.src && !image.naturalWidth && item.image === image) queueMicrotask(fail);
    return image;
  }
  if (item.kind === "audio") {
    const audio = el("audio", { src: item.media, controls: true, loop: true, preload: "auto", "aria-label": `Sound ${name_of(item)}` });
    audio.onerror = () => audio.replaceWith(broken(item, "The sound is missing or damaged."));
    if (settings.sound && !small) audio.play().catch(() => {});
    return audio;
  }
  if (item.kind === "html") return el("iframe", { sandbox: "", src: item.media, title: `Document ${name_of(item)}`, tabindex: small && "-1" });
  return el("table", { class: "row" }, el("tbody", {}, Object.entries(item.content).slice(0, small ? 4 : 500).map(
    ([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { dir: "auto" }, value === null ? "–" : String(value))))));
}

let zoomed = 1;
function zoom(step) {
  const image = $(".item img");
  if (!image) return;
  zoomed = step ? Math.min(8, Math.max(1, zoomed * step)) : zoomed > 1 ? 1 : 2.5;
  const frame = $(".item");
  frame.classList.toggle("zoomed", zoomed > 1);
  image.style.width = zoomed > 1 ? `${zoomed * 100}%` : "";
  frame.scrollTo((frame.scrollWidth - frame.clientWidth) / 2, (frame.scrollHeight - frame.clientHeight) / 2);
}

// --- what can be said of an item -----------------------------------------------------------------

const FEW = 10; // classes with a key each; more are searched
const HUES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#a0892b", "#7f6bb3", "#6b7280", "#8c6d46"];
const swatch = (name) => S.classes.length <= HUES.length && el("i", { class: "swatch", "aria-hidden": "true", style: { background: HUES[Math.max(0, S.classes.indexOf(name)) % HUES.length] } });

// Buttons with a key each.
function few_choices(choose) {
  const many = S.task === "multilabel";
  const picked = new Set();
  const pressed = () => buttons.forEach((node, i) => node.setAttribute("aria-pressed", picked.has(S.classes[i])));
  const press = (name) => {
    if (!many) return choose(name);
    if (!picked.delete(name)) picked.add(name);
    pressed();
  };
  const buttons = S.classes.map((name, i) => button(
    { class: "choice", onclick: () => press(name), "aria-keyshortcuts": class_key(i), ...(many && { "aria-pressed": "false" }) },
    kbd(class_key(i)), swatch(name), el("span", { dir: "auto" }, name)));
  const done = () => choose([...picked].sort());
  const long = S.classes.some((name) => name.length > 16) ? "long" : ""; // one a line on a phone
  const node = el("div", { class: `choices ${long}`, role: "group", "aria-label": "Classes" }, buttons,
    many && button({ class: "choice go", onclick: done }, kbd("Enter"), "Done"));
  const longest = Math.max(...S.classes.map((name) => name.length));
  node.style.setProperty("--least", `${Math.min(20, Math.max(9.5, 5.5 + 0.55 * longest))}rem`);
  return {
    node,
    key(key) {
      const at = S.classes.findIndex((_, i) => class_key(i) === key);
      if (at >= 0) press(S.classes[at]);
      else if (many && key === "Enter") done();
      else return false;
      return true;
    },
    reset(value, guess) {
      picked.clear();
      if (many) { (value ?? []).forEach((name) => picked.add(name)); pressed(); }
      const guesses = [guess ?? []].flat();
      buttons.forEach((node, i) => {
        node.classList.remove("chosen");
        node.classList.toggle("before", !many && value === S.classes[i]);
        node.classList.toggle("guess", guesses.includes(S.classes[i]));
        if (guesses.includes(S.classes[i])) node.title = "The model's guess"; else node.removeAttribute("title");
      });
    },
    chosen(value) {
      buttons.forEach((node, i) => node.classList.toggle("chosen", [value].flat().includes(S.classes[i])));
    },
  };
}

// A field to search among more: letters filter, digits choose from the list, Enter the marked one.
function many_choices(choose) {
  const many = S.task === "multilabel";
  const digits = S.classes.some((name) => /^\d/.test(name));
  let shown = []; let at = -1; let picked = []; // at: what Enter takes; nothing until one types or moves
  // A class keeps its digit, so that fingers may learn it; one from further down takes the digit
  // that was not used for longest.
  const saved_as = `labelnext:digits:${S.loop}`;
  let { names, stale } = store.get(saved_as, {});
  if (!names?.every((name) => S.classes.includes(name))) [names, stale] = [S.classes.slice(0, 9), [8, 7, 6, 5, 4, 3, 2, 1, 0]];
  const field = el("input", { id: "search", role: "combobox", autocomplete: "off", spellcheck: "false", "aria-expanded": "true",
    "aria-controls": "found", "aria-autocomplete": "list", "aria-label": `Search ${S.classes.length} classes`, placeholder: `Type to search ${S.classes.length} classes` });
  const list = el("ul", { id: "found", role: "listbox", "aria-label": "Classes", "aria-multiselectable": many && "true" });
  const tags = el("div", { class: "tags" });
  const use = (name) => {
    if (!name) return;
    const place = names.includes(name) ? names.indexOf(name) : stale[0];
    names[place] = name;
    stale = [...stale.filter((other) => other !== place), place];
    store.set(saved_as, { names, stale });
    field.value = "";
    if (!many) return choose(name);
    picked = picked.includes(name) ? picked.filter((other) => other !== name) : [...picked, name];
    draw();
  };
  const done = () => choose([...picked].sort());
  const draw = () => {
    const plain = (text) => text.toLowerCase().replace(/[\s_./-]+/g, " ");
    const wanted = plain(field.value).trim();
    const rank = (name) => {
      const words = ` ${plain(name)}`;
      return words.startsWith(` ${wanted}`) ? 0 : words.includes(` ${wanted}`) ? 1 : words.includes(wanted) ? 2 : 3;
    };
    shown = wanted ? S.classes.map((name) => [rank(name), name]).filter(([r]) => r < 3).sort((a, b) => a[0] - b[0]).map(([, name]) => name)
      : [...names, ...S.classes.filter((name) => !names.includes(name))];
    at = Math.min(at, shown.length - 1);
    list.replaceChildren(...shown.slice(0, 60).map((name, i) => el("li", { role: "option", id: `found-${i}`, "aria-selected": String(many ? picked.includes(name) : i === at),
      class: i === at ? "at" : "", onmousedown: (event) => { event.preventDefault(); use(name); } },
    kbd(!digits && i < 9 ? String(i + 1) : ""), swatch(name), el("span", { dir: "auto" }, name))));
    if (!shown.length) list.append(el("li", { role: "option", "aria-disabled": "true", class: "soft" }, "No class of that name"));
    field.setAttribute("aria-activedescendant", at < 0 ? "" : `found-${at}`);
    list.children[at]?.scrollIntoView?.({ block: "nearest" });
    tags.replaceChildren(...picked.map((name) => button({ class: "tag", "aria-label": `Take ${name} away`, onclick: () => use(name) }, swatch(name), name, " ×")));
  };
  field.addEventListener("input", () => { at = field.value.trim() ? 0 : -1; draw(); });
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return; // Enter ends the word that is being composed
    const digit = same_key(event);
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const n = Math.max(1, shown.length);
      at = (event.key === "ArrowDown" ? at + 1 : Math.max(at, 0) - 1 + n) % n;
      draw();
    } else if (event.key === "Enter") {
      if (many && !field.value && !event.shiftKey) event.repeat || done(); else event.repeat || use(shown[at]);
    } else if (event.key === "Escape") field.blur();
    else if (!field.value && /^[1-9]$/.test(digit) && !S.classes.some((name) => name.toLowerCase().startsWith(event.key.toLowerCase()))) event.repeat || use(shown[digit - 1]);
    else return;
    event.preventDefault();
  });
  return {
    node: el("div", { class: "choices search" }, tags, field, list, many && button({ class: "choice go", onclick: done }, kbd("Enter"), "Done")),
    key: (key) => key === "/" && (field.focus(), true),
    focus: () => field.focus({ preventScroll: true }),
    reset(value, guess) {
      picked = many ? [...(value ?? [])] : [];
      field.value = "";
      at = -1;
      draw();
      [...list.children].forEach((node, i) => {
        node.classList.toggle("guess", [guess ?? []].flat().includes(shown[i]));
        node.classList.toggle("before", !many && value === shown[i]);
      });
    },
    chosen() {},
  };
}

function number_choice(choose) {
  const field = el("input", { id: "number", inputmode: "decimal", autocomplete: "off", "aria-label": "A number", placeholder: "A number", "aria-describedby": "number-why" });
  const why = el("span", { id: "number-why", class: "soft", role: "status" });
  const done = () => {
    const value = Number(field.value.trim().replace(",", "."));
    if (field.value.trim() === "" || !Number.isFinite(value)) { why.textContent = "Give a number, such as 3.5."; field.setAttribute("aria-invalid", "true"); return; }
    choose(value);
  };
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") event.repeat || done(); else if (event.key === "Escape") field.blur(); else return;
    event.preventDefault();
  });
  return {
    node: el("div", { class: "choices number" }, field, button({ class: "choice go", onclick: done }, kbd("Enter"), "Done"), why),
    key: (key) => key === "/" && (field.focus(), true),
    focus: () => field.focus({ preventScroll: true }),
    reset(value, guess) {
      field.value = value ?? "";
      field.placeholder = guess === null || guess === undefined ? "A number" : `The model's guess: ${guess}`;
      field.removeAttribute("aria-invalid");
      why.textContent = "";
    },
    chosen() {},
  };
}

const make_choices = (choose) => (S.task === "regression" ? number_choice : S.classes.length > FEW ? many_choices : few_choices)(choose);

// --- keys ----------------------------------------------------------------------------------------

const ACTIONS = {
  undo: ["Undo", "u", undo],
  skip: ["Skip", "s", () => decide("skip")],
  "cannot-tell": ["Cannot tell", "x", () => decide("cannot-tell")],
  flag: ["Flag", "f", () => remark("flag")],
  comment: ["Comment", "c", () => comment_dialog()],
  guess: ["Show or hide the guess", "g", () => { keep({ hide: !settings.hide }); show_now(true); }],
  why: ["Show or hide why", "w", () => { keep({ why: !settings.why }); show_now(true); }],
  zoom: ["Zoom", "z", () => zoom(0)],
  play: ["Play or pause", " ", () => { const sound = $(".item audio"); if (sound) sound.paused ? sound.play() : sound.pause(); }],
  help: ["Keys and help", "?", () => help_dialog()],
};
const action_key = (name) => settings.keys[name] ?? ACTIONS[name][1];
const own_digits = () => S.classes.every((name) => /^\d$/.test(name));
const first_key = (i) => (own_digits() ? S.classes[i] : String((i + 1) % 10));
const class_key = (i) => settings.keys[`class ${S.classes[i]}`] ?? first_key(i);
// Digits by their place, as on a French or Czech keyboard they need Shift; letters as well where the
// keyboard has others than Latin ones.
function same_key({ key, code = "", shiftKey }) {
  const [, digit, letter] = /^(?:Digit(\d)|Key([A-Z]))$/.exec(code) ?? [];
  if (digit && !shiftKey) return digit;
  if (letter && (key > "\x7f" || key === "Process")) return letter.toLowerCase();
  return key.length === 1 ? key.toLowerCase() : key;
}

// The part of a long sample that shows; also while one types in the search field.
function scrolled(key, typing) {
  const frame = $(".desk .item");
  if (!frame || $("dialog[open]") || frame.scrollHeight <= frame.clientHeight) return false;
  const page = 0.9 * frame.clientHeight;
  const by = { PageDown: page, PageUp: -page, ...(!typing && { ArrowDown: 60, ArrowUp: -60 }) }[key];
  if (by) frame.scrollBy(0, by);
  return Boolean(by);
}

addEventListener("resize", () => show_more());
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey) {
    if (typing && (event.target.value || event.target.closest("dialog"))) return;
    event.preventDefault();
    return void undo();
  }
  if (!event.ctrlKey && !event.metaKey && !event.altKey && scrolled(event.key, typing)) return void event.preventDefault();
  if (typing || event.isComposing || event.ctrlKey || event.metaKey || event.altKey || settings.keysOff || S.view === "") return;
  const key = same_key(event);
  if (key === "Escape" && S.mending) { const { back } = S.mending; if (back) S.queue.unshift(back); return next(); }
  const on_control = event.target.closest?.("button, a, summary, audio, [role=option], [tabindex='0']");
  if ((key === " " || key === "Enter") && on_control && !on_control.matches(".item")) return;
  const took = () => { event.preventDefault(); if (event.repeat) return false; return true; };
  if (VIEWS[S.view].key?.(key, event)) return void event.preventDefault();
  if (S.view === "label" && S.now) {
    if (S.choices && class_or_go(key)) return took() && void S.choices.key(key);
    if (key === "+" || key === "-") { event.preventDefault(); return zoom(key === "+" ? 1.5 : 1 / 1.5); }
  }
  const name = Object.keys(ACTIONS).find((action) => action_key(action) === key) ?? (key === "Backspace" && "undo");
  if (!name || !(S.view === "label" || name === "undo" || name === "help")) return;
  if (name === "play" && !$(".item audio")) return;
  if (took()) ACTIONS[name][2]();
});
const class_or_go = (key) => key === "/" || (key === "Enter" && S.task === "multilabel")
  || (S.classes.length <= FEW && S.classes.some((_, i) => class_key(i) === key));

// --- views ---------------------------------------------------------------------------------------

const VIEWS = {};

VIEWS.label = {
  title: "Label",
  open() {
    S.choices = make_choices((value) => decide("label", value));
    const act = (name) => button({ class: "act", id: `act-${name}`, onclick: ACTIONS[name][2], "aria-keyshortcuts": action_key(name) }, kbd(action_key(name)), ACTIONS[name][0]);
    const pane = el("div", { class: "pane" },
      el("div", { id: "mending" }),
      el("section", { class: "item", "aria-label": "Sample", tabindex: "0", onscroll: show_more }),
      el("p", { class: "more", hidden: true, "aria-hidden": "true" }, el("span", {}, "More below ", el("span", { class: "keys-hint" }, kbd("PgDn")))),
      S.choices.node,
      el("div", { class: "acts", role: "group", "aria-label": "Other decisions" }, ["undo", "skip", "cannot-tell", "flag", "comment"].map(act), S.choices.focus && el("span", { class: "soft keys-hint" }, kbd("Escape"), " first, then these keys")),
      el("div", { id: "trail", class: "trail", "aria-label": "Your latest decisions", role: "group" }));
    const side = el("aside", { class: "side", "aria-label": "About this sample" },
      el("section", { id: "why" }),
      S.guidelines && el("details", { class: "guidelines", open: innerWidth > 900 }, el("summary", {}, "Guidelines"), guidelines_node()));
    $("#main").replaceChildren(el("div", { class: "desk" }, pane, side));
    if (S.now) show_now(); else next();
  },
};

function guidelines_node() {
  const safe = globalThis.trustedTypes?.createPolicy ? (S.policy ??= trustedTypes.createPolicy("guidelines", { createHTML: (text) => text })).createHTML(S.guidelines) : S.guidelines;
  const node = el("div", { class: "prose" });
  node.innerHTML = safe; // rendered by the server, from Markdown without HTML
  return node;
}

// Whether a sample goes on below what shows of it.
function show_more() {
  const frame = $(".desk .item"); const more = $(".desk .more");
  if (more) more.hidden = frame.scrollTop + frame.clientHeight > frame.scrollHeight - 24;
}

function show_mark() {
  $(".item .mark")?.remove();
  if (S.now?.flagged) $(".item")?.prepend(el("span", { class: "mark" }, "⚑ flagged"));
}

function show_now(same = false) {
  if (S.view !== "label") return;
  const item = S.now;
  const frame = $(".item");
  if (!item) return nothing_left();
  if ($(".done")) return VIEWS.label.open();
  $(".desk").classList.remove("idle");
  const guess = settings.hide ? null : item.guess;
  if (!same) {
    zoomed = 1;
    frame.className = `item ${item.kind}`;
    frame.replaceChildren(body_of(item));
    frame.scrollTo(0, 0);
    show_more();
    shows_now();
    show_mark();
    S.choices.reset(S.mending?.value, guess);
  } else S.choices.reset(null, guess);
  if (matchMedia("(hover: hover)").matches && !$("dialog[open]")) S.choices.focus?.();
  $("#mending").replaceChildren(...(S.mending ? [el("p", { class: "notice" }, "You are changing an earlier decision. ",
    button({ class: "quiet", onclick: () => { if (S.mending.back) S.queue.unshift(S.mending.back); next(); } }, kbd("Escape"), "Leave it as it is"))] : []));
  show_progress({});
  $("#why").replaceChildren(...why(item));
  if (!S.done.length && !store.get("labelnext:used")) $("#trail").replaceChildren(hint());
  else $("#trail").replaceChildren(...S.done.slice(-6).reverse().map(({ item: old, action, value }) => button({
    class: "chip", title: `Change: ${spoken(old)}`, "aria-label": `Change ${said(action, value)} on ${short(spoken(old), 80)}`,
    onclick: () => mend(old, action === "label" ? value : null),
  }, action === "label" && !Array.isArray(value) && S.task !== "regression" && swatch(value), short(said(action, value), 24))));
  performance.mark("shown");
  document.body.dataset.shown = item.key;
}

// For whoever sees the page for the first time.
function hint() {
  const keys = S.task === "regression" ? [kbd("Enter"), " takes the number."] : S.classes.length > FEW ? ["Type a part of the class, then ", kbd("Enter"), "."]
    : ["Click a class, or press its key", S.task === "multilabel" && [", then ", kbd("Enter")], "."];
  return el("p", { class: "soft hint" }, keys, " ", kbd(S.choices.focus ? "Ctrl Z" : action_key("undo")), " takes back", !S.choices.focus && [", ", kbd(action_key("help")), " shows all keys"], ". All is saved at once.");
}

const PICKED = {
  strategy: "Chosen: the model can learn from it",
  random: "Drawn at random, to keep the learning curve honest",
  test: "Drawn at random for the test set, which measures the model",
};

function why(item) {
  const toggle = (name, on, text) => button({ class: "switch", role: "switch", "aria-checked": String(on), onclick: ACTIONS[name][2], "aria-keyshortcuts": action_key(name) }, el("i", { "aria-hidden": "true" }), text, kbd(action_key(name)));
  const line = (term, value, title) => value !== null && value !== undefined && [el("dt", { title }, term), el("dd", {}, value)];
  const number = (value) => (typeof value === "number" ? Number(value.toPrecision(4)).toLocaleString("en") : value);
  const facts = settings.why && el("dl", {},
    line("Why", PICKED[item.pick]),
    line("Rank", item.rank && `${item.rank}${round_of(item) ? ` of ${round_of(item).picks}` : ""}`),
    !settings.hide && line("Guess", [item.guess ?? "none yet"].flat().join(", ") || "no class"),
    line("Novelty", number(item.d2), "D², the squared distance to the nearest earlier pick: the larger, the newer"),
    line("Most alike", item.nearest && button({ class: "link", onclick: () => peek(item.nearest) }, short(item.nearest, 28))),
    line("Id", el("span", { class: "id" }, short(name_of(item), 60))));
  return [el("h2", {}, "Why this sample"), facts || "", toggle("why", settings.why, "Show why"), toggle("guess", !settings.hide, "Show the guess")];
}

async function peek(id) {
  const { item } = await attempt(ask("item", { sample: id })) ?? {};
  if (item) dialog(`Nearest earlier pick: ${name_of(item)}`, el("div", { class: `item ${item.kind}` }, body_of(item)));
}

function nothing_left() {
  delete document.body.dataset.shown;
  const p = S.progress;
  const known = S.queue_known && p && !refilling;
  const training = S.training?.state === "running";
  const done = known && !p.left && !training;
  const left = known ? p.rounds.reduce((sum, one) => sum + one.left, 0) : 0;
  const waits = known && S.waiting >= left; // all for somebody else
  const alone = waits && p.left > 0 && S.with_another && !training;
  const [text, more] = S.queue_known === false ? ["No connection, and nothing more kept here", "What you decided is safe. It goes on when the server answers."]
    : !known ? ["Looking for the next sample …"]
      : training ? ["Training, and choosing the next batch …", "The next samples show here as soon as they are chosen."]
        : alone ? ["Nothing more for you alone", [`${plural(left, "sample")} ${left === 1 ? "waits" : "wait"} for a second person. Stop this page and serve it for both: `, el("code", {}, S.with_another), `. You need not wait for them.`]]
        : p.left && waits ? ["Nothing more for you now", `${plural(left, "sample")} ${left === 1 ? "waits" : "wait"} for a second person. You need not wait for them.`]
        : p.left ? ["Nothing more for you now", `${plural(left, "answer")} ${left === 1 ? "is" : "are"} with others. What they hold and leave comes back to you after some minutes.`]
          : p.round === null ? ["No batch is waiting", "A batch is the samples that are worth a label next."]
            : p.kind === "test" && p.first ? ["The test set is labelled", "It will measure the model. Now the samples that the model learns from can be chosen."]
              : ["All of this round is labelled", "The model can learn from it, and choose what it knows least about."];
  const failed = done && S.training?.state === "failed";
  put(el("div", { class: "empty done", "aria-busy": String(!!refilling) },
    done && el("div", { class: "tick", "aria-hidden": "true" }, "✓"),
    el("h2", {}, text), more && el("p", { class: "soft" }, more),
    training && log_node(),
    (done || alone) && train_button(),
    failed && [el("p", { class: "bad" }, "It failed. This is what it said:"), log_node()],
    done && p.round !== null && el("p", { class: "soft" }, "You can also look over what you did in the ", el("a", { href: "#history" }, "history"), "."),
    S.done.length ? button({ class: "act", id: "undo-last", onclick: undo }, kbd(action_key("undo")), "Undo the last decision") : null));
  clearTimeout(S.looking);
  S.looking = setTimeout(async () => {
    if (S.now || S.view !== "label") return;
    await refill();
    if (!S.now && S.view === "label") { await update(); if (!S.now && S.view === "label") nothing_left(); }
  }, 2000);
}

const train_button = () => button({ class: "go", id: "train", disabled: S.training?.state === "running", onclick: train },
  S.progress?.kind === "test" && S.progress.first ? "Choose the first batch" : S.progress?.round === null ? "Choose a batch" : "Train and choose the next batch");
const log_node = () => el("pre", { class: "log", id: "log", tabindex: "0", "aria-label": "What training says" }, S.training?.log || "…");
async function train() {
  const asked = await attempt(ask("train", { round: S.progress?.round }));
  if (asked) { S.training = asked; if (asked.state !== "running") toast("Somebody was first: the next batch is there"); }
  if (S.view === "label") { await update(); if (!S.now) nothing_left(); } else VIEWS[S.view]?.open();
}
async function attempt(promise) {
  try { return await promise; } catch (error) {
    toast(error.message === "No connection" ? "The server does not answer. Try again in a moment." : error.message, "bad");
    return null;
  }
}

VIEWS.grid = {
  title: "Grid",
  async open(guess = S.grid?.guess) {
    if (S.now || S.queue.length) {
      [S.now, S.queue] = [null, []];
      await ask("release", { tab: TAB }).catch(() => {});
    }
    const { classes } = await attempt(ask("guesses")) ?? { classes: [] };
    if (S.view !== "grid") return;
    guess = classes.some(({ name }) => name === guess) ? guess : classes[0]?.name;
    const { items } = guess === undefined ? { items: [] } : await attempt(ask("take", { guess, n: 24, tab: GRID })) ?? { items: [] };
    S.grid = { guess, items, out: new Set(), at: performance.now() };
    const choose = el("select", { id: "guessed", onchange: (event) => this.open(event.target.value) }, classes.map(({ name, left }) => el("option", { value: name, selected: name === guess }, `${name} (${left})`)));
    const card = (item, i) => el("div", { class: "card", role: "checkbox", "aria-checked": "true", tabindex: i ? "-1" : "0", "data-at": i, "aria-label": short(spoken(item), 120), onclick: () => this.toggle(i) },
      body_of(item, true), el("span", { class: "verdict", "aria-hidden": "true" }, "✓"));
    const choosing = document.activeElement?.id === "guessed";
    put(el("div", { class: "page wide" },
      el("h2", {}, "Many at once"),
      el("p", { class: "soft" }, "The model guesses that these are all of one class. Take out those that are not, and confirm the rest. To see a guess sways people: use this where the model is good."),
      classes.length > 0 && el("label", { class: "check middle" }, "The model says", choose),
      items.length ? [el("div", { class: "grid", role: "group", "aria-label": `Predicted ${guess}`, onkeydown: (event) => this.move(event) }, items.map(card)),
        el("div", { class: "foot" }, button({ class: "go", id: "confirm", onclick: () => this.confirm() }, ""), el("span", { class: "soft keys-hint" }, kbd("Enter"), " confirms, ", kbd(" "), " takes out, arrows move"))]
        : el("p", { class: "empty" }, classes.length ? "Others hold these now." : "Nothing here yet: the model guesses once a batch is labelled.")));
    this.count();
    if (!choosing) $(".card")?.focus();
  },
  count() {
    const node = $("#confirm");
    if (node) node.textContent = `Confirm ${S.grid.items.length - S.grid.out.size} as ${S.grid.guess}`;
  },
  toggle(i) {
    if (!S.grid.out.delete(i)) S.grid.out.add(i);
    const card = $(`.card[data-at="${i}"]`);
    card.setAttribute("aria-checked", !S.grid.out.has(i));
    $(".verdict", card).textContent = S.grid.out.has(i) ? "✗" : "✓";
    this.count();
  },
  move(event) {
    const card = event.target.closest(".card");
    if (!card) return;
    const cards = [...document.querySelectorAll(".card")];
    const at = Number(card.dataset.at);
    const across = cards.filter((other) => other.offsetTop === cards[0].offsetTop).length;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + across, ArrowUp: at - across, Home: 0, End: cards.length - 1 }[event.key];
    if (to !== undefined && cards[to]) { card.tabIndex = -1; cards[to].tabIndex = 0; cards[to].focus(); }
    else if (event.key === " ") this.toggle(at);
    else if (event.key === "Enter" && !event.repeat) this.confirm();
    else if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
  },
  async confirm() {
    const { guess, items, out, at } = S.grid;
    const sure = items.filter((_, i) => !out.has(i));
    if (S.deciding || !sure.length || performance.now() - at < settings.soon) return;
    S.deciding = true;
    const milliseconds = Math.round((performance.now() - at) / items.length);
    try {
      const value = S.task === "multilabel" ? [guess].flat() : guess;
      const sent = await Promise.all(sure.map(async (item) => {
        tabs.postMessage(item.key);
        const operation = { ...operation_on(item, "label", value), milliseconds };
        return { item, action: "label", value, client: operation.client, refused: (await outbox.send(operation))?.error };
      }));
      const taken = sent.filter(({ refused }) => !refused);
      S.done.push(...taken);
      taken.forEach(({ item }) => count(1, item.round));
      if (taken.length) toast(`Confirmed ${taken.length} as ${guess}`);
    } finally { S.deciding = false; }
    this.open();
  },
};

VIEWS.history = {
  title: "History",
  async open(skip = 0, list = null) {
    const data = await attempt(ask(`history?skip=${skip}`));
    if (!data || S.view !== "history") return;
    list ??= el("ol", { class: "history" });
    list.append(...data.events.map(({ action, value, at, item, undone, comment }) => el("li", { class: undone ? "undone" : "" },
      el("div", { class: `thumb ${item.kind}` }, body_of(item, true)),
      el("div", { class: "what" }, el("strong", {}, action === "label" && typeof value === "string" && swatch(value), said(action, value), undone && el("small", {}, " · undone")),
        comment && el("q", { dir: "auto" }, comment), el("span", { class: "soft" }, `${ago(at)} · ${short(name_of(item), 40)}`)),
      !undone && button({ class: "act", "aria-label": `Change ${said(action, value)} on ${short(spoken(item), 60)}`, onclick: () => mend(item, action === "label" ? value : null) }, "Change"))));
    const more = data.more && button({ class: "act", id: "more", onclick: () => this.open(data.more, list) }, "Earlier ones");
    put(el("div", { class: "page" }, el("h2", {}, "What you decided"),
      el("p", { class: "soft" }, "Latest first. Nothing is erased: a change is a new decision that takes the place of the old one."),
      list.children.length ? list : el("p", { class: "empty" }, "Nothing yet."), more || null));
  },
};

VIEWS.agree = {
  title: "Agreement",
  async open() {
    const data = await attempt(ask("conflicts"));
    if (!data || S.view !== "agree") return;
    const [first] = data.conflicts;
    const table = data.pairs.length > 0 && el("table", { class: "plain" }, el("caption", {}, "Where two people labelled the same sample, each without seeing the other's answer. Cohen's κ: 1 is full agreement, 0 is chance."),
      el("thead", {}, el("tr", {}, ["People", "Samples", "The same", "Cohen's κ"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, data.pairs.map((pair) => el("tr", {}, el("th", { scope: "row" }, pair.people.join(" and ")), el("td", {}, pair.n), el("td", {}, `${Math.round(100 * pair.same)} %`), el("td", {}, pair.kappa === null ? "–" : pair.kappa.toFixed(2).replace("-", "−"))))));
    this.choices = first && make_choices((value) => this.settle(first.item, value));
    $("#main").replaceChildren(el("div", { class: "page" }, el("h2", {}, "Agreement"),
      first ? [el("p", { class: "soft" }, "People disagree on ", plural(data.n, "sample"), ". Decide which label holds: it counts for all."),
        el("section", { class: `item ${first.item.kind}`, "aria-label": "Sample", tabindex: "0" }, body_of(first.item)),
        el("ul", { class: "votes" }, first.votes.map(({ annotator, value }) => el("li", {}, el("b", {}, annotator), " said ", el("span", { class: "vote" }, typeof value === "string" && swatch(value), said("label", value))))),
        this.choices.node] : data.pairs.length ? el("p", { class: "empty" }, "✓ Nothing to settle.") : null,
      table || el("p", { class: "soft" }, "No sample was labelled by two people. To learn how far people agree, ask two of them for a part of each round: ", el("code", {}, "labelnext loop next --overlap 0.1"))));
    this.choices?.reset(null, null);
    shows_now();
  },
  key(key, event) { return !event.repeat && Boolean(this.choices?.key(key)); },
  async settle(item, value) {
    if (S.deciding || too_soon()) return;
    S.deciding = true;
    const operation = operation_on(item, "adjudicate", value);
    try {
      const result = await outbox.send(operation);
      if (!result?.error) {
        S.done.push({ item, action: "adjudicate", value, client: operation.client });
        toast(`Settled: ${said("label", value)}`);
      }
    } finally { S.deciding = false; }
    if (S.view === "agree") this.open();
  },
};

VIEWS.refused = {
  title: "Not taken",
  hidden: true,
  async open() {
    const all = [...outbox.refused];
    const items = await Promise.all(all.slice(0, 50).map(([, { sample }]) => sample && ask("item", { sample }).then(({ item }) => item, () => null)));
    if (S.view !== "refused") return;
    const redo = async (names) => { await Promise.all(names.map((name) => outbox.again(name))); this.open(); };
    const row = ([name, { action, value, sample, comment, refused, client }], i) => el("li", {},
      items[i] ? el("div", { class: `thumb ${items[i].kind}` }, body_of(items[i], true)) : el("span", { class: "soft" }, sample === undefined ? "Your last decision" : `Sample ${sample}, which cannot be shown`),
      el("div", { class: "what" }, el("strong", {}, said(action, value)), comment && el("q", { dir: "auto" }, comment), el("span", { class: "bad" }, refused)),
      el("div", { class: "acts" },
        items[i] && ["label", "adjudicate"].includes(action) && button({ class: "act", id: `correct-${client}`, onclick: () => mend(items[i], null, { refused: name, adjudicate: action === "adjudicate" }) }, "Correct"),
        button({ class: "act", id: `again-${client}`, onclick: () => redo([name]) }, "Send again"),
        button({ class: "act", id: `discard-${client}`, onclick: () => { if (confirm("Discard this decision for good?")) { outbox.discard(name); this.open(); } } }, "Discard")));
    put(el("div", { class: "page" }, el("h2", {}, "What the server did not take"),
      el("p", { class: "soft" }, "This browser keeps it until you correct it, send it again, or discard it."),
      all.length ? el("ol", { class: "history" }, all.slice(0, 50).map(row)) : el("p", { class: "empty" }, "Nothing: all was taken."),
      all.length > 1 && button({ class: "act", id: "again", onclick: () => redo(all.map(([name]) => name)) }, `Send all ${all.length} again`)));
  },
};

VIEWS.progress = {
  title: "Progress",
  async open() {
    if (!await update("&all=1") || S.view !== "progress") return;
    const p = S.progress;
    const fact = (value, text) => el("div", { class: "fact" }, el("b", {}, value), el("span", {}, text));
    const most = Math.max(1, ...Object.values(p.classes));
    put(el("div", { class: "page wide" },
      el("h2", {}, p.round === null ? "Between two rounds" : p.kind === "test" ? "Test set" : `Round ${p.round}`), el("div", { class: "facts" },
        p.round !== null && fact(`${p.decided} of ${p.total}`, "decided in this round"), fact(p.labelled.toLocaleString("en"), "samples labelled in all"),
        p.rate > 0 && fact(p.rate.toLocaleString("en"), "decided by you in the last hour"), p.seconds && fact(`${p.seconds.toFixed(1)} s`, "you take for one, typically")),
      el("div", { class: "columns" },
        el("section", {}, el("h3", {}, "Learning curve"), el("p", { class: "soft" }, p.measured), p.curve.length > 0 && curve(p.curve)),
        el("section", {}, el("h3", {}, "Next batch"), el("p", { class: "soft" }, p.left ? `${plural(p.left, "decision")} left in this round. You need not wait for them.` : p.round === null ? "No batch is waiting." : "This round is labelled."), train_button(), S.training?.state && S.training.state !== "none" && [el("p", { role: "status" }, { running: "Training …", done: "Done: the next batch is there.", failed: "It failed; below is what it said." }[S.training.state]), log_node()]),
        el("section", {}, el("h3", {}, "Classes so far"), Object.keys(p.classes).length ? el("table", { class: "plain bars" }, el("tbody", {}, Object.entries(p.classes).map(([name, n]) => el("tr", {}, el("th", { scope: "row", dir: "auto" }, swatch(name), name), el("td", {}, n), el("td", { class: "barcell", "aria-hidden": "true" }, n > 0 && el("i", { style: { width: `${100 * n / most}%` } })))))) : el("p", { class: "soft" }, "No labels yet.")),
        el("section", {}, el("h3", {}, "Who is at work"), el("table", { class: "plain" }, el("tbody", {}, p.people.map((one) => el("tr", {}, el("th", { scope: "row" }, one.name === S.me ? `${one.name} (you)` : one.name), el("td", {}, plural(one.decided, "decision")), el("td", { class: "soft" }, one.at === null ? "not yet here" : ago(one.at))))))))));
    clearTimeout(S.looking);
    S.looking = setTimeout(() => S.view === "progress" && !$("dialog[open]") && this.open(), S.training?.state === "running" ? 1500 : 10000);
  },
};

// Lines of a metric over the number of labels, with what lies in its interval; and as a table.
function curve(points) {
  const [W, H, L, B] = [460, 240, 58, 50];
  // Over rounds where one has brought no labels: points would stand above each other.
  const by_round = points.some((p, i) => points.slice(0, i).some((q) => q.name === p.name && q.labels === p.labels));
  const along = (p) => (by_round ? p.round : p.labels);
  const xs = points.map(along); const ys = points.flatMap((p) => [p.low ?? p.value, p.high ?? p.value]);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs, Math.min(...xs) + 1)];
  let [y0, y1] = [Math.min(...ys), Math.max(...ys)];
  const share = points.every((p) => p.share); // as in words: a percentage
  const told = (v, digits) => (share ? `${(100 * v).toFixed(digits)} %` : v.toFixed(digits + 2));
  const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5].find((one) => (y1 - y0) / one <= 4) ?? (y1 - y0) / 4;
  [y0, y1] = [Math.floor(y0 / step) * step, Math.ceil(y1 / step) * step || step];
  const x = (v) => L + (W - L - 10) * (v - x0) / (x1 - x0); const y = (v) => 8 + (H - B - 8) * (1 - (v - y0) / (y1 - y0));
  const svg = (tag, props, text) => { const node = document.createElementNS("http://www.w3.org/2000/svg", tag); for (const [k, v] of Object.entries(props)) node.setAttribute(k, v); if (text) node.textContent = text; return node; };
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "Learning curve; the table below has its numbers" });
  for (let v = y0; v < y1 + step / 2; v += step) {
    picture.append(svg("line", { x1: L, x2: W - 10, y1: y(v), y2: y(v), class: "rule" }), svg("text", { x: L - 8, y: y(v) + 4, "text-anchor": "end" }, told(v, 0)));
  }
  for (const v of new Set([x0, Math.round((x0 + x1) / 2), x1])) picture.append(svg("text", { x: x(v), y: H - B + 19, "text-anchor": v === x1 ? "end" : "middle" }, v));
  const names = [...new Set(points.map((p) => p.name))];
  names.forEach((name, i) => {
    const line = points.filter((p) => p.name === name);
    if (line.every((p) => p.low !== null && p.low !== undefined)) picture.append(svg("polygon", { class: `band s${i}`, points: [...line.map((p) => `${x(along(p))},${y(p.high)}`), ...line.toReversed().map((p) => `${x(along(p))},${y(p.low)}`)].join(" ") }));
    picture.append(svg("polyline", { class: `line s${i}`, points: line.map((p) => `${x(along(p))},${y(p.value)}`).join(" ") }));
    line.forEach((p) => picture.append(svg(i ? "rect" : "circle", i ? { x: x(along(p)) - 3, y: y(p.value) - 3, width: 6, height: 6, class: `dot s${i}` } : { cx: x(along(p)), cy: y(p.value), r: 3.5, class: `dot s${i}` })));
  });
  picture.append(svg("text", { x: W - 10, y: H - 8, "text-anchor": "end" }, by_round ? "rounds" : "labels"));
  const cell = (p) => `${told(p.value, 1)}${p.low === null || p.low === undefined ? "" : ` (${told(p.low, 1)} – ${told(p.high, 1)})`}`;
  return el("div", {}, picture, el("p", { class: "legend" }, names.map((name, i) => el("span", {}, el("i", { class: `key s${i}`, "aria-hidden": "true" }), name))),
    el("details", {}, el("summary", {}, "As a table"), el("table", { class: "plain" }, el("thead", {}, el("tr", {}, ["Labels", "What", "Value"].map((t) => el("th", { scope: "col" }, t)))),
      el("tbody", {}, points.map((p) => el("tr", {}, el("td", {}, p.labels), el("td", {}, p.name), el("td", {}, cell(p))))))));
}

// --- dialogs -------------------------------------------------------------------------------------

function dialog(title, ...kids) {
  const node = el("dialog", { "aria-labelledby": "dialog-title", onclose: () => { node.remove(); if (S.now) S.choices?.focus?.(); } },
    el("div", { class: "dialog-head" }, el("h2", { id: "dialog-title" }, title), button({ class: "quiet", "aria-label": "Close", onclick: () => node.close() }, "✕")), kids);
  document.body.append(node);
  node.showModal();
  return node;
}

function comment_dialog() {
  if (!S.now) return;
  const field = el("textarea", { rows: "4", maxlength: "4000", "aria-label": "Comment", dir: "auto" });
  const done = () => { const text = field.value.trim(); node.close(); node.remove(); if (text) remark("comment", text); };
  field.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) done(); });
  const node = dialog("Comment on this sample", field, el("p", { class: "foot" }, button({ class: "go", onclick: done }, "Keep it"), el("span", { class: "soft" }, "Ctrl + Enter")));
  field.focus();
}

function help_dialog() {
  if ($("dialog[open]")) return;
  const row = (key, text) => el("tr", {}, el("td", {}, el("kbd", {}, KEY_NAMES[key] ?? key)), el("td", {}, text));
  const classes = S.task === "regression" ? [row("Enter", "The number is as typed")] : S.classes.length > FEW ? [row("1 – 9", "A class of the list"), row("Enter", "The marked class"), row("/", "To the search field; Esc leaves it")] : S.classes.map((name, i) => row(class_key(i), name));
  dialog("Keys", el("div", { class: "columns help" }, el("table", { class: "plain" }, el("tbody", {}, classes)),
    el("table", { class: "plain" }, el("tbody", {}, Object.keys(ACTIONS).map((name) => row(action_key(name), name === "undo" ? "Undo; Ctrl Z, too" : ACTIONS[name][0])), row("PgDn", "Scroll a long sample"), row("+ / −", "Zoom an image")))),
  el("p", { class: "soft" }, "Change them under Settings. Each decision is on the server's disk before the next sample shows; without a connection it is kept in this browser and sent later."));
}

function settings_dialog() {
  const check = (name, text, hint) => el("label", { class: "check" }, el("input", { type: "checkbox", checked: settings[name], onchange: (event) => { keep({ [name]: event.target.checked }); if (S.view === "label" && S.now) show_now(true); } }), el("span", {}, text, hint && el("small", { class: "soft" }, hint)));
  const names = [...(S.classes.length <= FEW ? S.classes.map((name, i) => [`class ${name}`, name, first_key(i)]) : []), ...Object.entries(ACTIONS).map(([name, [text, key]]) => [name, text, key])];
  const current = (name, key) => settings.keys[name] ?? key;
  const field = ([name, text, key]) => {
    const input = el("input", { readonly: true, size: "6", value: KEY_NAMES[current(name, key)] ?? current(name, key), "aria-label": `Key for ${text}` });
    input.addEventListener("keydown", (event) => {
      if (["Tab", "Escape", "Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      const wanted = same_key(event);
      const other = names.find(([n, , k]) => n !== name && current(n, k) === wanted);
      if (other) { problem.textContent = `${KEY_NAMES[wanted] ?? wanted} is the key for ${other[1]} already.`; return; }
      problem.textContent = "";
      keep({ keys: { ...settings.keys, [name]: wanted } });
      input.value = KEY_NAMES[wanted] ?? wanted;
    });
    return el("tr", {}, el("th", { scope: "row", dir: "auto" }, text), el("td", {}, input));
  };
  const problem = el("p", { class: "bad", role: "status" });
  const choice = (name, options, type = String) => el("select", { onchange: (event) => keep({ [name]: type(event.target.value) }) }, options.map(([value, text]) => el("option", { value: String(value), selected: settings[name] === value }, text)));
  const node = dialog("Settings", el("p", { class: "soft" }, "You are ", el("b", {}, S.me), ". This browser keeps these settings."),
    el("label", { class: "check middle" }, el("span", {}, "Colours"), choice("theme", [["", "As the system"], ["light", "Light"], ["dark", "Dark"]])),
    check("hide", "Hide the model's guess", "A guess that shows sways who labels."), check("why", "Show why a sample was chosen"), check("sound", "Play sounds at once"), check("keysOff", "Switch single keys off", "For speech input. Buttons and Tab still do everything."),
    el("label", { class: "check middle" }, el("span", {}, "Take no decision until a sample has shown for"), choice("soon", [[0, "no time"], [100, "0.1 s"], [300, "0.3 s"], [1000, "1 s"]], Number)),
    el("h3", {}, "Keys"), el("p", { class: "soft" }, "Choose a field and press the new key."), problem, el("table", { class: "plain keys" }, el("tbody", {}, names.map(field))),
    el("p", { class: "foot" }, button({ class: "act", onclick: () => { keep({ keys: {} }); node.close(); settings_dialog(); } }, "Keys as they were")));
  node.addEventListener("close", () => { if (S.view === "label" && S.now) VIEWS.label.open(); });
}

// --- progress and start --------------------------------------------------------------------------

function show_progress(p) {
  if (!p || (!S.progress && !p.rounds)) return;
  S.progress = { ...S.progress, ...p };
  const at = round_of(S.now) ?? S.progress;
  const changed = S.picks !== at.picks;
  S.picks = at.picks;
  if (changed && S.now && S.view === "label") $("#why").replaceChildren(...why(S.now));
  const bar = $("#bar");
  bar.setAttribute("aria-valuemax", at.total);
  bar.setAttribute("aria-valuenow", at.decided);
  bar.setAttribute("aria-valuetext", `${at.decided} of ${at.total} in this round`);
  bar.firstElementChild.style.width = `${at.total ? 100 * at.decided / at.total : 0}%`;
  $("#people").textContent = at.round === null ? "" : `${at.kind === "test" ? "Test set" : `Round ${at.round}`} · ${at.decided} of ${at.total}`;
}
// The round of an item; without one, or where it is not said, the one that is asked for first.
const round_of = (item) => (item?.round === null || item?.round === undefined ? S.progress : S.progress?.rounds.find(({ round }) => round === item.round));
function count(n, round) {
  const counted = (p) => (p.round === round ? { ...p, decided: Math.max(0, Math.min(p.total, p.decided + n)), left: Math.max(0, p.left - n) } : p);
  if (S.progress) show_progress({ ...counted(S.progress), rounds: S.progress.rounds.map(counted) });
}

async function update(all = "") {
  const data = await ask(`progress?tab=${TAB}${all}`).catch(() => null);
  if (data) { S.training = data.training; show_progress(data.progress); }
  return data;
}

function route() {
  if (S.view === "grid") ask("release", { tab: GRID }).catch(() => {});
  const view = location.hash.slice(1) in VIEWS ? location.hash.slice(1) : "label";
  S.view = view;
  document.body.dataset.view = view;
  document.title = `${VIEWS[view].title} · ${S.name}`;
  for (const link of document.querySelectorAll("#views a")) link.toggleAttribute("aria-current", link.hash === `#${view}`);
  document.querySelector("#views a[aria-current]")?.setAttribute("aria-current", "page");
  if (view !== "label") $("#main").replaceChildren(el("p", { class: "empty soft" }, "Loading …"));
  VIEWS[view].open();
}

async function start() {
  keep({});
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    history.replaceState(null, "", "./");
    await ask("enter", { token });
  }
  const data = await ask("start");
  Object.assign(S, { me: data.me, name: data.name, loop: data.loop, task: data.task, classes: data.classes, guidelines: data.guidelines, version: data.version, with_another: data.with_another });
  $("#title").textContent = data.name;
  $("#views").replaceChildren(...Object.entries(VIEWS).filter(([name, { hidden }]) => !hidden && (name !== "grid" || S.task !== "regression")).map(([name, { title }]) => el("a", { href: `#${name}` }, title)));
  $("#open-settings").addEventListener("click", settings_dialog);
  $("#open-help").addEventListener("click", help_dialog);
  outbox.start(data.loop, data.me);
  listen(data.loop);
  update();
  addEventListener("hashchange", route);
  route();
  saved();
  addEventListener("pageshow", ({ persisted }) => persisted && location.reload()); // its samples are not held any more
  setInterval(() => S.view && S.view !== "progress" && update(), 15000);
  addEventListener("pagehide", () => [TAB, GRID].forEach((tab) => navigator.sendBeacon("api/release", new Blob([JSON.stringify({ tab })], { type: "application/json" }))));
}

start().catch((error) => {
  if (error instanceof Offline) { $("#main").replaceChildren(el("p", { class: "empty", role: "alert" }, "The server does not answer. Is it running? This page tries again.")); setTimeout(() => location.reload(), 3000); }
  else if (!$("#main [role=alert]")) $("#main").replaceChildren(el("p", { class: "empty", role: "alert" }, error.message));
});
