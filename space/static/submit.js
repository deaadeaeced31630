// The form is sent from where one is: what was chosen and typed stays, and an upload shows how far it is.

let files = null; // FileList of what was chosen last
const typed = new Map();
const form = () => document.getElementById("submission");
const field = () => document.getElementById("file");

function tell() {
  const told = document.getElementById("chosen");
  if (!told) return;
  const chosen = [...(field()?.files ?? [])];
  const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
  const most = Number(form()?.dataset.maxBytes);
  const total = chosen.reduce((sum, one) => sum + one.size, 0);
  told.textContent = chosen.length ? chosen.map((one) => `${one.name} (${size(one.size)})`).join(", ") : "Choose it, or drop it here.";
  if (total > most) told.textContent += `: this is more than the ${size(most)} that are taken.`;
}

function fill() {
  if (!form()) return;
  if (files?.length && !field().files.length) field().files = files;
  for (const [name, value] of typed) if (form().elements[name]) form().elements[name].value = value;
  tell();
}

function say(heading, message) {
  const note = document.createElement("div");
  note.className = "note bad";
  const title = document.createElement("h3");
  title.textContent = heading;
  const text = document.createElement("p");
  text.textContent = message;
  note.append(title, text);
  document.getElementById("outcome").replaceChildren(note);
  document.getElementById("outcome").focus();
}

function send(button) {
  const asked = new XMLHttpRequest();
  const body = new FormData(form(), button);
  const bar = document.getElementById("upload");
  const main = document.getElementById("main");
  const buttons = [...form().querySelectorAll("button")];
  const done = () => {
    main.removeAttribute("aria-busy");
    bar.hidden = true;
    for (const one of buttons) one.disabled = false;
  };
  main.setAttribute("aria-busy", "true");
  for (const one of buttons) one.disabled = true;
  bar.value = 0;
  bar.hidden = false;
  asked.upload.onprogress = (event) => event.lengthComputable && (bar.value = (100 * event.loaded) / event.total);
  asked.upload.onload = () => bar.removeAttribute("value"); // it is here, and being read
  asked.onerror = () => {
    done();
    say("The file could not be sent", "If you changed it since you chose it, choose it again. Otherwise the hub does not answer: try again soon.");
  };
  asked.onload = () => {
    const page = new DOMParser().parseFromString(asked.responseText, "text/html");
    const fresh = page.getElementById("main");
    if (new URL(asked.responseURL).pathname !== "/submit") return location.assign(asked.responseURL);
    done();
    if (!fresh) return say("The hub gave no answer", "Try again soon.");
    if (!fresh.querySelector("#submission")) return say(fresh.querySelector("h1")?.textContent ?? "Not possible", fresh.querySelector(".lead")?.textContent ?? "");
    document.title = page.title;
    main.replaceChildren(...fresh.childNodes);
    document.dispatchEvent(new Event("page-shown"));
    document.getElementById("outcome").focus();
  };
  asked.open("POST", form().getAttribute("action"));
  asked.setRequestHeader("Accept", "text/html");
  asked.send(body);
}

document.addEventListener("submit", (event) => {
  if (event.target !== form()) return;
  event.preventDefault();
  send(event.submitter);
});
document.addEventListener("change", (event) => {
  if (event.target !== field()) return;
  files = event.target.files;
  tell();
});
document.addEventListener("input", (event) => {
  const one = event.target;
  if (one.form && one.form === form() && one.type !== "file" && one.name) typed.set(one.name, one.value);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    const place = event.target.closest?.("[data-drop]");
    if (!place) return;
    event.preventDefault();
    place.classList.toggle("over", kind === "dragover");
    if (kind !== "drop" || !event.dataTransfer.files.length) return;
    files = event.dataTransfer.files;
    if (files.length > 1 && !field().multiple) {
      const one = new DataTransfer();
      one.items.add(files[0]);
      files = one.files;
    }
    field().files = files;
    tell();
  });
}
document.addEventListener("page-shown", fill);
fill();
