/** Uploads that an earlier visit has left unfinished, and that go on where the same file is chosen again. */

import { make } from "../dom.js";
import { say } from "../messages.js";
import { local } from "../times.js";
import { button, fileField } from "./dom.js";
import { share, size } from "./format.js";
import { lookAtLocks } from "./lock.js";
import { isSameFile } from "./memory.js";
import { nameOf } from "./names.js";
import { end, look } from "./tus.js";

/** @typedef {import("./memory.js").Remembered} Remembered */

export class Unfinished {
  /**
   * @param {import("./queue.js").Queue} queue
   * @param {(key: string, file: File) => void} takeUp Function that goes on with the same file.
   */
  constructor(queue, takeUp) {
    this.queue = queue;
    this.takeUp = takeUp;
    /** @type {Map<string, HTMLElement>} Rows by the URLs of uploads. */
    this.rows = new Map();
    this.list = make("ul", { className: "uploads-list" });
    this.element = make(
      "div",
      { className: "uploads-unfinished", hidden: true },
      make("h3", {}, say("uploads_unfinished")),
      make("p", {}, say("uploads_unfinished_help")),
      this.list,
    );
  }

  /** Ask the server which of the uploads that are remembered are still there, and show them. */
  async load() {
    const { memory } = this.queue.place;
    const isHeld = await lookAtLocks();
    for (const upload of memory.all()) {
      const offset = await offsetOf(upload);
      if (offset === null) memory.forget(upload.url);
      else if (!isHeld(upload.url)) this.add(upload, offset);
    }
    this.draw();
  }

  /**
   * @param {Remembered} upload
   * @param {number} offset
   */
  add(upload, offset) {
    const name = nameOf(upload.key);
    const problem = make("p", { className: "uploads-status", role: "status" });
    const { field, element } = fileField(say("uploads_choose_again"), {}, ([file]) => {
      const values = { name: file.name, size: size(file.size), wanted: size(upload.size) };
      if (isSameFile(upload, file)) this.takeUp(upload.key, file);
      else problem.textContent = say("uploads_not_the_same", values);
    });
    const choose = button(say("uploads_choose_again"), () => field.click());
    choose.setAttribute("aria-label", `${say("uploads_choose_again")}: ${name}`);
    const discard = button(say("uploads_discard"), () => this.discard(upload, problem));
    discard.setAttribute("aria-label", `${say("uploads_discard")}: ${name}`);
    const values = { part: size(offset), whole: size(upload.size) };
    const told = [say("uploads_of", values), share(offset, upload.size), say("uploads_expires", { time: local(upload.expires) })];
    const row = make(
      "li",
      {},
      make("p", { className: "uploads-name" }, make("bdi", {}, upload.key)),
      make("p", { className: "uploads-status" }, told.join(" · ")),
      problem,
      element,
      make("p", { className: "uploads-buttons" }, choose, discard),
    );
    this.rows.set(upload.url, row);
    this.list.append(row);
  }

  /**
   * @param {Remembered} upload
   * @param {HTMLElement} problem
   */
  async discard(upload, problem) {
    try {
      await end(upload.url);
    } catch (error) {
      const { status, message } = /** @type {import("../api.js").ApiError} */ (error);
      if (status !== 404 && status !== 410) {
        problem.textContent = message;
        return;
      }
    }
    this.queue.place.memory.forget(upload.url);
    this.remove(upload.url);
  }

  /** @param {string} url */
  remove(url) {
    this.rows.get(url)?.remove();
    this.rows.delete(url);
    this.element.hidden = this.rows.size === 0;
  }

  /** Show no longer what goes on, or has been given up. */
  draw() {
    if (this.rows.size === 0) return;
    const known = new Set(this.queue.place.memory.all().map((upload) => upload.url));
    for (const transfer of this.queue.transfers) known.delete(transfer.url);
    for (const url of this.rows.keys()) if (!known.has(url)) this.remove(url);
    this.element.hidden = this.rows.size === 0;
  }
}

/**
 * Return how far an upload has come, as the server says.
 *
 * @param {Remembered} upload
 * @returns {Promise<number | null>} The offset in bytes, 0 where the server cannot tell now; `null` where there is no
 *   such upload any more, or it is done.
 */
async function offsetOf(upload) {
  try {
    const { status, offset } = await look(upload.url);
    return status === "open" ? (offset ?? 0) : null;
  } catch (error) {
    const { status } = /** @type {import("../api.js").ApiError} */ (error);
    return status === 404 || status === 410 ? null : 0;
  }
}
