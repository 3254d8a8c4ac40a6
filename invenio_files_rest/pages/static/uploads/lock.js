/** An upload goes on in one page at a time: two would take it from each other again and again. */

/** Another page is busy with the upload. */
export class ElsewhereError extends Error {}

/**
 * Do something with an upload while no other page does.
 *
 * @template T
 * @param {string} url URL of the upload.
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 * @throws {ElsewhereError} If another page does.
 */
export async function holding(url, work) {
  // Browsers have locks on pages of HTTPS, and on this machine.
  if (!navigator.locks) return work();
  return navigator.locks.request(nameOf(url), { ifAvailable: true }, (lock) => {
    if (!lock) throw new ElsewhereError();
    return work();
  });
}

/** Return a function that tells whether a page is busy with an upload now. */
export async function lookAtLocks() {
  const { held = [] } = (await navigator.locks?.query()) ?? {};
  const names = new Set(held.map((lock) => lock.name));
  return (/** @type {string} */ url) => names.has(nameOf(url));
}

/** @param {string} url */
function nameOf(url) {
  return `files-upload ${url}`;
}
