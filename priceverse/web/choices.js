// The choice of candles and of the period they are looked at over: radio buttons, so that arrow keys and readers know them.

import { INTERVALS } from "./candles.js";

export class Choices {
  constructor(intervals, periods, template, onChosen) {
    this.periods = periods;
    this.template = template;
    this.onChosen = onChosen;
    this.interval = "1hour";
    for (const [interval, { label }] of Object.entries(INTERVALS)) {
      this.add(intervals, "interval", interval, label, interval === this.interval);
    }
    this.offer();
    intervals.addEventListener("change", (event) => {
      this.interval = event.target.value;
      this.offer();
      this.onChosen();
    });
    periods.addEventListener("change", (event) => {
      this.period = event.target.value;
      this.onChosen();
    });
  }

  offer() {
    const { periods, usual } = INTERVALS[this.interval];
    this.period = this.period in periods ? this.period : usual;
    for (const label of this.periods.querySelectorAll("label")) label.remove();
    for (const period of Object.keys(periods)) {
      this.add(this.periods, "period", period, period, period === this.period);
    }
  }

  add(fieldset, name, value, label, checked) {
    const element = this.template.content.firstElementChild.cloneNode(true);
    Object.assign(element.querySelector("input"), { name, value, checked });
    element.querySelector("span").textContent = label;
    fieldset.append(element);
  }
}
