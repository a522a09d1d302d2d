// One pair: its newest price, and what this page has seen of it.

import { ago, change, currencySign, pairName, priceParts, spread, venueName } from "./format.js";

const POINTS = 180;
const WIDTH = 100;
const HEIGHT = 24;
const PAD = 2;

/** A card at the end of `list`, from the template. */
export class Card {
  constructor(list, template, pair) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.parts = {};
    for (const node of this.element.querySelectorAll("[data-part]")) this.parts[node.dataset.part] = node;
    this.parts.pair.textContent = pairName(pair);
    this.seen = [];
    this.price = null;
    list.append(this.element);
  }

  /** Show a price as the stream sent it. */
  show(price) {
    const value = Number(price.priceExact); // for drawing only
    const before = this.seen.at(-1);
    this.price = price;
    this.seen.push(value);
    if (this.seen.length > POINTS) this.seen.splice(1, 1); // the first stays: the change is since then
    const [whole, rest] = priceParts(price.priceExact);
    this.parts.sign.textContent = currencySign(price.pair);
    this.parts.whole.textContent = whole;
    this.parts.rest.textContent = rest;
    this.parts.age.dateTime = price.asOf;
    this.parts.confidence.textContent = spread(price.confidence);
    this.parts.count.textContent = price.sources.length === 1 ? "1 source" : `${price.sources.length} sources`;
    this.parts.sources.textContent = price.sources.map(venueName).join(", ");
    if (before !== undefined && before !== value) move(this.parts.move, value - before, value > before ? "▲" : "▼");
    move(this.parts.change, value - this.seen[0], change(this.seen[0], value));
    this.draw();
  }

  /** Say how old the price is, and whether that is too old. */
  tick(nowMs, maxAgeMs) {
    if (!this.price) return;
    const ageMs = nowMs - this.price.timestamp;
    this.parts.age.textContent = ago(ageMs);
    const state = this.price.stale || ageMs > maxAgeMs ? "stale" : this.price.degraded ? "degraded" : "fresh";
    if (this.element.dataset.state === state) return;
    this.element.dataset.state = state;
    this.parts.badge.hidden = state === "fresh";
    this.parts.badge.textContent = state === "stale" ? "Stale" : "Degraded";
  }

  draw() {
    const low = Math.min(...this.seen);
    const range = Math.max(...this.seen) - low;
    const step = WIDTH / Math.max(1, this.seen.length - 1);
    const y = (value) => (range ? HEIGHT - PAD - ((value - low) / range) * (HEIGHT - 2 * PAD) : HEIGHT / 2).toFixed(2);
    const points = this.seen.map((value, i) => `${(i * step).toFixed(2)},${y(value)}`);
    if (points.length === 1) points.push(`${WIDTH},${y(this.seen[0])}`);
    this.parts.line.setAttribute("d", `M${points.join("L")}`);
    this.parts.area.setAttribute("d", `M0,${HEIGHT}L${points.join("L")}L${WIDTH},${HEIGHT}Z`);
  }
}

function move(element, difference, text) {
  element.dataset.move = difference > 0 ? "up" : difference < 0 ? "down" : "none";
  element.textContent = text;
}
