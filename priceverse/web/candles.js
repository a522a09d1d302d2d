// Candles as the chart wants them, and how a live price changes the open one. Pure: no page, no network.

/** Which candles there are, and over how long they can be looked at: `count` candles make the period. */
export const INTERVALS = {
  "5min": { label: "5 min", ms: 300_000, periods: { "6 h": 72, "24 h": 288, "3 d": 864 }, usual: "24 h" },
  "1hour": { label: "1 h", ms: 3_600_000, periods: { "24 h": 24, "7 d": 168, "30 d": 720 }, usual: "7 d" },
  "1day": { label: "1 day", ms: 86_400_000, periods: { "30 d": 30, "90 d": 90, "1 y": 365 }, usual: "90 d" },
};

/** The candles of a reply (newest first) as bars (oldest first); `time` is in seconds, as the chart counts. */
export function bars(reply) {
  return reply.candles
    .map(({ timestamp, open, high, low, close, volume }) => {
      return { time: Date.parse(timestamp) / 1000, open, high, low, close, volume };
    })
    .reverse();
}

/** The bar that a price at `timeMs` makes of the last one: that one changed, or the next one begun; null when it is too late. */
export function moved(last, value, timeMs, intervalMs) {
  const time = (Math.floor(timeMs / intervalMs) * intervalMs) / 1000;
  if (!last || time > last.time) return { time, open: value, high: value, low: value, close: value, volume: 0 };
  if (time < last.time) return null;
  return { ...last, high: Math.max(last.high, value), low: Math.min(last.low, value), close: value };
}

/** What a period came to, in one line for those who do not see the chart. */
export function summary(name, label, period, shown) {
  const high = Math.max(...shown.map((bar) => bar.high));
  const low = Math.min(...shown.map((bar) => bar.low));
  const [first, last] = [shown[0], shown.at(-1)];
  return `${name}, candles of ${label}, ${period}: from ${first.open} to ${last.close}, highest ${high}, lowest ${low}`;
}
