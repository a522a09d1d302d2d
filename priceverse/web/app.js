// The page: prices from the stream, states from the health report, candles and explanations by call, and the truth about all.

import { invoke, invokeEach, read, Refused } from "./api.js";
import { Choices } from "./choices.js";
import { Detail } from "./detail.js";
import { Chips, watchHealth } from "./health.js";
import { Market } from "./market.js";
import { pairName } from "./format.js";
import { Processes, watchProcesses } from "./processes.js";
import { Stream } from "./stream.js";
import { followScheme, palette } from "./theme.js";
import { partsOf, Tile } from "./tile.js";
import { Venues } from "./venues.js";

const TICK_MS = 500;
const RETRY_MS = 2000;
const DAY_MS = 60_000;
const STATES = { up: "Live", connecting: "Connecting…", down: "Connection lost" };
const OVERALL = { healthy: "up", degraded: "connecting", unhealthy: "down" };
const LOST = "No connection to the server. These are the last prices it sent; trying again…";

const byId = (id) => document.getElementById(id);
const tiles = new Map();
const exchanges = new Chips(byId("exchanges"), byId("chip"), "exchange.");
const system = new Chips(byId("system"), byId("chip"), "");
const processes = new Processes(byId("processes"), byId("role"), byId("chip"));
const detail = new Detail(byId("detail"), byId("detail-title"));
const venues = new Venues(byId("venues"), byId("venues-note"), byId("venue"));
const market = new Market(
  {
    chart: byId("chart"),
    legend: byId("legend"),
    note: byId("chart-note"),
    details: byId("candle-list"),
    rows: byId("candle-rows"),
  },
  palette,
);
let clockOffsetMs = 0;
let maxAgeMs = Infinity;
let chosen = "";

const serverNow = () => Date.now() + clockOffsetMs;

followScheme(byId("theme"), partsOf(byId("theme")).scheme, () => market.paint());
const choices = new Choices(byId("intervals"), byId("periods"), byId("choice"), lookAtCandles);

async function begin() {
  for (;;) {
    try {
      return await Promise.all([read("/discover"), invoke("PricesService", "supportedPairs")]);
    } catch {
      showConnection("down");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

function showConnection(state) {
  const pill = byId("connection");
  const before = pill.dataset.state;
  if (before === state) return;
  pill.dataset.state = state;
  pill.textContent = STATES[state];
  document.body.classList.toggle("lost", state === "down");
  if (state === "up" && before === "down") market.renew();
  tick();
}

function showHealth(report, offsetMs) {
  clockOffsetMs = offsetMs;
  exchanges.show(report.checks);
  system.show(report.checks);
  byId("overall").textContent = report.status;
  byId("overall").dataset.state = OVERALL[report.status];
  stream.check();
}

function showProcesses(found) {
  byId("processes-title").hidden = !found.length;
  processes.show(found);
}

function forgetHealth() {
  exchanges.forget();
  system.forget();
  byId("overall").textContent = "unknown";
  byId("overall").dataset.state = "connecting";
}

function choose(pair) {
  chosen = pair;
  for (const [each, tile] of tiles) tile.choose(each === pair);
  history.replaceState(null, "", `#${pair}`);
  detail.show(pair, tiles.get(pair));
  lookAtCandles();
  venues.follow(pair, serverNow);
  tick();
}

function lookAtCandles() {
  if (chosen) market.look(chosen, choices.interval, choices.period);
}

function showPrice(price) {
  const tile = tiles.get(price.pair);
  if (!tile) return;
  tile.show(price);
  market.move(price);
  if (price.pair === chosen) detail.show(chosen, tile);
  tick();
}

function tick() {
  for (const tile of tiles.values()) tile.tick(serverNow(), maxAgeMs);
  if (chosen) detail.tick(tiles.get(chosen));
  say(notice());
}

function notice() {
  if (byId("connection").dataset.state === "down") return LOST;
  const stale = [...tiles].filter(([, tile]) => tile.state === "stale").map(([pair]) => pairName(pair));
  return stale.length ? `Stale, not a current price: ${stale.join(", ")}` : "";
}

function say(text) {
  if (byId("notice").textContent !== text) byId("notice").textContent = text; // announced only when it changes
}

/** Learn what the last day was like, again and again. */
async function followTheDay() {
  const pairs = [...tiles.keys()];
  const day = pairs.map((pair) => ({ pair, period: "24hours", interval: "1hour" }));
  const past = await asked(() => invokeEach("ChartsService", "getChartData", day), pairs);
  pairs.forEach((pair, i) => {
    if (!(past[i] instanceof Refused)) tiles.get(pair).past = past[i].series;
  });
  for (;;) {
    const inputs = pairs.map((pair) => ({ pair, period: "24hours" }));
    const changes = await asked(() => invokeEach("PricesService", "getPriceChange", inputs), pairs);
    pairs.forEach((pair, i) => {
      tiles.get(pair).since(changes[i] instanceof Refused ? null : changes[i].startPrice);
    });
    tick();
    await new Promise((resolve) => setTimeout(resolve, DAY_MS));
  }
}

async function asked(question, pairs) {
  try {
    return await question();
  } catch (error) {
    return pairs.map(() => new Refused(error));
  }
}

const [discovered, supported] = await begin();
maxAgeMs = discovered.limits.maxPriceAgeMs;
byId("version").textContent = `Priceverse ${discovered.version}`;
for (const pair of supported) tiles.set(pair, new Tile(byId("prices"), byId("tile"), pair, choose));
byId("prices").ariaBusy = "false";
const stream = new Stream("/stream/prices", showPrice, showConnection);
const wanted = location.hash.slice(1);
choose(tiles.has(wanted) ? wanted : supported[0]);
setInterval(tick, TICK_MS);
followTheDay();
if (discovered.health) {
  watchHealth(showHealth, forgetHealth);
  watchProcesses(`${discovered.health}/tree`, showProcesses);
}
