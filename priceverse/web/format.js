// Numbers and times as people read them. Prices are formatted from their exact decimal text, never from a double.

const grouped = new Intl.NumberFormat("en");
const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });
const percent = new Intl.NumberFormat("en", {
  style: "percent",
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
  signDisplay: "exceptZero",
});
const offset = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: "exceptZero" });
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
  return [grouped.format(BigInt(whole)) + (decimals ? `.${decimals}` : ""), fraction.slice(shown)];
}

/** A price in a table: cut where more digits say nothing. */
export function shortPrice(value) {
  const digits = value >= 1000 ? 2 : value >= 1 ? 4 : 6;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** How long ago, in the largest unit that says enough. */
export function ago(ms) {
  return `${lasting(ms)} ago`;
}

/** How long, in the largest unit that says enough. */
export function lasting(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** The relative change between two numbers, signed. */
export function change(from, to) {
  return from ? percent.format(to / from - 1) : "–";
}

/** A share, 0 to 1. */
export function share(value) {
  return `${(value * 100).toFixed(1)} %`;
}

/** Basis points of dispersion. */
export function spread(bps) {
  return bps === undefined ? "unknown" : `±${bps.toFixed(1)} bp`;
}

/** How far a price is from another, in basis points. */
export function basisPoints(value, from) {
  return `${offset.format((value / from - 1) * 10_000)} bp`;
}

/** A traded amount. */
export function amount(value) {
  return plain.format(value);
}

/** How many sources. */
export function counted(sources) {
  return sources.length === 1 ? "1 source" : `${sources.length} sources`;
}
