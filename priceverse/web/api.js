// Calls to the server: one, or several at once. What it refuses becomes a Refused with its code.

const PATIENCE_MS = 10_000;

/** The server's answer to a call that it did not carry out; `code` as in its documentation, `retryS` when it said when. */
export class Refused extends Error {
  constructor(error, retryS = 0) {
    super(error.message);
    this.code = error.code;
    this.retryS = retryS;
  }
}

/** Read a JSON document. */
export async function read(path) {
  const reply = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
  return reply.json();
}

/** Call one method and return its data. */
export async function invoke(service, method, input) {
  const reply = await post("/netron/invoke", { service, method, ...(input && { input }) });
  return opened(await reply.json(), Number(reply.headers.get("Retry-After")));
}

/** Call one method with many inputs in one request; return data or a Refused for each, in order. */
export async function invokeEach(service, method, inputs) {
  const requests = inputs.map((input, i) => ({ id: String(i), service, method, input }));
  const reply = await (await post("/netron/batch", { requests })).json();
  if (!reply.responses) return inputs.map(() => new Refused(reply.error));
  return reply.responses.map((each) => (each.success ? each.data : new Refused(each.error)));
}

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  const signal = AbortSignal.timeout(PATIENCE_MS);
  return fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

function opened(reply, retryS) {
  if (reply.success) return reply.data;
  throw new Refused(reply.error, retryS);
}
