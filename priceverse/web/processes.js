// The tree of processes as the supervisor lists it: each role with its members.

import { lasting } from "./format.js";
import { partsOf } from "./tile.js";

const POLL_MS = 3000;
const PATIENCE_MS = 8000;
const STATUS = { ready: "up", fatal: "down", backoff: "down", stopped: "down" };

/** Ask for the processes every few seconds; `onAnswer(processes)`, with none when nobody knows them. */
export async function watchProcesses(path, onAnswer) {
  for (;;) {
    try {
      const reply = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" });
      onAnswer(reply.ok ? await reply.json() : []);
    } catch {
      onAnswer([]);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Roles with their members, drawn anew when who is there has changed, else only changed. */
export class Processes {
  constructor(list, role, member) {
    this.list = list;
    this.role = role;
    this.member = member;
    this.names = "";
    this.roles = new Map();
    this.made = new Map();
  }

  /** Show the processes in the order in which they were started. */
  show(processes) {
    const names = processes.map(({ name }) => name).join();
    if (names !== this.names) this.draw(processes);
    this.names = names;
    for (const each of processes) update(this.made.get(each.name), each);
    for (const [role, parts] of this.roles) parts.count.textContent = standing(processes.filter((each) => each.role === role));
  }

  draw(processes) {
    this.roles.clear();
    this.made.clear();
    this.list.replaceChildren();
    for (const { name, role } of processes) {
      if (!this.roles.has(role)) this.roles.set(role, make(this.role, role, this.list));
      const parts = this.roles.get(role);
      this.made.set(name, make(this.member, name, parts.members));
    }
  }
}

function make(template, name, list) {
  const element = template.content.firstElementChild.cloneNode(true);
  const parts = { element, ...partsOf(element) };
  parts.name.textContent = name;
  list.append(element);
  return parts;
}

/** How many of a role's members serve. */
function standing(members) {
  const ready = members.filter(({ state }) => state === "ready").length;
  return ready === members.length ? `${ready} ready` : `${ready} of ${members.length} ready`;
}

function update(parts, { state, restarts, uptime_s: uptimeS }) {
  parts.element.dataset.state = STATUS[state] ?? "connecting";
  parts.state.textContent = state;
  const again = restarts ? `${restarts} restart${restarts === 1 ? "" : "s"}` : "";
  parts.message.textContent = [again, uptimeS === null ? "" : lasting(uptimeS * 1000)].filter(Boolean).join(", ");
}
