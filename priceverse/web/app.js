// The page: prices from the stream, states from the health report, and the truth about both.

import { Card } from "./card.js";
import { Chips, watchHealth } from "./health.js";
import { Stream } from "./stream.js";

const TICK_MS = 500;
const RETRY_MS = 2000;
const STATES = { up: "Live", connecting: "Connecting…", down: "Connection lost" };
const OVERALL = { healthy: "up", degraded: "connecting", unhealthy: "down" };

const byId = (id) => document.getElementById(id);
const cards = new Map();
const exchanges = new Chips(byId("exchanges"), byId("chip"), "exchange.");
const system = new Chips(byId("system"), byId("chip"), "");
let clockOffsetMs = 0;
let maxAgeMs = Infinity;

async function ask(path, call) {
  const headers = { "Content-Type": "application/json" };
  const reply = await fetch(path, call ? { method: "POST", headers, body: JSON.stringify(call) } : {});
  if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
  return reply.json();
}

async function begin() {
  for (;;) {
    try {
      const called = { service: "PricesService", method: "supportedPairs" };
      return await Promise.all([ask("/discover"), ask("/netron/invoke", called)]);
    } catch {
      showConnection("down");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

function showConnection(state) {
  const pill = byId("connection");
  if (pill.dataset.state === state) return; // announced only when it changes
  pill.dataset.state = state;
  pill.textContent = STATES[state];
  const lost = state === "down";
  document.body.classList.toggle("lost", lost);
  byId("notice").hidden = !lost;
  byId("notice").textContent = lost ? "No connection to the server. These are the last prices it sent; trying again…" : "";
}

function showHealth(report, offsetMs) {
  clockOffsetMs = offsetMs;
  exchanges.show(report.checks);
  system.show(report.checks);
  byId("overall").textContent = report.status;
  byId("overall").dataset.state = OVERALL[report.status];
}

function forgetHealth() {
  exchanges.forget();
  system.forget();
  byId("overall").textContent = "unknown";
  byId("overall").dataset.state = "connecting";
}

function tick() {
  for (const card of cards.values()) card.tick(Date.now() + clockOffsetMs, maxAgeMs);
}

const [discovered, supported] = await begin();
maxAgeMs = discovered.limits.maxPriceAgeMs;
byId("version").textContent = `Priceverse ${discovered.version}`;
for (const pair of supported.data) cards.set(pair, new Card(byId("prices"), byId("card"), pair));
byId("prices").ariaBusy = "false";

const stream = new Stream("/stream/prices", showPrice, showConnection);
setInterval(tick, TICK_MS);
if (discovered.health) watchHealth(discovered.health, healthy, forgetHealth);

function showPrice(price) {
  cards.get(price.pair)?.show(price);
  tick();
}

function healthy(report, offsetMs) {
  showHealth(report, offsetMs);
  stream.check();
}
