/** Whether the server can be reached: all uploads wait together while it is away, and go on together. */

const FIRST_MS = 1000;
const LONGEST_MS = 30000;

const AWAY = new Set([0, 429, 502, 503, 504]);

/**
 * Tell whether a status says that the server is away, or busy: 0 is that of no answer.
 *
 * @param {number} status
 */
export function isAway(status) {
  return AWAY.has(status);
}

export class Link {
  constructor() {
    /** When to try again, in milliseconds since 1970; 0 where nothing is to be waited for. */
    this.until = 0;
    /** Number of failures that it has come to: those of requests that were begun before the last one count once. */
    this.epoch = 0;
    this.failures = 0;
    /** @type {Set<() => void>} */
    this.waiting = new Set();
    this.onchange = () => {};
    this.timer = 0;
    addEventListener("online", () => this.hurry());
  }

  /** Whether uploads wait for the server. */
  get isAway() {
    return this.until > 0;
  }

  /**
   * Wait until the server may be asked.
   *
   * @param {AbortSignal} signal
   * @returns {Promise<number>} The epoch, to be told of a failure.
   */
  async ready(signal) {
    signal.throwIfAborted();
    if (!navigator.onLine && !this.isAway) this.failed(this.epoch);
    while (this.isWaiting) {
      await new Promise((resolve, reject) => {
        const stop = () => {
          this.waiting.delete(go);
          reject(signal.reason);
        };
        const go = () => {
          signal.removeEventListener("abort", stop);
          resolve(undefined);
        };
        this.waiting.add(go);
        signal.addEventListener("abort", stop, { once: true });
      });
    }
    return this.epoch;
  }

  get isWaiting() {
    return this.until > Date.now();
  }

  /**
   * Learn that a request got no answer, or was told to come later.
   *
   * @param {number} epoch What `ready` returned before the request.
   * @param {number | null} [seconds] When to come again, where the server has said it.
   */
  failed(epoch, seconds = null) {
    if (epoch !== this.epoch) return;
    this.epoch += 1;
    this.failures += 1;
    const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** (this.failures - 1));
    // Pages that have lost the same server do not all come back at once.
    const pause = seconds === null ? longest * (0.5 + Math.random() / 2) : Math.max(1, seconds) * 1000;
    this.until = Date.now() + pause;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.hurry(), pause);
    this.onchange();
  }

  /** Learn that the server has answered. */
  worked() {
    if (this.failures === 0 && !this.isAway) return;
    this.failures = 0;
    this.until = 0;
    this.release();
    this.onchange();
  }

  /** Try again now. */
  hurry() {
    if (!this.isAway) return;
    clearTimeout(this.timer);
    // It is away until it has answered, but nobody waits any more.
    this.until = 1;
    this.release();
  }

  release() {
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const go of waiting) go();
  }
}
