/** How fast bytes go out, over the last seconds. */

const WINDOW_MS = 8000;

export class Rate {
  constructor() {
    /** @type {{at: number, bytes: number}[]} */
    this.samples = [];
  }

  /**
   * Take note of how much there is.
   *
   * @param {number} bytes Bytes that have been sent so far. Where it is less than before, it begins anew.
   * @param {number} [at] The moment, in milliseconds.
   */
  note(bytes, at = performance.now()) {
    const last = this.samples[this.samples.length - 1];
    if (last && bytes < last.bytes) this.samples = [];
    this.samples.push({ at, bytes });
    while (this.samples.length > 2 && this.samples[1].at < at - WINDOW_MS) this.samples.shift();
  }

  /** Bytes per second; 0 as long as that cannot be told. */
  get perSecond() {
    const first = this.samples[0];
    const last = this.samples[this.samples.length - 1];
    return first && last.at - first.at > 500 ? ((last.bytes - first.bytes) * 1000) / (last.at - first.at) : 0;
  }

  /** Forget all, as after a pause. */
  reset() {
    this.samples = [];
  }
}
