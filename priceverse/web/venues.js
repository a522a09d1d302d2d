// What makes the chosen pair's price: every venue, its weight, and why one does not count.

import { invoke } from "./api.js";
import { ago, basisPoints, counted, share, shortPrice, venueName } from "./format.js";
import { partsOf } from "./tile.js";

const POLL_MS = 5000;
const TOO_OFTEN = "429"; // many pages of one address: what is shown stays a little longer
const REASONS = {
  outlier: "too far off",
  stale: "silent too long",
  no_conversion: "no USDT rate",
};

export class Venues {
  constructor(body, note, template) {
    this.body = body;
    this.note = note;
    this.template = template;
    this.rows = new Map();
  }

  /** Show the venues of a pair until another is chosen. */
  async follow(pair, nowMs) {
    this.pair = pair;
    this.forget("Waiting for the explanation…");
    while (this.pair === pair) {
      await this.ask(pair, nowMs);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async ask(pair, nowMs) {
    try {
      const explained = await invoke("PricesService", "explainPrice", { pair });
      if (this.pair === pair) this.show(explained, nowMs());
    } catch (error) {
      if (this.pair === pair && error.code !== TOO_OFTEN) this.forget(`No explanation: ${error.message}`);
    }
  }

  forget(note) {
    this.note.textContent = note;
    this.body.replaceChildren();
    this.rows.clear();
  }

  show(explained, nowMs) {
    const used = explained.sources.filter((source) => !source.excluded);
    const { rate } = explained;
    const converted = rate ? `, in dollars; × ${rate.value} roubles a dollar${rate.date ? ` (${rate.date})` : ""}` : "";
    this.note.textContent = `${counted(used)} by volume over ${windowS(explained)} s${converted}.`;
    const index = explained.price / (rate?.value ?? 1);
    for (const source of explained.sources) this.showOne(source, index, nowMs);
    for (const [name, parts] of this.rows) {
      if (explained.sources.some((source) => source.exchange === name)) continue;
      parts.row.remove();
      this.rows.delete(name);
    }
  }

  showOne(source, index, nowMs) {
    if (!this.rows.has(source.exchange)) this.rows.set(source.exchange, this.make(source.exchange));
    const parts = this.rows.get(source.exchange);
    const { price } = source;
    parts.row.dataset.counts = String(!source.excluded);
    parts.price.textContent = price === null ? "–" : shortPrice(price);
    parts.off.textContent = price === null ? "–" : basisPoints(price, index);
    parts.bar.value = source.weight;
    parts.weight.textContent = share(source.weight);
    parts.trades.textContent = String(source.trades);
    parts.newest.textContent = ago(nowMs - Date.parse(source.lastTrade));
    parts.counts.textContent = source.excluded ? (REASONS[source.excluded] ?? source.excluded.replaceAll("_", " ")) : "yes";
  }

  make(name) {
    const row = this.template.content.firstElementChild.cloneNode(true);
    const parts = { row, ...partsOf(row) };
    parts.name.textContent = venueName(name);
    this.body.append(row);
    return parts;
  }
}

/** How long the window is that the trades are from. */
function windowS(explained) {
  return Math.round((Date.parse(explained.windowEnd) - Date.parse(explained.windowStart)) / 1000);
}
