/** What a screen reader says of uploads: that they begin, go on, end and fail; not each file, and not all the time. */

import { make } from "../dom.js";
import { say } from "../messages.js";
import { number, share } from "./format.js";

const BETWEEN_MS = 30_000;

export class Announcer {
  constructor() {
    this.element = make("div", { role: "status", className: "uploads-said hidden" });
    this.wasActive = false;
    this.wasAway = false;
    this.failed = 0;
    this.asked = 0;
    this.last = 0;
  }

  /**
   * Say what is new.
   *
   * @param {ReturnType<import("./queue.js").Queue["totals"]>} totals
   * @param {boolean} isAway Whether the server is.
   * @param {number} [now] In milliseconds.
   */
  note({ counts, sent, size, files }, isAway, now = performance.now()) {
    const isActive = counts.sending + counts.waiting + counts.checking > 0;
    const said = [];
    if (isActive && !this.wasActive) said.push(say("uploads_said_begin", { count: number(files) }));
    if (isAway && !this.wasAway && isActive) said.push(say("uploads_said_away"));
    if (!isActive && this.wasActive) said.push(say("uploads_done", { done: number(counts.done), all: number(files) }));
    if (counts.failed > this.failed && (!isActive || now - this.last > BETWEEN_MS / 3 || this.failed === 0)) {
      said.push(say("uploads_failed", { count: number(counts.failed) }));
      this.failed = counts.failed;
    }
    if (counts.asking > 0 && this.asked === 0) said.push(say("uploads_said_question"));
    if (said.length === 0 && isActive && !isAway && now - this.last > BETWEEN_MS) said.push(share(sent, size));
    this.failed = Math.min(this.failed, counts.failed);
    this.asked = counts.asking;
    [this.wasActive, this.wasAway] = [isActive, isAway];
    if (said.length === 0) return;
    this.last = now;
    this.element.textContent = said.join(". ");
  }
}
