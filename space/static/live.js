// A page's state is its address. A form or link marked data-live asks the server for the page that it leads to, and puts that
// page's content in the place of this one's: nothing else changes, and without scripts the same form and link still work.
// data-live="submit": not before the form is sent. data-follow: the content follows what happens on the hub. data-again: what is
// under way is no event, and is looked at again and again, for as long as the page says so.

const PATIENCE_MS = 120; // between two letters that somebody types
const QUIET_MS = 700; // after an event of the hub
const AGAIN_MS = 1500; // between two looks at what is under way
let asked = null; // the page that is being fetched
let typing = 0;

async function show(address, { push = false, keep = true } = {}) {
  asked?.abort();
  const mine = (asked = new AbortController());
  const main = document.getElementById("main");
  main.setAttribute("aria-busy", "true");
  let answer, text;
  try {
    answer = await fetch(address, { signal: mine.signal, headers: { Accept: "text/html" } });
    text = await answer.text();
  } catch (error) {
    if (error.name !== "AbortError") location.assign(address);
    return;
  } finally {
    if (asked === mine) {
      main.removeAttribute("aria-busy");
      asked = null;
    }
  }
  const page = new DOMParser().parseFromString(text, "text/html");
  const fresh = page.getElementById("main");
  if (!fresh) return location.assign(address);
  const address_after = answer.redirected ? answer.url : address;
  if (push) history.pushState({}, "", address_after);
  else history.replaceState({}, "", address_after);
  document.title = page.title;
  document.body.dataset.events = page.body.dataset.events;
  put(main, fresh, keep);
  document.dispatchEvent(new Event("page-shown"));
}

function put(main, fresh, keep) {
  const focus = document.activeElement;
  const id = main.contains(focus) ? focus.id : "";
  const typed = id && "selectionStart" in focus ? [focus.value, focus.selectionStart, focus.selectionEnd] : null;
  const open = new Set([...main.querySelectorAll("details[open][id]")].map((one) => one.id));
  const scrolls = [...main.querySelectorAll("[data-scrolls][id]")].map((one) => [one.id, one.scrollLeft, one.scrollTop]);
  const playing = [...main.querySelectorAll("audio[id]")].find((one) => !one.paused);
  main.replaceChildren(...fresh.childNodes);
  for (const one of main.querySelectorAll("details[id]")) if (open.has(one.id)) one.open = true;
  if (keep) for (const [name, left, top] of scrolls) document.getElementById(name)?.scrollTo(left, top);
  const again = playing && document.getElementById(playing.id);
  if (again && again.currentSrc === playing.currentSrc) again.replaceWith(playing);
  const back = id && document.getElementById(id);
  if (back) {
    back.focus({ preventScroll: true });
    if (typed && back.value !== undefined && back.type !== "number") {
      back.value = typed[0];
      try { back.setSelectionRange(typed[1], typed[2]); } catch { /* a field without a caret */ }
    }
  }
}

// what a form leads to, without the fields that say nothing
function addressOf(form) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    const field = form.elements[name];
    const usual = field?.dataset?.usual;
    if (typeof value === "string" && value !== "" && value !== usual) query.append(name, value);
  }
  for (const one of form.querySelectorAll("[data-usual-of]")) {
    if (query.getAll(one.dataset.usualOf).join() === one.dataset.usual) query.delete(one.dataset.usualOf);
  }
  const text = query.toString();
  return form.getAttribute("action") + (text ? `?${text}` : "");
}

document.addEventListener("input", (event) => {
  const form = event.target.closest?.('form[data-live]:not([data-live="submit"])');
  if (!form) return;
  clearTimeout(typing);
  const isText = event.target.matches("input[type=search], input[type=text], input[type=number], textarea");
  typing = setTimeout(() => {
    typing = 0;
    show(addressOf(form));
  }, isText ? PATIENCE_MS : 0);
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-live]")) return;
  event.preventDefault();
  clearTimeout(typing);
  typing = 0;
  show(addressOf(event.target), { push: true });
});
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-live]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  show(link.getAttribute("href"), { push: true });
});
addEventListener("popstate", () => show(location.href));

// -- what happens on the hub

let stream = null;
let waiting = 0;

// what somebody has just asked for goes first
function refresh() {
  clearTimeout(waiting);
  if (asked || typing) waiting = setTimeout(refresh, QUIET_MS);
  else show(location.href);
}

setInterval(() => {
  if (document.querySelector("[data-again]") && !document.hidden) refresh();
}, AGAIN_MS);

function follow() {
  const isWanted = Boolean(document.querySelector("[data-follow]")) && !document.hidden;
  if (!isWanted) {
    stream?.close();
    stream = null;
    return;
  }
  if (stream) return;
  const about = document.querySelector("[data-follow]").dataset.follow;
  stream = new EventSource(`${about}?stream=true&after=${document.body.dataset.events}`);
  const kinds = "received validating queued scoring published rejected failed withdrawn hidden superseded requeued rescored rescoring opened described";
  for (const kind of kinds.split(" ")) {
    stream.addEventListener(kind, () => {
      clearTimeout(waiting);
      waiting = setTimeout(refresh, QUIET_MS);
    });
  }
}
document.addEventListener("page-shown", follow);
document.addEventListener("visibilitychange", follow);
follow();

// data-copy: a button that copies a text
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const said = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = said), 1500);
});

export { show };
