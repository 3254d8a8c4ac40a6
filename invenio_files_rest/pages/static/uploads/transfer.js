/** One file on its way: in one request where it is small, else in pieces that go on where they broke. */

import { ApiError, request } from "../api.js";
import { say } from "../messages.js";
import { isAway } from "./link.js";
import { ElsewhereError, holding } from "./lock.js";
import { pathOf } from "./names.js";
import { PieceSize } from "./pieces.js";
import { BodyTooLarge, send } from "./send.js";
import { append, ask, begin, discover, end } from "./tus.js";

/** Files up to this many bytes go in one request: what a broken connection costs is less than more round trips. */
export const SMALL = 4 * 1024 ** 2;

/** Answers after which another attempt may do, and how many there are. */
const ATTEMPTS = new Map([[404, 3], [408, 5], [409, 10], [410, 3], [423, 30], [500, 4]]);

/**
 * @typedef {"checking" | "asking" | "waiting" | "sending" | "paused" | "failed" | "done" | "skipped"} State
 *
 * @typedef {object} Place Where files are uploaded to, and what all uploads share.
 * @property {string} bucket URL of the bucket.
 * @property {boolean} hasTus Whether it takes uploads of tus.
 * @property {boolean} hasConditions Whether it takes conditions: to who may not read files they would tell what is there.
 * @property {import("./link.js").Link} link
 * @property {import("./memory.js").Memory} memory
 *
 * @typedef {object} Question
 * @property {"exists" | "appeared" | "other"} kind Whether the key exists, exists all of a sudden, or another file of
 *   that name has been uploaded in part.
 * @property {import("./existing.js").Head | null} head What the key has.
 * @property {import("./memory.js").Remembered | null} remembered The upload of the other file.
 */

/** How long an answer is waited for that tells the URL of an upload, which would else take room and be forgotten. */
const PATIENCE_MS = 20_000;

/**
 * @param {AbortSignal} signal
 * @returns {AbortSignal} One that aborts some time after it.
 */
function later(signal) {
  const control = new AbortController();
  signal.addEventListener("abort", () => setTimeout(() => control.abort(), PATIENCE_MS), { once: true });
  return control.signal;
}

export class Transfer {
  /**
   * @param {number} id
   * @param {string} key
   * @param {File | null} file `null` where it cannot be read.
   */
  constructor(id, key, file) {
    this.id = id;
    this.key = key;
    /** The key that it would have if nothing else had it. */
    this.original = key;
    this.file = file;
    this.size = file?.size ?? 0;
    this.sent = 0;
    /** @type {State} */
    this.state = "checking";
    /** What to tell the person where it has failed. */
    this.problem = "";
    /** Whether another attempt would come to the same. */
    this.isFinal = false;
    /** @type {Question | null} */
    this.question = null;
    /** @type {Record<string, string>} */
    this.conditions = { "If-None-Match": "*" };
    /** Whether another name is to be found where the key exists. */
    this.isBeside = false;
    /** URL of the upload in pieces. */
    this.url = "";
    /** Whether the person has to log in first. */
    this.isLoggedOut = false;
    this.pieces = new PieceSize();
    this.isWhole = this.size <= SMALL;
    this.isUnanswered = false;
    /** How far it has come as the server says, in bytes. */
    this.reached = 0;
    this.attempts = 0;
    this.control = new AbortController();
  }

  /** Whether nothing more will be done with it unless somebody wants that. */
  get isOver() {
    return this.state === "done" || this.state === "failed" || this.state === "skipped";
  }

  /**
   * Send the file, however long that takes. The state tells what became of it.
   *
   * @param {Place} place
   */
  async run(place) {
    const { signal } = (this.control = new AbortController());
    this.state = "sending";
    this.problem = "";
    this.attempts = 0;
    while (this.state === "sending" && !signal.aborted) {
      let epoch = place.link.epoch;
      try {
        epoch = await place.link.ready(signal);
        if (this.isWhole || !place.hasTus) await this.#sendWhole(place, signal);
        else await this.#sendPieces(place, signal);
        this.#finish();
      } catch (error) {
        if (signal.aborted) return;
        await this.#recover(error, epoch, place).catch((other) => this.fail(String(other.message)));
      }
    }
  }

  /**
   * Stop sending.
   *
   * @param {State} state What it is then.
   */
  stop(state) {
    this.state = state;
    this.control.abort();
  }

  /**
   * @param {string} problem What to tell the person.
   * @param {boolean} [isFinal] Whether another attempt would come to the same.
   */
  fail(problem, isFinal = false) {
    if (this.state !== "checking" && this.state !== "sending") return;
    this.problem = problem;
    this.isFinal = isFinal;
    this.stop("failed");
  }

  /**
   * Give up what has been sent.
   *
   * @param {Place} place
   */
  async discard(place) {
    const { url } = this;
    this.url = "";
    if (!url) return;
    // What cannot be ended now stays in mind, and is shown when the page is opened the next time.
    await end(url).catch((error) => {
      if (![404, 410].includes(error.status)) throw error;
    });
    place.memory.forget(url);
  }

  #finish() {
    this.sent = this.size;
    this.state = "done";
    this.file = null;
  }

  /**
   * @param {Place} place
   * @param {AbortSignal} signal
   */
  async #sendWhole(place, signal) {
    const body = /** @type {File} */ (this.file);
    const headers = { ...this.conditions, "Content-Type": "application/octet-stream" };
    const onProgress = (/** @type {number} */ bytes) => (this.sent = Math.min(bytes, this.size));
    await send("PUT", `${place.bucket}/${pathOf(this.key)}`, { headers, body, signal, onProgress });
    place.link.worked();
  }

  /**
   * @param {Place} place
   * @param {AbortSignal} signal
   */
  async #sendPieces(place, signal) {
    if (this.url) return holding(this.url, () => this.#append(place, signal, true));
    const file = /** @type {File} */ (this.file);
    const asked = { key: this.key, file, conditions: this.conditions, signal: later(signal) };
    const begun = await begin(place.bucket, asked);
    this.url = begun.url;
    if (this.state === "skipped") await this.discard(place);
    else this.#reach(place, { offset: 0, expires: begun.expires });
    signal.throwIfAborted();
    return holding(this.url, () => this.#append(place, signal, false));
  }

  /**
   * @param {Place} place
   * @param {AbortSignal} signal
   * @param {boolean} isResumed Whether the server has to be asked how far it has come.
   */
  async #append(place, signal, isResumed) {
    const file = /** @type {File} */ (this.file);
    if (isResumed) this.#reach(place, await ask(this.url, signal));
    while (this.sent < file.size) {
      const offset = this.sent;
      const body = file.slice(offset, offset + this.pieces.bytes);
      const started = performance.now();
      const onProgress = (/** @type {number} */ bytes) => (this.sent = offset + Math.min(bytes, body.size));
      const reached = await append(this.url, offset, { body, signal, onProgress });
      this.pieces.took(body.size, performance.now() - started);
      this.#reach(place, reached);
    }
  }

  /**
   * Take note of how far the server says that the upload has come.
   *
   * @param {Place} place
   * @param {import("./tus.js").Offset} reached
   */
  #reach(place, { offset, expires }) {
    const { url, key, conditions } = this;
    const { name, size, lastModified } = /** @type {File} */ (this.file);
    if (offset > this.reached) this.attempts = 0;
    this.reached = this.sent = offset;
    place.link.worked();
    if (offset === size) place.memory.forget(url);
    else place.memory.keep({ url, key, name: name.normalize("NFC"), size, lastModified, expires, conditions });
  }

  /**
   * Decide what an error means: whether to go on, to ask, or to give up.
   *
   * @param {unknown} error
   * @param {number} epoch
   * @param {Place} place
   */
  async #recover(error, epoch, place) {
    if (error instanceof BodyTooLarge) return this.#sendLess(place);
    if (error instanceof ElsewhereError) return this.fail(say("uploads_elsewhere"));
    if (!(error instanceof ApiError)) return this.fail(String(error));
    const { status, message, retryAfter } = error;
    if (status === 0 && !(await this.#isReadable())) return this.fail(say("uploads_unreadable"), true);
    if (isAway(status)) {
      this.isUnanswered ||= status !== 429;
      place.link.failed(epoch, retryAfter);
    } else if (status === 412) {
      await this.#meet(place);
    } else if (status === 401) {
      this.isLoggedOut = true;
      this.problem = message;
      this.stop("paused");
    } else if ((status === 404 || status === 410) && !(await this.#beginAnew(place))) {
      this.fail(say("uploads_gone"));
    } else if (status === 403) {
      this.fail(say("uploads_forbidden"));
    } else if (ATTEMPTS.has(status) && this.attempts < /** @type {number} */ (ATTEMPTS.get(status))) {
      this.attempts += 1;
      await new Promise((resolve) => setTimeout(resolve, (retryAfter ?? Math.min(8, this.attempts / 2)) * 1000));
    } else {
      this.fail(status === 413 ? say("uploads_too_large") : message);
    }
  }

  /** @param {Place} place */
  #sendLess(place) {
    if (this.isWhole && place.hasTus) this.isWhole = false;
    else if (this.isWhole || !place.hasTus || !this.pieces.refused()) this.fail(say("uploads_too_large"));
  }

  /**
   * Begin anew where the server has forgotten the upload.
   *
   * @param {Place} place
   * @returns {Promise<boolean>} Whether one may.
   */
  async #beginAnew(place) {
    if (!this.url) return false;
    const { mayStore } = await discover(place.bucket);
    if (!mayStore) return false;
    place.memory.forget(this.url);
    this.url = "";
    this.sent = this.reached = 0;
    return true;
  }

  /**
   * Find out what it is that the key has, against what the person has seen.
   *
   * @param {Place} place
   */
  async #meet(place) {
    if (this.url) place.memory.forget(this.url);
    this.url = "";
    if (this.isWhole && this.isUnanswered && (await this.#isStored(place))) return this.#finish();
    if (this.state !== "sending") return;
    this.sent = 0;
    this.question = null;
    this.state = "asking";
  }

  /**
   * Tell whether the object is this very file: stored by a request whose answer did not get through.
   *
   * @param {Place} place
   */
  async #isStored(place) {
    const answer = await request("GET", `${place.bucket}/${pathOf(this.key)}`).catch(() => null);
    if (!answer || Number(answer.headers.get("Content-Length") ?? this.size) !== this.size) return false;
    const [there, here] = await Promise.all([answer.arrayBuffer(), /** @type {File} */ (this.file).arrayBuffer()]);
    const ours = new Uint8Array(here);
    return there.byteLength === here.byteLength && new Uint8Array(there).every((byte, at) => byte === ours[at]);
  }

  /** Tell whether the file is still the one that was chosen: browsers refuse to read one that has changed. */
  async #isReadable() {
    const { file, sent } = this;
    const at = Math.min(sent, Math.max(0, this.size - 1));
    return /** @type {File} */ (file).slice(at, at + 1).arrayBuffer().then(
      (read) => read.byteLength === Math.min(1, this.size),
      () => false,
    );
  }
}
