/** Which of many keys are in a bucket, asked with few requests. */

import { compareKeys } from "./names.js";

/**
 * @typedef {object} Head The object that a key has.
 * @property {string} key
 * @property {number} size In bytes.
 * @property {string | null} checksum
 * @property {string} updated When it was stored, in ISO 8601.
 *
 * @typedef {{contents: Head[], links: {next?: string}}} Page
 * @typedef {(query: Record<string, string>) => Promise<Page>} List Function that asks for a page of the bucket.
 */

const MOST = 1000;

/**
 * Find those of many keys that are there. Pages are asked for from one wanted key to the next, so that neither many
 * wanted keys nor many others in between need a request each.
 *
 * @param {List} list
 * @param {Iterable<string>} keys
 * @returns {Promise<Map<string, Head>>}
 */
export async function findExisting(list, keys) {
  const wanted = [...new Set(keys)].sort(compareKeys);
  const found = new Map();
  const prefix = commonPrefix(wanted);
  let after = "";
  for (let at = 0; at < wanted.length; ) {
    const before = justBefore(wanted[at]);
    if (compareKeys(before, after) > 0) after = before;
    const left = wanted.length - at;
    /** @type {Record<string, string>} */
    const query = { "max-keys": String(Math.min(MOST, 10 + 2 * left)), prefix, "start-after": after };
    const { contents, links } = await list(query);
    for (const head of contents) {
      while (at < wanted.length && compareKeys(wanted[at], head.key) < 0) at += 1;
      if (wanted[at] === head.key) found.set(head.key, head);
    }
    if (!links.next || contents.length === 0) break;
    after = contents[contents.length - 1].key;
    while (at < wanted.length && compareKeys(wanted[at], after) <= 0) at += 1;
  }
  return found;
}

/**
 * Return a text that a key comes after, with next to no other keys in between.
 *
 * @param {string} key
 */
function justBefore(key) {
  return [...key].slice(0, -1).join("");
}

/**
 * @param {string[]} sorted
 * @returns {string}
 */
function commonPrefix(sorted) {
  const first = [...(sorted[0] ?? "")];
  const last = [...(sorted[sorted.length - 1] ?? "")];
  let length = 0;
  while (length < first.length && first[length] === last[length]) length += 1;
  return first.slice(0, length).join("");
}
