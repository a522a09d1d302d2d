// The original design of the aggregator, one await per command as its document has it, run by aggregate.py beside ours:
// per trade a ZADD and an XACK; per ten seconds of trades a ZRANGEBYSCORE over the window. Told: socket, password, stream,
// number of trades. Prints trades per second. Entries come as lists here, which the document takes for objects.
import Redis from 'ioredis';

const [path, password, stream, count] = process.argv.slice(2);
const redis = new Redis({ path, password });
const [group, buffer, WINDOW, EVERY] = ['seed-node', 'buffer:seed-node', 30_000, 10_000];

async function calculateVWAP(now) {
  const trades = await redis.zrangebyscore(buffer, now - WINDOW, now);
  let totalPriceVolume = 0;
  let totalVolume = 0;
  const sources = new Set();
  for (const text of trades) {
    const trade = JSON.parse(text);
    totalPriceVolume += trade.price * trade.volume;
    totalVolume += trade.volume;
    sources.add(trade.exchange);
  }
  await redis.zremrangebyscore(buffer, 0, now - WINDOW);
  return totalPriceVolume / totalVolume;
}

await redis.xgroup('CREATE', stream, group, '0');
let [taken, next] = [0, 0];
const began = process.hrtime.bigint();
while (taken < Number(count)) {
  const messages = await redis.xreadgroup('GROUP', group, 'seed', 'COUNT', 100, 'STREAMS', stream, '>');
  for (const [id, flat] of messages[0][1]) {
    const fields = {};
    for (let i = 0; i < flat.length; i += 2) fields[flat[i]] = flat[i + 1];
    const trade = {
      price: parseFloat(fields.price),
      volume: parseFloat(fields.volume),
      timestamp: parseInt(fields.timestamp),
      exchange: fields.exchange,
    };
    await redis.zadd(buffer, trade.timestamp, JSON.stringify(trade));
    await redis.xack(stream, group, id);
    taken += 1;
    if (trade.timestamp >= next) {
      next = trade.timestamp + EVERY;
      await calculateVWAP(trade.timestamp);
    }
  }
}
console.log(taken / (Number(process.hrtime.bigint() - began) / 1e9));
redis.disconnect();
