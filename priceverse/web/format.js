// Numbers and times as people read them. Prices are formatted from their exact decimal text, never from a double.

const grouped = new Intl.NumberFormat();
const separator = new Intl.NumberFormat().formatToParts(1.5).find((part) => part.type === "decimal").value;
const percent = new Intl.NumberFormat(undefined, {
  style: "percent",
  minimumFractionDigits: 3,
  maximumFractionDigits: 3,
  signDisplay: "exceptZero",
});
const SIGNS = { usd: "$", rub: "₽" };
const NAMES = { okx: "OKX", kucoin: "KuCoin", cbr: "Bank of Russia" };

/** "btc-usd" → "BTC / USD". */
export function pairName(pair) {
  return pair.toUpperCase().replace("-", " / ");
}

/** "kraken" → "Kraken". */
export function venueName(venue) {
  return NAMES[venue] ?? venue[0].toUpperCase() + venue.slice(1);
}

/** The sign of a pair's quote currency, if it has one. */
export function currencySign(pair) {
  return SIGNS[pair.split("-")[1]] ?? "";
}

/** "64000.12345678" → ["64,000.12", "345678"]: every digit is there, those of little weight apart. */
export function priceParts(exact) {
  const [whole, fraction = ""] = exact.split(".");
  const shown = BigInt(whole) === 0n ? 4 : 2;
  const decimals = fraction.slice(0, shown);
  return [grouped.format(BigInt(whole)) + (decimals ? separator + decimals : ""), fraction.slice(shown)];
}

/** How long ago, in the largest unit that says enough. */
export function ago(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s ago`;
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

/** The relative change between two numbers, signed. */
export function change(from, to) {
  return from ? percent.format(to / from - 1) : "–";
}

/** Basis points of dispersion. */
export function spread(bps) {
  return bps === undefined ? "unknown" : `${bps.toFixed(1)} bp`;
}
