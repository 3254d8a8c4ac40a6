/** All files that are uploaded: how many at a time, and what people want of them. */

import { keyBeside } from "./names.js";
import { headsOf } from "./intake.js";
import { Transfer } from "./transfer.js";

/**
 * What may be on its way at a time: six small files, or three large ones. Browsers have six connections to a server that
 * speaks HTTP/1.1, and small files are over so soon that others get their turn.
 */
const ROOM = 6;
const LARGE = 2;

/** @typedef {import("./transfer.js").Question} Question */

export class Queue {
  /**
   * @param {import("./transfer.js").Place} place
   * @param {number} longest Largest length of a key, in characters.
   */
  constructor(place, longest) {
    this.place = place;
    this.longest = longest;
    /** @type {Transfer[]} */
    this.transfers = [];
    /** @type {Transfer[]} */
    this.waiting = [];
    /** @type {Map<Transfer, import("./intake.js").Batch>} */
    this.batches = new Map();
    /** Keys that are on their way. */
    this.busy = new Set();
    this.taken = 0;
    this.last = 0;
    /** Called whenever something has changed. */
    this.onchange = () => {};
    /** Called where a file has been stored. */
    this.onstored = () => {};
    place.link.onchange = () => this.onchange();
  }

  changed() {
    this.pump();
    this.onchange();
  }

  /**
   * @param {string} key
   * @param {File | null} file
   * @param {import("./intake.js").Batch} batch
   */
  add(key, file, batch) {
    const transfer = new Transfer((this.last += 1), key, file);
    this.transfers.push(transfer);
    this.batches.set(transfer, batch);
    if (this.last % 100 === 0) this.onchange();
    return transfer;
  }

  /**
   * Let a file go as soon as there is room.
   *
   * @param {Transfer} transfer
   */
  release(transfer) {
    transfer.question = null;
    transfer.state = "waiting";
    this.waiting.push(transfer);
  }

  /** Begin what there is room for. */
  pump() {
    for (let at = 0; at < this.waiting.length && this.taken < ROOM; ) {
      const transfer = this.waiting[at];
      if (transfer.state !== "waiting") {
        this.waiting.splice(at, 1);
      } else if (this.busy.has(transfer.key) || this.taken + room(transfer) > ROOM) {
        at += 1;
        if (this.taken + room(transfer) > ROOM) return;
      } else {
        this.waiting.splice(at, 1);
        this.begin(transfer);
      }
    }
  }

  /** @param {Transfer} transfer */
  async begin(transfer) {
    const needed = room(transfer);
    const { key } = transfer;
    this.taken += needed;
    this.busy.add(key);
    try {
      await transfer.run(this.place);
    } finally {
      this.taken -= needed;
      this.busy.delete(key);
    }
    if (transfer.state === "done") {
      this.batches.delete(transfer);
      this.onstored();
    } else if (transfer.state === "asking") {
      await this.meet(transfer);
    } else if (transfer.isLoggedOut) {
      this.pauseAll(transfer.problem);
    }
    this.changed();
  }

  /**
   * Go on with a file whose key has changed hands while it was on its way: ask again, with what is there now.
   *
   * @param {Transfer} transfer
   */
  async meet(transfer) {
    if (transfer.isBeside) return this.rename(transfer);
    const heads = await headsOf(this.place.bucket, [transfer.key]).catch(() => undefined);
    // It may have been cancelled meanwhile.
    if (transfer.state !== "asking") return;
    const head = heads?.get(transfer.key) ?? null;
    if (heads !== undefined && !head && "If-Match" in transfer.conditions) {
      // What was to be replaced is gone.
      transfer.conditions = this.conditions({ "If-None-Match": "*" });
      this.release(transfer);
    } else {
      // Who may not list what there is learns here that there is something.
      this.ask(transfer, { kind: heads === null ? "exists" : "appeared", head, remembered: null });
    }
  }

  /** @param {Transfer} transfer */
  rename(transfer) {
    const taken = new Set(this.transfers.map((other) => other.key));
    transfer.isBeside = true;
    transfer.key = keyBeside(transfer.original, (key) => taken.has(key), this.longest);
    transfer.conditions = this.conditions({ "If-None-Match": "*" });
    this.release(transfer);
  }

  /**
   * Return the conditions of a request, as far as it may have any.
   *
   * @param {Record<string, string>} wanted
   * @returns {Record<string, string>}
   */
  conditions(wanted) {
    return this.place.hasConditions ? wanted : {};
  }

  /**
   * Ask the person about a file, unless that was answered for all.
   *
   * @param {Transfer} transfer
   * @param {Question} question
   */
  ask(transfer, question) {
    transfer.question = question;
    transfer.state = "asking";
    const answer = question.kind === "exists" ? this.batches.get(transfer)?.answer : null;
    if (answer) this.answer(transfer, answer);
  }

  /**
   * Do what the person has decided about a file.
   *
   * @param {Transfer} transfer
   * @param {"replace" | "beside" | "skip"} answer
   */
  answer(transfer, answer) {
    const { question } = transfer;
    if (transfer.state !== "asking" || !question) return;
    if (answer === "skip") return this.skip(transfer);
    if (question.remembered) {
      this.place.memory.forget(question.remembered.url);
      transfer.url = question.remembered.url;
      transfer.discard(this.place).catch(() => {});
      // Whether the key exists is another question.
      if (question.head) return this.ask(transfer, { kind: "exists", head: question.head, remembered: null });
      return this.release(transfer);
    }
    if (answer === "beside") return this.rename(transfer);
    const checksum = question.head?.checksum;
    transfer.conditions = this.conditions({ "If-Match": checksum ? `"${checksum}"` : "*" });
    this.release(transfer);
  }

  /**
   * Do what the person has decided about a file with all of the same kind that were chosen with it, now or later.
   *
   * @param {Transfer} transfer
   * @param {"replace" | "beside" | "skip"} answer
   */
  answerAll(transfer, answer) {
    const batch = this.batches.get(transfer);
    const kind = transfer.question?.kind;
    if (batch && kind === "exists") batch.answer = answer;
    for (const other of this.transfers) {
      if (other.question?.kind === kind && this.batches.get(other) === batch) this.answer(other, answer);
    }
  }

  /** @param {Transfer} transfer */
  pause(transfer) {
    if (transfer.state === "sending" || transfer.state === "waiting") transfer.stop("paused");
  }

  /** @param {Transfer} transfer Paused, or failed. */
  resume(transfer) {
    if (transfer.state !== "paused" && transfer.state !== "failed") return;
    transfer.problem = "";
    transfer.isLoggedOut = false;
    this.release(transfer);
  }

  /** @param {Transfer} transfer */
  skip(transfer) {
    if (transfer.isOver && transfer.state !== "failed") return;
    transfer.stop("skipped");
    transfer.question = null;
    transfer.sent = 0;
    transfer.discard(this.place).catch(() => {});
    transfer.file = null;
    this.batches.delete(transfer);
  }

  /** @param {string} [problem] Why, where the person has not wanted it. */
  pauseAll(problem = "") {
    for (const transfer of this.transfers) {
      if (transfer.state !== "sending" && transfer.state !== "waiting") continue;
      this.pause(transfer);
      transfer.problem = problem;
    }
  }

  /** Forget what is over, but for what has failed. */
  clear() {
    this.transfers = this.transfers.filter((transfer) => transfer.state !== "done" && transfer.state !== "skipped");
  }

  /** Whether something would be lost if the page was left. */
  get isActive() {
    return this.transfers.some((transfer) => !transfer.isOver);
  }

  /** Return how many files are in each state, and how many bytes of how many have been sent. */
  totals() {
    const counts = { checking: 0, asking: 0, waiting: 0, sending: 0, paused: 0, failed: 0, done: 0, skipped: 0 };
    let sent = 0;
    let size = 0;
    for (const transfer of this.transfers) {
      counts[transfer.state] += 1;
      if (transfer.state === "skipped" || transfer.state === "failed") continue;
      sent += transfer.sent;
      size += transfer.size;
    }
    return { counts, sent, size, files: this.transfers.length - counts.skipped };
  }
}

/** @param {Transfer} transfer */
function room(transfer) {
  return transfer.isWhole ? 1 : LARGE;
}
