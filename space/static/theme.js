// Light or dark, as the visitor chose last; the system's wish else. Runs before anything is drawn, so that nothing flashes.
(() => {
  const root = document.documentElement;
  const wish = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const shown = () => chosen() || (wish.matches ? "dark" : "light");
  root.dataset.theme = shown();
  wish.addEventListener("change", () => { root.dataset.theme = shown(); label(); });
  const label = () => {
    const button = document.getElementById("theme");
    if (!button) return;
    button.hidden = false;
    button.textContent = shown() === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${button.textContent.toLowerCase()} theme`);
  };
  document.addEventListener("DOMContentLoaded", () => {
    label();
    document.getElementById("theme")?.addEventListener("click", () => {
      const next = shown() === "dark" ? "light" : "dark";
      try { localStorage.setItem("theme", next); } catch { /* a private window forgets it */ }
      root.dataset.theme = next;
      label();
    });
  });
})();
