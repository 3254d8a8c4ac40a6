/** The list of files: some rows, however many files there are, and what the others are in numbers. */

import { make } from "../dom.js";
import { say } from "../messages.js";
import { button, write } from "./dom.js";
import { duration, number, share, size } from "./format.js";
import { Rate } from "./rate.js";

const SHOWN = 30;
const MORE = 100;

/** In this order they are of interest. */
const ORDER = ["sending", "failed", "paused", "asking", "checking", "waiting", "done"];

const STATES = {
  asking: "uploads_is_asking",
  checking: "uploads_is_checking",
  waiting: "uploads_is_waiting",
  failed: "uploads_is_failed",
  done: "uploads_is_done",
  skipped: "uploads_cancel",
};

/** @typedef {import("./transfer.js").Transfer} Transfer */

export class Rows {
  /**
   * @param {import("./queue.js").Queue} queue
   * @param {string} prefix What keys in the folder begin with, which need not be said of each.
   */
  constructor(queue, prefix) {
    this.queue = queue;
    this.prefix = prefix;
    this.shown = SHOWN;
    /** @type {Map<number, Row>} */
    this.rows = new Map();
    this.list = make("ul", { className: "uploads-list", "aria-label": say("uploads_list") });
    this.rest = make("span");
    const more = button(say("uploads_show_more"), () => {
      this.shown += MORE;
      this.draw();
    });
    this.more = make("p", { className: "uploads-more", hidden: true }, this.rest, " ", more);
    this.element = make("div", {}, this.list, this.more);
  }

  draw() {
    const { transfers } = this.queue;
    const wanted = choose(transfers, this.shown);
    const focused = document.activeElement;
    const ids = new Set(wanted.map((transfer) => transfer.id));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.rows.delete(id);
    }
    let before = this.list.firstElementChild;
    for (const transfer of wanted) {
      const row = this.rowOf(transfer);
      row.draw(this.queue.place.link.isAway);
      if (row.element === before) before = before.nextElementSibling;
      else this.list.insertBefore(row.element, before);
    }
    // An element that is moved loses the focus.
    if (focused instanceof HTMLElement && focused !== document.activeElement && this.list.contains(focused)) focused.focus();
    const rest = transfers.filter((transfer) => transfer.state !== "skipped").length - wanted.length;
    this.more.hidden = rest <= 0;
    write(this.rest, say("uploads_more", { count: number(rest) }));
  }

  /** @param {Transfer} transfer */
  rowOf(transfer) {
    const row = this.rows.get(transfer.id) ?? new Row(transfer, this.queue, this.prefix);
    this.rows.set(transfer.id, row);
    return row;
  }
}

/**
 * Choose those that are of most interest; of what is done, the latest.
 *
 * @param {Transfer[]} transfers
 * @param {number} count
 */
function choose(transfers, count) {
  /** @type {Map<string, Transfer[]>} */
  const found = new Map(ORDER.map((state) => [state, []]));
  for (const transfer of transfers) {
    const some = found.get(transfer.state);
    if (some && (some.length < count || transfer.state === "done")) some.push(transfer);
  }
  found.get("done")?.reverse();
  return [...found.values()].flat().slice(0, count);
}

class Row {
  /**
   * @param {Transfer} transfer
   * @param {import("./queue.js").Queue} queue
   * @param {string} prefix
   */
  constructor(transfer, queue, prefix) {
    this.transfer = transfer;
    this.prefix = prefix;
    this.rate = new Rate();
    this.name = make("bdi");
    this.progress = make("progress", { max: 1, hidden: true });
    this.status = make("p", { className: "uploads-status" });
    const does = (/** @type {(transfer: Transfer) => void} */ act) => () => {
      act.call(queue, transfer);
      queue.changed();
    };
    // One button is enough for what can be done with it next, so that the focus stays where it is.
    this.main = button("", () => does(transfer.state === "sending" || transfer.state === "waiting" ? queue.pause : queue.resume)());
    this.cancel = button("", does(queue.skip));
    this.element = make(
      "li",
      {},
      make("p", { className: "uploads-name" }, this.name),
      this.progress,
      this.status,
      make("p", { className: "uploads-buttons" }, this.main, this.cancel),
    );
  }

  /** @param {boolean} isAway Whether the server is. */
  draw(isAway) {
    const { transfer } = this;
    const { state, key } = transfer;
    const name = key.startsWith(this.prefix) ? key.slice(this.prefix.length) : key;
    write(this.name, name);
    this.element.dataset.state = state;
    this.progress.hidden = !(state === "sending" || (state === "paused" && transfer.sent > 0));
    this.progress.value = transfer.size > 0 ? transfer.sent / transfer.size : 0;
    this.progress.setAttribute("aria-label", name);
    if (state === "sending" && !isAway) this.rate.note(transfer.sent);
    else this.rate.reset();
    write(this.status, this.describe(isAway));
    const next = { sending: "uploads_pause", waiting: "uploads_pause", paused: "uploads_resume", failed: "uploads_retry" }[
      /** @type {string} */ (state)
    ];
    label(this.main, transfer.isFinal ? undefined : next, name);
    label(this.cancel, state === "done" ? undefined : state === "failed" ? "uploads_remove" : "uploads_cancel", name);
  }

  /**
   * @param {boolean} isAway
   * @returns {string}
   */
  describe(isAway) {
    const { state, size: all, sent, problem } = this.transfer;
    if (problem) return problem;
    if (state === "checking" && isAway) return `${say("uploads_is_away")} · ${size(all)}`;
    if (state !== "sending" && state !== "paused") return `${say(STATES[state])} · ${size(all)}`;
    const parts = [say("uploads_of", { part: size(sent), whole: size(all) }), share(sent, all)];
    if (state === "paused") parts.unshift(say("uploads_is_paused"));
    else if (isAway) parts.unshift(say("uploads_is_away"));
    else if (sent === all) parts.unshift(say("uploads_is_storing"));
    else if (this.rate.perSecond > 0) {
      parts.push(say("uploads_rate", { size: size(this.rate.perSecond) }));
      parts.push(say("uploads_left", { time: duration((all - sent) / this.rate.perSecond) }));
    }
    return parts.join(" · ");
  }
}

/**
 * @param {HTMLButtonElement} made
 * @param {string | undefined} message What it does; `undefined` where it does nothing.
 * @param {string} name Name of the file, for those who hear the button alone.
 */
function label(made, message, name) {
  made.hidden = message === undefined;
  if (message === undefined) return;
  const text = say(message);
  write(made, text);
  made.setAttribute("aria-label", `${text}: ${name}`);
}
