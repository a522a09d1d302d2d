// Calls to the server, one or several in a request. What it refuses becomes a Refused with its code.
//
// All of them go as batches: a refusal within one is an answer like any other, not a failed request in the console.

const PATIENCE_MS = 10_000;

/** The server's answer to a call that it did not carry out; `code` as in its documentation. */
export class Refused extends Error {
  constructor({ code, message }) {
    super(message);
    this.code = code;
  }
}

/** Fetch for so long; each browser has words of its own for a server that does not answer. */
async function ask(path, options = {}) {
  try {
    return await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    throw new Error("the server does not answer");
  }
}

/** Read a JSON document. */
export async function read(path) {
  const reply = await ask(path);
  if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
  return reply.json();
}

/** Call one method and return its data. */
export async function invoke(service, method, input = {}) {
  const [answer] = await invokeEach(service, method, [input]);
  if (answer instanceof Refused) throw answer;
  return answer;
}

/** Call one method with many inputs in one request; return data or a Refused for each, in order. */
export async function invokeEach(service, method, inputs) {
  const requests = inputs.map((input, i) => ({ id: String(i), service, method, input }));
  const headers = { "Content-Type": "application/json" };
  const reply = await ask("/netron/batch", { method: "POST", headers, body: JSON.stringify({ requests }) });
  const { responses, error } = await reply.json();
  if (!responses) throw new Refused(error);
  return responses.map((each) => (each.success ? each.data : new Refused(each.error)));
}
