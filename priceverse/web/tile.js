// One pair in the list: its newest price, where it was in the last day, and a button that chooses it.

import { ago, change, counted, currencySign, pairName, priceParts, spread } from "./format.js";

const POINTS = 180;
const ENOUGH = 3;
const WIDTH = 100;
const HEIGHT = 24;
const PAD = 2;
const BADGES = { stale: "Stale", degraded: "Degraded" };

/** A tile at the end of `list`, from the template. */
export class Tile {
  constructor(list, template, pair, onChosen) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.parts = partsOf(this.element);
    this.parts.pair.textContent = pairName(pair);
    this.parts.pair.addEventListener("click", () => onChosen(pair));
    this.element.dataset.pair = pair;
    this.price = null;
    this.past = []; // closes of the last day, if they are known
    this.seen = [];
    this.dayAgo = null;
    list.append(this.element);
  }

  /** Mark it as the chosen one, or not. */
  choose(chosen) {
    this.parts.pair.ariaPressed = String(chosen);
  }

  /** Show a price as the stream sent it. */
  show(price) {
    this.price = price;
    this.value = Number(price.priceExact); // for drawing only
    this.seen.push(this.value);
    if (this.seen.length > POINTS) this.seen.shift();
    showPrice(this.parts, price);
    this.showChange();
    this.draw();
  }

  /** Learn the price of a day ago; null: unknown. */
  since(dayAgo) {
    this.dayAgo = dayAgo;
    this.showChange();
    this.draw();
  }

  /** The change since a day ago, as text and direction. */
  get change() {
    if (this.dayAgo === null || !this.price) return { text: "–", difference: 0 };
    return { text: change(this.dayAgo, this.value), difference: this.value - this.dayAgo };
  }

  showChange() {
    showMove(this.parts.change, this.change);
  }

  /** Say how old the price is, and whether that is too old. */
  tick(nowMs, maxAgeMs) {
    if (!this.price) return;
    const ageMs = nowMs - this.price.timestamp;
    this.age = ago(ageMs);
    this.parts.age.textContent = this.age;
    this.state = this.price.stale || ageMs > maxAgeMs ? "stale" : this.price.degraded ? "degraded" : "fresh";
    if (this.element.dataset.state === this.state) return;
    this.element.dataset.state = this.state;
    this.parts.badge.hidden = this.state === "fresh";
    this.parts.badge.textContent = BADGES[this.state] ?? "";
  }

  draw() {
    const points = this.past.length >= ENOUGH ? [...this.past, this.seen.at(-1) ?? this.past.at(-1)] : this.seen;
    if (!points.length) return;
    const low = Math.min(...points);
    const range = Math.max(...points) - low;
    const step = WIDTH / Math.max(1, points.length - 1);
    const y = (value) => (range ? HEIGHT - PAD - ((value - low) / range) * (HEIGHT - 2 * PAD) : HEIGHT / 2).toFixed(2);
    const drawn = points.map((value, i) => `${(i * step).toFixed(2)},${y(value)}`);
    if (drawn.length === 1) drawn.push(`${WIDTH},${y(points[0])}`);
    this.parts.line.setAttribute("d", `M${drawn.join("L")}`);
    this.parts.area.setAttribute("d", `M0,${HEIGHT}L${drawn.join("L")}L${WIDTH},${HEIGHT}Z`);
  }
}

/** The named parts of an element made from a template. */
export function partsOf(element) {
  const nodes = [...element.querySelectorAll("[data-part]")];
  return Object.fromEntries(nodes.map((node) => [node.dataset.part, node]));
}

/** Fill the parts that tile and detail have in common. */
export function showPrice(parts, price) {
  const [whole, rest] = priceParts(price.priceExact);
  parts.sign.textContent = currencySign(price.pair);
  parts.whole.textContent = whole;
  parts.rest.textContent = rest;
  parts.age.dateTime = price.asOf;
  parts.confidence.textContent = spread(price.confidence);
  parts.count.textContent = counted(price.sources);
}

/** Show a change and its direction; the sign says it too, for those who see no colours. */
export function showMove(element, { text, difference }) {
  element.dataset.move = difference > 0 ? "up" : difference < 0 ? "down" : "none";
  element.textContent = text;
}
