// The state of exchanges and system, as HealthService tells it: called, because GET /health is a failed request in the
// console of whoever looks at an unhealthy instance.

import { invoke } from "./api.js";
import { venueName } from "./format.js";

const POLL_MS = 3000;
const TITLES = { database: "PostgreSQL", redis: "Redis", rate: "USD/RUB rate", supervisor: "Supervisor" };

/** Ask for the health every few seconds; `onAnswer(report, clockOffsetMs)` or `onSilence()` each time. */
export async function watchHealth(onAnswer, onSilence) {
  for (;;) {
    const began = Date.now();
    try {
      const report = await invoke("HealthService", "check");
      onAnswer(report, Date.parse(report.timestamp) - (began + Date.now()) / 2);
    } catch {
      onSilence();
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** A list of named states, each made once and then only changed. */
export class Chips {
  constructor(list, template, prefix) {
    this.list = list;
    this.template = template;
    this.prefix = prefix;
    this.made = new Map();
  }

  /** Show the checks that belong to this list. */
  show(checks) {
    for (const [name, check] of Object.entries(checks)) {
      const own = this.prefix ? name.startsWith(this.prefix) : name in TITLES;
      if (own) this.showOne(TITLES[name] ?? venueName(name.slice(this.prefix.length)), check);
    }
  }

  /** Say that nothing is known any more. */
  forget() {
    for (const parts of this.made.values()) update(parts, "connecting", "", "unknown");
  }

  showOne(title, check) {
    if (!this.made.has(title)) this.made.set(title, this.make(title));
    const latency = check.latency === undefined ? "" : `${check.latency.toFixed(1)} ms`;
    update(this.made.get(title), check.status, check.status, check.message || latency);
  }

  make(title) {
    const element = this.template.content.firstElementChild.cloneNode(true);
    const part = (name) => element.querySelector(`[data-part="${name}"]`);
    part("name").textContent = title;
    this.list.append(element);
    return { element, state: part("state"), message: part("message") };
  }
}

function update({ element, state, message }, status, word, text) {
  element.dataset.state = status;
  state.textContent = word;
  message.textContent = text;
}
