// Before anything is drawn: the colours that were chosen here before.
"use strict";
try {
  const chosen = localStorage.getItem("ferryman-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* a browser that keeps nothing: as the system */ }
