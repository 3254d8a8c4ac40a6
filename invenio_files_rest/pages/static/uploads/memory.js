/** Uploads that are not finished, remembered by the browser so that they go on after the page was closed. */

/**
 * @typedef {object} Remembered
 * @property {string} url URL of the upload.
 * @property {string} key
 * @property {string} name Name of the file.
 * @property {number} size In bytes.
 * @property {number} lastModified In milliseconds since 1970.
 * @property {number} expires When the server forgets it, in milliseconds since 1970.
 * @property {Record<string, string>} conditions The conditions that it was begun with.
 */

/** What is remembered for one user in one bucket, each upload as an item of its own, so that pages do not collide. */
export class Memory {
  /**
   * @param {string} bucket URL of the bucket.
   * @param {string} user Who uses it; empty for anonymous users.
   * @param {Storage | null} storage Where it is kept; `null` where the browser keeps nothing.
   */
  constructor(bucket, user, storage = localStorageOrNothing()) {
    this.prefix = `files-upload ${user} ${bucket} `;
    this.storage = storage;
  }

  /**
   * Return what there is, and forget what has expired.
   *
   * @returns {Remembered[]}
   */
  all() {
    const found = [];
    for (const name of Object.keys(this.storage ?? {})) {
      if (!name.startsWith(this.prefix)) continue;
      const upload = parsed(this.storage?.getItem(name) ?? null);
      if (upload && upload.expires > Date.now()) found.push(upload);
      else this.storage?.removeItem(name);
    }
    return found;
  }

  /** @param {string} key */
  find(key) {
    return this.all().find((upload) => upload.key === key) ?? null;
  }

  /** @param {Remembered} upload */
  keep(upload) {
    try {
      this.storage?.setItem(this.prefix + upload.url, JSON.stringify(upload));
    } catch {
      // There is no room: it cannot go on after the page was closed.
    }
  }

  /** @param {string} url URL of the upload. */
  forget(url) {
    this.storage?.removeItem(this.prefix + url);
  }
}

/**
 * Tell whether a file is the one that an upload was begun with, as far as can be seen without reading it.
 *
 * @param {Remembered} upload
 * @param {File} file
 */
export function isSameFile(upload, file) {
  return (
    upload.size === file.size &&
    upload.lastModified === file.lastModified &&
    upload.name === file.name.normalize("NFC")
  );
}

/** @param {string | null} text */
function parsed(text) {
  try {
    const upload = JSON.parse(text ?? "null");
    return typeof upload?.url === "string" && typeof upload.key === "string" ? upload : null;
  } catch {
    return null;
  }
}

function localStorageOrNothing() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}
