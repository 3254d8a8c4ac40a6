// What can be done with objects, over the REST API.

import { request } from "./api.js";
import { say } from "./messages.js";

const AT_ONCE = 4;

/** How often a request is sent again that a busy server has refused. */
const AGAIN = 5;

/** @returns {{api: string, bucket: string, prefix: string}} Where the page is. */
export function place() {
  const { api = "", bucket = "", prefix = "" } = document.querySelector("[data-api][data-bucket]")?.dataset ?? {};
  return { api, bucket, prefix };
}

/**
 * Return the URL of an object that is to be.
 * @param {string} key
 * @returns {string}
 * @throws {Error} If browsers would make another URL of it.
 */
export function urlOf(key) {
  if (!key || key.split("/").some((segment) => segment === "." || segment === "..")) throw new Error(say("no_name"));
  return `${place().api}/${key.split("/").map(encodeURIComponent).join("/")}`;
}

/** Return a URL, which old keys may have none of that browsers leave as it is. @param {string} url */
function named(url) {
  if (!url) throw new Error(say("no_url"));
  return url;
}

/** @param {string} [etag] @returns {Record<string, string>} */
const unchanged = (etag) => (etag ? { "If-Match": `"${etag}"` } : {});

/**
 * Delete an object, unless somebody has stored another version meanwhile.
 * @param {string} url
 * @param {string} etag
 * @returns {Promise<Response>}
 */
export async function remove(url, etag) {
  return request("DELETE", named(url), { headers: unchanged(etag) });
}

/**
 * Make a version of an object the latest one again, unless somebody has stored another one meanwhile.
 * @param {string} url
 * @param {string} version
 * @param {string} [head] Entity tag of the latest one as it was seen, empty where it was deleted; `undefined` where that
 *   is not known.
 * @returns {Promise<Response>}
 */
export async function restore(url, version, head) {
  const headers = head === "" ? { "If-None-Match": "*" } : unchanged(head);
  return request("POST", `${named(url)}?restore&versionId=${version}`, { headers });
}

/**
 * Remove a version for good.
 * @param {string} url
 * @param {string} version
 * @returns {Promise<Response>}
 */
export function removeVersion(url, version) {
  return request("DELETE", `${url}?versionId=${version}`);
}

/**
 * Give an object another key, where there is none of that key.
 * @param {string} key
 * @param {string} target
 * @returns {Promise<Response>}
 */
export async function move(key, target) {
  const query = new URLSearchParams({ move: key, from: place().bucket });
  try {
    return await request("PUT", `${urlOf(target)}?${query}`, { headers: { "If-None-Match": "*" } });
  } catch (error) {
    if (error.status === 412) error.message = say("exists");
    throw error;
  }
}

/**
 * @typedef {{key: string, url: string, etag: string, version: string}} Item
 */

/**
 * List all objects in a folder.
 * @param {string} prefix
 * @returns {Promise<Item[]>}
 */
export async function objectsIn(prefix) {
  const items = [];
  let url = `${place().api}?${new URLSearchParams({ prefix, "max-keys": "1000" })}`;
  while (url) {
    const page = await (await request("GET", url)).json();
    for (const { key, version_id: version, checksum, links } of page.contents) {
      // Where it needs a version, it would remove that for good.
      const self = links.self?.includes("?") ? "" : relative(links.self);
      items.push({ key, url: self, etag: checksum ?? "", version });
    }
    url = page.links.next ? relative(page.links.next) : "";
  }
  return items;
}

/** Return a URL of the API as one of this origin, whatever a proxy has made of it. @param {string} url */
export function relative(url) {
  const { pathname, search } = new URL(url, location.href);
  return pathname + search;
}

/**
 * Do something, again after a while where the server is busy and says when to come back.
 * @template T
 * @param {() => Promise<T>} run
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
async function patiently(run, signal) {
  for (let left = AGAIN; ; left--) {
    try {
      return await run();
    } catch (error) {
      if (![429, 503].includes(error.status) || error.retryAfter === null || !left || signal?.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.max(1, Math.min(60, error.retryAfter))));
    }
  }
}

/**
 * Do something with each of many items, some at a time.
 * @template T
 * @param {T[]} items
 * @param {(item: T) => Promise<unknown>} run
 * @param {{signal?: AbortSignal, progress?: (done: number) => void}} [options]
 * @returns {Promise<{done: T[], failed: {item: T, error: unknown}[]}>}
 */
export async function each(items, run, { signal, progress = () => {} } = {}) {
  const waiting = [...items];
  const done = [];
  const failed = [];
  const work = async () => {
    for (let item = waiting.shift(); item !== undefined && !signal?.aborted; item = waiting.shift()) {
      try {
        await patiently(() => run(item), signal);
        done.push(item);
      } catch (error) {
        failed.push({ item, error });
        // What has ended the session, or the connection, ends all that follows.
        if (error.status === 0 || error.loggedOut) waiting.length = 0;
      }
      progress(done.length + failed.length);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { done, failed };
}
