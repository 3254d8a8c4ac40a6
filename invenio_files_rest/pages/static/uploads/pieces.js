/** How many bytes of an upload a request carries. */

const MIB = 1024 ** 2;
const FIRST = 8 * MIB;
const LARGEST = 64 * MIB;
const SMALLEST = MIB / 4;
const SHORT_MS = 5000;
const LONG_MS = 30000;

/**
 * The size of the next piece. Each piece costs a round trip and waits for the server's disk, so that they grow where
 * they are over in a moment. They have a limit because proxies take bodies of some 100 MB at most, or keep them whole
 * before they pass them on, so that of one that breaks nothing comes. The server itself keeps what came of any piece.
 */
export class PieceSize {
  constructor() {
    this.bytes = FIRST;
    this.most = LARGEST;
  }

  /**
   * Learn from a piece that was taken.
   *
   * @param {number} bytes Its size.
   * @param {number} milliseconds How long it took.
   */
  took(bytes, milliseconds) {
    if (bytes < this.bytes) return;
    if (milliseconds < SHORT_MS) this.bytes = Math.min(this.most, 2 * this.bytes);
    else if (milliseconds > LONG_MS) this.bytes = Math.max(SMALLEST, this.bytes / 2);
  }

  /**
   * Learn that something between here and the server has found a piece too large.
   *
   * @returns {boolean} Whether smaller ones may do.
   */
  refused() {
    if (this.bytes <= SMALLEST) return false;
    this.bytes = this.most = Math.max(SMALLEST, this.bytes / 4);
    return true;
  }
}
