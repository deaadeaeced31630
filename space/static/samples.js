// The sample explorer by keyboard: j or → next, k or ← previous, p plays or stops. What is heard next is fetched ahead.
// Who is listening goes on listening: a clip that follows a playing one plays.

const STEPS = { j: "next", ArrowRight: "next", k: "previous", ArrowLeft: "previous" };
let goesOn = false;

// keys without Ctrl get in the way of who speaks to the machine: they can be turned off, and stay so
const areOn = () => { try { return localStorage.getItem("keys") !== "off"; } catch { return true; } };
function label() {
  const button = document.getElementById("keys");
  if (!button) return;
  button.hidden = false;
  button.textContent = areOn() ? "Turn keys off" : "Turn keys on";
}
document.addEventListener("click", (event) => {
  if (event.target.id !== "keys") return;
  try { localStorage.setItem("keys", areOn() ? "off" : "on"); } catch { /* a private window forgets it */ }
  label();
});

function isBusy(target) {
  // keys mean something else where one types, chooses, or moves in a player or a table
  return target.closest?.("input, select, textarea, audio, [contenteditable], .scroll[tabindex]");
}

document.addEventListener("keydown", (event) => {
  if (!areOn() || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.defaultPrevented || isBusy(event.target)) return;
  const player = document.getElementById("player");
  if (event.key === "p" && player) {
    if (player.paused) player.play();
    else player.pause();
  } else if (STEPS[event.key]) {
    document.getElementById(STEPS[event.key])?.click();
  } else return;
  event.preventDefault();
});
// before live.js puts the next clip in the place of this one
document.addEventListener("click", (event) => {
  const player = document.getElementById("player");
  if (event.target.closest?.("#next, #previous, #clips a")) goesOn = Boolean(player && !player.paused);
}, true);

function arrived() {
  label();
  const here = document.querySelector("#clips [aria-current]");
  const list = document.getElementById("clips");
  if (here && list) {
    const [low, high] = [here.offsetTop - list.offsetTop, here.offsetTop - list.offsetTop + here.offsetHeight];
    if (low < list.scrollTop || high > list.scrollTop + list.clientHeight) list.scrollTop = low - list.clientHeight / 3;
  }
  if (goesOn) document.getElementById("player")?.play().catch(() => {});
  goesOn = false;
  const ahead = document.getElementById("next")?.dataset.sound;
  if (!ahead) return;
  fetch(ahead).catch(() => {});
  new Image().src = ahead.replace(/^\/sounds\/([^?]*)/, "/pictures/$1.png");
}
document.addEventListener("page-shown", arrived);
arrived();
