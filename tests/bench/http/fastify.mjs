// The same JSON work in Fastify: both schemas compiled, the price from memory, the same headers.
import Fastify from "fastify";

const known = {
  "btc-usd": {
    pair: "btc-usd", price: 64000.12345678, timestamp: 1767225599900, priceExact: "64000.12345678",
    asOf: "2025-12-31T23:59:59.900Z", sources: ["binance", "kraken"], confidence: 1.23,
  },
};
const text = { type: "string" };
const number = { type: "number" };
const integer = { type: "integer" };
const body = {
  type: "object", required: ["service", "method"],
  properties: {
    id: { type: "string", maxLength: 128 }, version: { type: "string", maxLength: 16 }, timestamp: number,
    service: text, method: text,
    input: { type: "object", required: ["pair"], additionalProperties: false, properties: { pair: text } },
  },
};
const price = {
  type: "object",
  properties: {
    pair: text, price: number, timestamp: integer, priceExact: text, asOf: text,
    sources: { type: "array", items: text }, confidence: number,
  },
};
const hints = {
  type: "object",
  properties: {
    metrics: { type: "object", properties: { serverTime: number } },
    cache: { type: "object", properties: { maxAge: integer } },
  },
};
const reply = {
  type: "object",
  properties: { id: text, version: text, timestamp: integer, success: { type: "boolean" }, data: price, hints },
};

const app = Fastify({ logger: false });
app.post("/netron/invoke", { schema: { body, response: { 200: reply } } }, (request, response) => {
  const began = performance.now();
  const call = request.body;
  const data = call.service === "PricesService@2.0.0" && call.method === "getPrice" && known[call.input.pair];
  if (!data) {
    response.code(404).send({ id: call.id, success: false });
    return;
  }
  response.header("X-Request-ID", call.id).header("X-Netron-Version", call.version);
  response.header("Cache-Control", "max-age=5").header("X-Content-Type-Options", "nosniff");
  response.send({
    id: call.id, version: call.version, timestamp: Date.now(), success: true, data,
    hints: { metrics: { serverTime: performance.now() - began }, cache: { maxAge: 5000 } },
  });
});
await app.listen({ port: Number(process.argv[2]), host: "127.0.0.1" });
