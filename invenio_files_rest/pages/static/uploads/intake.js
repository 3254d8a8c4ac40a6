/** What becomes of files that are chosen: which may go at once, which are asked about, and which are refused. */

import { request } from "../api.js";
import { say } from "../messages.js";
import { findExisting } from "./existing.js";
import { number, size } from "./format.js";
import { isAway } from "./link.js";
import { isSameFile } from "./memory.js";
import { keyOf, refusalOfName } from "./names.js";
import { discover } from "./tus.js";

/** Number of files that are looked at together. */
const AT_ONCE = 500;

/**
 * @typedef {object} Limits
 * @property {number} longest Largest length of a key, in characters.
 * @property {number} smallest Smallest size of a file, in bytes.
 */

/** Files that were chosen together: an answer that is given for all of them holds for those that follow. */
export class Batch {
  constructor() {
    /** @type {"replace" | "beside" | "skip" | null} */
    this.answer = null;
  }
}

/**
 * Take files that are chosen into a queue.
 *
 * @param {import("./queue.js").Queue} queue
 * @param {AsyncIterable<import("./walk.js").Found>} files
 * @param {string} prefix What keys in the folder begin with.
 * @param {Limits} limits
 */
export async function takeIn(queue, files, prefix, limits) {
  const batch = new Batch();
  let some = [];
  for await (const { path, file } of files) {
    some.push(queue.add(keyOf(prefix, path), file, batch));
    if (some.length === AT_ONCE) {
      await look(queue, some, limits);
      some = [];
    }
  }
  await look(queue, some, limits);
}

/**
 * Go on with an upload that was begun before.
 *
 * @param {import("./queue.js").Queue} queue
 * @param {string} key
 * @param {File} file
 * @param {Limits} limits
 */
export async function takeUp(queue, key, file, limits) {
  await look(queue, [queue.add(key, file, new Batch())], limits);
}

/**
 * @param {import("./queue.js").Queue} queue
 * @param {import("./transfer.js").Transfer[]} transfers
 * @param {Limits} limits
 */
async function look(queue, transfers, limits) {
  const { place } = queue;
  refuse(transfers, limits, Infinity);
  const usable = () => transfers.filter((transfer) => transfer.state === "checking");
  while (usable().length > 0) {
    const epoch = await place.link.ready(new AbortController().signal);
    try {
      const { hasTus, most } = await discover(place.bucket);
      place.hasTus = hasTus;
      refuse(transfers, limits, most);
      const heads = await headsOf(place.bucket, usable().map((transfer) => transfer.key));
      place.link.worked();
      for (const transfer of usable()) decide(queue, transfer, heads);
    } catch (error) {
      const { status, message, retryAfter } = /** @type {import("../api.js").ApiError} */ (error);
      if (isAway(status)) place.link.failed(epoch, retryAfter);
      else for (const transfer of usable()) transfer.fail(message);
    }
  }
  queue.changed();
}

/**
 * Refuse what the server would refuse, as far as that is known before anything is sent.
 *
 * @param {import("./transfer.js").Transfer[]} transfers
 * @param {Limits} limits
 * @param {number} most Largest size of a file, in bytes.
 */
function refuse(transfers, { longest, smallest }, most) {
  for (const transfer of transfers) {
    const refusal = refusalOfName(transfer.key, longest);
    if (!transfer.file) transfer.fail(say("uploads_unreadable"), true);
    else if (refusal) transfer.fail(say(refusal, { longest: number(longest) }), true);
    else if (transfer.size < smallest) transfer.fail(say(transfer.size ? "uploads_too_small" : "uploads_empty"), true);
    else if (transfer.size > most) transfer.fail(say("uploads_over_limit", { size: size(transfer.size), most: size(most) }));
  }
}

/**
 * Return what keys have.
 *
 * @param {string} bucket URL of the bucket.
 * @param {string[]} keys
 * @returns {Promise<Map<string, import("./existing.js").Head> | null>} `null` where one may not know that.
 */
export async function headsOf(bucket, keys) {
  try {
    return await findExisting(async (query) => (await request("GET", `${bucket}?${new URLSearchParams(query)}`)).json(), keys);
  } catch (error) {
    if ([403, 404].includes(/** @type {any} */ (error).status)) return null;
    throw error;
  }
}

/**
 * Let a file go, or ask about it.
 *
 * @param {import("./queue.js").Queue} queue
 * @param {import("./transfer.js").Transfer} transfer
 * @param {Map<string, import("./existing.js").Head> | null} heads
 */
function decide(queue, transfer, heads) {
  const head = heads?.get(transfer.key) ?? null;
  const remembered = queue.place.hasTus ? queue.place.memory.find(transfer.key) : null;
  transfer.conditions = queue.conditions({ "If-None-Match": "*" });
  if (remembered && isSameFile(remembered, /** @type {File} */ (transfer.file))) {
    transfer.url = remembered.url;
    transfer.conditions = remembered.conditions;
    transfer.isWhole = false;
    queue.release(transfer);
  } else if (remembered) {
    queue.ask(transfer, { kind: "other", head, remembered });
  } else if (head) {
    queue.ask(transfer, { kind: "exists", head, remembered: null });
  } else {
    queue.release(transfer);
  }
}
