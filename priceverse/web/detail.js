// The chosen pair in large: the same price as its tile shows, and who it comes from.

import { pairName, venueName } from "./format.js";
import { partsOf, showMove, showPrice } from "./tile.js";

export class Detail {
  constructor(element, title) {
    this.element = element;
    this.title = title;
    this.parts = partsOf(element);
  }

  /** Show a pair's tile in full. */
  show(pair, tile) {
    this.title.textContent = pairName(pair);
    if (!tile.price) {
      this.element.dataset.state = "waiting";
      this.parts.sign.textContent = this.parts.rest.textContent = "";
      this.parts.whole.textContent = "–";
      this.parts.age.textContent = "no price yet";
      this.parts.confidence.textContent = this.parts.count.textContent = this.parts.change.textContent = "–";
      return;
    }
    showPrice(this.parts, tile.price);
    this.parts.count.textContent = tile.price.sources.map(venueName).join(", ");
    this.tick(tile);
  }

  /** Follow the tile's age, state and change. */
  tick(tile) {
    if (!tile.price) return;
    this.parts.age.textContent = tile.age ?? "";
    this.element.dataset.state = tile.state ?? "waiting";
    showMove(this.parts.change, tile.change);
  }
}
