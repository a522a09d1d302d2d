// The door to lightweight-charts: bars in, a drawn chart out. Colours come from the style sheet, so they follow the scheme.

import { amount, shortPrice } from "./format.js";

const library = await import("./lightweight-charts.js");
const VOLUME_SHARE = 0.82;
const ROOM = 3;

/** Whether the library was there when the server was set up. */
export const available = "createChart" in library;

export class Chart {
  constructor(box, legend, palette) {
    this.legend = legend;
    this.palette = palette;
    this.bars = [];
    this.chart = library.createChart(box, {
      autoSize: true,
      layout: { attributionLogo: false, fontFamily: getComputedStyle(box).fontFamily }, // the credit is below it, as text
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.12, bottom: 0.24 } },
      timeScale: { borderVisible: false, timeVisible: true, rightOffset: ROOM, lockVisibleTimeRangeOnResize: true },
      localization: { priceFormatter: shortPrice },
      crosshair: { mode: library.CrosshairMode.Normal },
      handleScroll: { vertTouchDrag: false },
    });
    this.candles = this.chart.addSeries(library.CandlestickSeries, { borderVisible: false });
    this.volumes = this.chart.addSeries(library.HistogramSeries, { priceScaleId: "volume", lastValueVisible: false });
    this.volumes.applyOptions({ priceLineVisible: false });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: VOLUME_SHARE, bottom: 0 } });
    this.chart.subscribeCrosshairMove((at) => this.tell(at.seriesData.get(this.candles) && at.time));
    this.paint();
  }

  /** Show these bars, oldest first, all of them in view. */
  show(bars) {
    this.bars = bars;
    this.candles.setData(bars);
    this.volumes.setData(bars.map((bar) => this.volume(bar)));
    this.chart.timeScale().fitContent();
    this.tell();
  }

  /** Replace the bars without moving what is looked at. */
  refresh(bars) {
    this.bars = bars;
    this.candles.setData(bars);
    this.volumes.setData(bars.map((bar) => this.volume(bar)));
    this.tell();
  }

  /** Show that the last bar changed, or that a new one began. */
  update(bar) {
    if (this.bars.at(-1)?.time === bar.time) this.bars[this.bars.length - 1] = bar;
    else this.bars.push(bar);
    this.candles.update(bar);
    this.volumes.update(this.volume(bar));
    this.tell();
  }

  /** Show nothing. */
  clear() {
    this.show([]);
  }

  /** Take the colours of the scheme in force. */
  paint() {
    const { text, line, up, down } = this.palette();
    this.chart.applyOptions({
      layout: { textColor: text, background: { color: "transparent" } },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
    });
    this.candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    this.colours = { up: faint(up), down: faint(down) };
    this.volumes.setData(this.bars.map((bar) => this.volume(bar)));
  }

  volume(bar) {
    return { time: bar.time, value: bar.volume, color: bar.close < bar.open ? this.colours.down : this.colours.up };
  }

  tell(time) {
    const bar = this.bars.find((each) => each.time === time) ?? this.bars.at(-1);
    this.legend.textContent = bar
      ? `O ${shortPrice(bar.open)}  H ${shortPrice(bar.high)}  L ${shortPrice(bar.low)}  C ${shortPrice(bar.close)}  V ${amount(bar.volume)}`
      : "";
  }
}

function faint(colour) {
  return colour.replace(/^rgb\(([^)]*)\)$/, "rgba($1, 0.28)");
}
