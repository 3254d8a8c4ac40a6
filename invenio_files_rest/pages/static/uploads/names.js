/** Keys of files that are chosen: what becomes of their names, and which names the server refuses. */

/**
 * Return the key of a file below a folder. Names are composed (NFC), as people on other systems write them: macOS has
 * letters and their accents apart.
 *
 * @param {string} prefix What keys in the folder begin with.
 * @param {string} path Path of the file, with the folders that were chosen with it.
 * @returns {string}
 */
export function keyOf(prefix, path) {
  return prefix + path.normalize("NFC").replace(/^\/+/, "");
}

/**
 * Tell why the server would refuse a key (`validate_new_key`).
 *
 * @param {string} key
 * @param {number} longest Largest length, in characters as the server counts them.
 * @returns {string | null} Name of the message; `null` for a key that it takes.
 */
export function refusalOfName(key, longest) {
  if (!key || key.includes("\0") || /\p{Surrogate}/u.test(key)) return "uploads_name_characters";
  if (key.split("/").some((segment) => segment === "." || segment === "..")) return "uploads_name_dots";
  return [...key].length > longest ? "uploads_name_long" : null;
}

/**
 * Return a key beside one that is taken: "name (2).txt", and so on.
 *
 * @param {string} key
 * @param {(key: string) => boolean} isTaken
 * @param {number} longest Largest length of a key; the name is cut where it would be longer.
 * @returns {string}
 */
export function keyBeside(key, isTaken, longest) {
  const start = key.lastIndexOf("/") + 1;
  const [, stem, extension] = /** @type {RegExpExecArray} */ (
    /^(.+?)((?:\.tar)?\.[^.\s]{1,15})?$/su.exec(key.slice(start)) ?? [null, key.slice(start), ""]
  );
  for (let number = 2; ; number += 1) {
    const end = ` (${number})${extension ?? ""}`;
    const room = Math.max(0, longest - [...key.slice(0, start), ...end].length);
    const found = key.slice(0, start) + [...stem].slice(0, room).join("") + end;
    if (!isTaken(found)) return found;
  }
}

/**
 * Return the path of a key below the URL of its bucket.
 *
 * @param {string} key
 * @returns {string}
 */
export function pathOf(key) {
  return key.split("/").map(encodeURIComponent).join("/");
}

/**
 * Return the last part of a key.
 *
 * @param {string} key
 * @returns {string}
 */
export function nameOf(key) {
  return key.slice(key.lastIndexOf("/") + 1);
}

/**
 * Compare keys in the order of the server's listings: by code points, where JavaScript's is by halves of them.
 *
 * @param {string} a
 * @param {string} b
 * @returns {number} Negative, zero or positive.
 */
export function compareKeys(a, b) {
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a.charCodeAt(at) === b.charCodeAt(at)) at += 1;
  if (at === length) return a.length - b.length;
  return weight(a.charCodeAt(at)) - weight(b.charCodeAt(at));
}

/** @param {number} unit A UTF-16 code unit; halves of pairs come after all others. */
function weight(unit) {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
