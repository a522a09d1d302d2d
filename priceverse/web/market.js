// The candles of the chosen pair: asked for, shown, kept current by live prices, and asked for again before they are old.

import { invoke, Refused } from "./api.js";
import { bars, INTERVALS, moved, summary } from "./candles.js";
import { available, Chart } from "./chart.js";
import { amount, pairName, shortPrice } from "./format.js";

const FRESH_MS = 60_000;
const RETRY_MS = 10_000;
const ROWS = 12;
const MISSING = "The chart library was not there when this server was set up: run make setup where npm's registry can be reached. Prices and tables work without it.";

export class Market {
  constructor(places, palette) {
    this.places = places;
    this.chart = available ? new Chart(places.chart, places.legend, palette) : null;
    this.kept = new Map();
    this.view = null;
    this.bars = [];
    this.newest = new Map();
    places.details.addEventListener("toggle", () => this.list());
  }

  /** Look at a pair; `period` is one of its interval's. */
  async look(pair, interval, period) {
    clearTimeout(this.timer);
    const view = { pair, interval, period, key: `${pair} ${interval} ${period}` };
    this.view = view;
    const kept = this.kept.get(view.key);
    if (kept) this.show(kept.bars, true);
    else this.say("Loading candles…", []);
    if (kept && Date.now() - kept.at < FRESH_MS) this.later(FRESH_MS - (Date.now() - kept.at));
    else await this.load(view);
  }

  /** Ask again now: what was missed while the connection was lost is not in any price. */
  renew() {
    this.kept.clear();
    if (this.view) this.load(this.view);
  }

  /** Let a live price move the open candle. */
  move(price) {
    this.newest.set(price.pair, price);
    if (!this.view || price.pair !== this.view.pair || price.stale || !this.bars.length) return;
    const bar = moved(this.bars.at(-1), Number(price.priceExact), price.timestamp, INTERVALS[this.view.interval].ms);
    if (!bar) return;
    if (this.bars.at(-1).time === bar.time) this.bars[this.bars.length - 1] = bar;
    else this.bars.push(bar);
    this.chart?.update(bar);
    this.list();
  }

  /** Take the colours of the scheme in force. */
  paint() {
    this.chart?.paint();
  }

  async load(view) {
    clearTimeout(this.timer);
    const limit = INTERVALS[view.interval].periods[view.period];
    try {
      const reply = await invoke("ChartsService", "getOHLCV", { pair: view.pair, interval: view.interval, limit });
      this.kept.set(view.key, { bars: bars(reply), at: Date.now() });
      if (view !== this.view) return;
      this.show(this.kept.get(view.key).bars, !this.bars.length);
      this.later(FRESH_MS);
    } catch (error) {
      if (view === this.view) this.failed(error);
    }
  }

  later(ms) {
    this.timer = setTimeout(() => this.load(this.view), ms);
  }

  failed(error) {
    if (!this.bars.length) this.say(reason(error), []); // else what is shown stays: the page says when it is old
    this.later(RETRY_MS);
  }

  show(found, whole) {
    this.bars = [...found];
    if (!found.length) return this.say("No candles yet: the first appears with the first trades.", []);
    if (whole) this.chart?.show([...found]);
    else this.chart?.refresh([...found]);
    this.say(this.chart ? "" : MISSING, found);
    const newest = this.newest.get(this.view.pair);
    if (newest) this.move(newest); // the candles may be up to a minute old
  }

  say(note, found) {
    const { pair, interval, period } = this.view;
    if (!found.length) {
      this.bars = [];
      this.chart?.clear();
    }
    this.places.note.textContent = note;
    this.places.note.hidden = !note;
    this.places.chart.ariaLabel = found.length
      ? summary(pairName(pair), INTERVALS[interval].label, period, found)
      : "No candles to show";
    this.list();
  }

  list() {
    if (!this.places.details.open) return;
    const rows = this.bars.slice(-ROWS).reverse().map((bar) => {
      const row = document.createElement("tr");
      const start = new Date(bar.time * 1000).toISOString().slice(0, 16).replace("T", " ");
      const cells = [start, ...[bar.open, bar.high, bar.low, bar.close].map(shortPrice), amount(bar.volume)];
      row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
      return row;
    });
    this.places.rows.replaceChildren(...rows);
  }
}

function reason(error) {
  if (!(error instanceof Refused)) return "No candles: the server does not answer. Trying again…";
  if (error.code === "CHART_2001") return "No candles yet: the first appears with the first trades.";
  if (error.code === "429") return "Asked too often: the candles come in a moment.";
  return `No candles: ${error.message}`;
}
