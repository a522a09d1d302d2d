// Light, dark, or what the system says. The choice is kept in this browser.

const SCHEMES = ["auto", "light", "dark"];
const KEY = "priceverse.scheme";
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

/** Let `button` go through the schemes; `onChange` hears every change of what is in force. */
export function followScheme(button, label, onChange) {
  let scheme = kept();
  const apply = () => {
    if (scheme === "auto") delete root.dataset.scheme;
    else root.dataset.scheme = scheme;
    label.textContent = scheme;
    onChange();
  };
  button.addEventListener("click", () => {
    scheme = SCHEMES[(SCHEMES.indexOf(scheme) + 1) % SCHEMES.length];
    keep(scheme);
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}

/** The colours in force, as the style sheet has them. */
export function palette() {
  const style = getComputedStyle(root);
  return Object.fromEntries(["text", "line", "up", "down"].map((name) => [name, resolved(style, name)]));
}

function resolved(style, name) {
  const [light, dark] = style.getPropertyValue(`--${name}`).match(/#[0-9a-f]{6}/g);
  const colour = style.colorScheme === "dark" || (style.colorScheme !== "light" && system.matches) ? dark : light;
  return `rgb(${[1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)).join(", ")})`;
}

function kept() {
  try {
    const found = localStorage.getItem(KEY);
    return SCHEMES.includes(found) ? found : "auto";
  } catch {
    return "auto"; // a browser that keeps nothing
  }
}

function keep(scheme) {
  try {
    localStorage.setItem(KEY, scheme);
  } catch {
    // it holds until the page is left
  }
}
