/** All uploads together: how far they are, and what can be done with all of them. */

import { make } from "../dom.js";
import { say } from "../messages.js";
import { button, write } from "./dom.js";
import { duration, number, share, size } from "./format.js";
import { Rate } from "./rate.js";

export class Overall {
  /** @param {import("./queue.js").Queue} queue */
  constructor(queue) {
    this.queue = queue;
    this.rate = new Rate();
    this.progress = make("progress", { max: 1, "aria-label": say("uploads_overall") });
    this.text = make("p", { className: "uploads-total" });
    this.notice = make("p", { className: "message", hidden: true });
    const all = (/** @type {string} */ message, /** @type {() => void} */ act) =>
      button(say(message), () => {
        act();
        queue.changed();
      });
    const each = (/** @type {string[]} */ states, /** @type {(transfer: any) => void} */ act) => () => {
      for (const transfer of queue.transfers) if (states.includes(transfer.state)) act.call(queue, transfer);
    };
    this.pause = all("uploads_pause_all", () => queue.pauseAll());
    this.resume = all("uploads_resume_all", each(["paused"], queue.resume));
    this.retry = all("uploads_retry_all", () => {
      for (const transfer of queue.transfers) if (transfer.state === "failed" && !transfer.isFinal) queue.resume(transfer);
    });
    this.hurry = all("uploads_try_now", () => queue.place.link.hurry());
    this.cancel = all("uploads_cancel_all", each(["checking", "asking", "waiting", "sending", "paused"], queue.skip));
    this.clear = all("uploads_clear", () => queue.clear());
    this.element = make(
      "div",
      { className: "uploads-overall", hidden: true },
      this.text,
      this.progress,
      this.notice,
      make("p", { className: "uploads-buttons" }, this.hurry, this.pause, this.resume, this.retry, this.cancel, this.clear),
    );
  }

  /** @param {ReturnType<import("./queue.js").Queue["totals"]>} totals */
  draw({ counts, sent, size: all, files }) {
    const { isAway, until } = this.queue.place.link;
    const isRunning = counts.sending > 0;
    const left = counts.sending + counts.waiting + counts.checking + counts.asking + counts.paused;
    this.element.hidden = files === 0;
    this.progress.value = all > 0 ? sent / all : 0;
    this.progress.hidden = left === 0;
    if (isRunning && !isAway) this.rate.note(sent);
    else this.rate.reset();
    const parts = [say("uploads_done", { done: number(counts.done), all: number(files) })];
    if (counts.failed > 0) parts.push(say("uploads_failed", { count: number(counts.failed) }));
    if (left > 0) parts.push(say("uploads_of", { part: size(sent), whole: size(all) }), share(sent, all));
    if (this.rate.perSecond > 0) {
      parts.push(say("uploads_rate", { size: size(this.rate.perSecond) }));
      parts.push(say("uploads_left", { time: duration((all - sent) / this.rate.perSecond) }));
    }
    write(this.text, parts.join(" · "));
    const isWaiting = isAway && (isRunning || counts.checking > 0);
    this.notice.hidden = !isWaiting;
    const seconds = Math.max(0, Math.ceil((until - Date.now()) / 1000));
    write(this.notice, say("uploads_away", { time: duration(seconds) }));
    this.hurry.hidden = !isWaiting;
    this.pause.hidden = counts.sending + counts.waiting === 0;
    this.resume.hidden = counts.paused === 0;
    this.retry.hidden = counts.failed === 0 || !this.queue.transfers.some((transfer) => transfer.state === "failed" && !transfer.isFinal);
    this.cancel.hidden = left === 0;
    this.clear.hidden = left > 0 || counts.done === 0;
  }
}
