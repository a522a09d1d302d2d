// The stream of prices: the browser's EventSource, which reconnects by itself, and what it does not do by itself.

const RETRY_MS = 2000;
const SILENCE_MS = 30_000;

/** Follow the prices; `onState` hears "up", "connecting" or "down". */
export class Stream {
  constructor(path, onPrice, onState) {
    this.path = path;
    this.onPrice = onPrice;
    this.onState = onState;
    this.failures = 0;
    this.open();
  }

  open() {
    this.source?.close();
    clearTimeout(this.retry);
    this.heardAt = Date.now();
    this.source = new EventSource(this.path);
    this.source.onopen = () => {
      this.failures = 0;
      this.onState("up");
    };
    this.source.onmessage = (event) => {
      this.heardAt = Date.now();
      this.onPrice(JSON.parse(event.data));
    };
    this.source.onerror = () => this.failed();
  }

  failed() {
    const closed = this.source.readyState === EventSource.CLOSED; // an answer other than 200: it gives up, we do not
    this.failures += 1;
    this.onState(this.failures > 1 ? "down" : "connecting"); // one may be a handler that was replaced
    if (closed) this.retry = setTimeout(() => this.open(), RETRY_MS);
  }

  /** The server answers: if nothing was heard here for long, the connection is dead without knowing it. */
  check() {
    if (this.source.readyState === EventSource.OPEN && Date.now() - this.heardAt > SILENCE_MS) this.open();
  }
}
