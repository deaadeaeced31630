// What is under way is looked at again and again, for as long as the page says so (data-again): progress is no event of the hub.

const EVERY_MS = 1500;
const { show } = await import(document.querySelector('script[src*="/static/live.js"]').src);

setInterval(() => {
  if (document.querySelector("[data-again]") && !document.hidden) show(location.href);
}, EVERY_MS);
