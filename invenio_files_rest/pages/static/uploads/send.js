/** Requests whose bodies are files: with progress, and with an end where nothing moves any more. */

import { ApiError, csrfHeaders, errorOf } from "../api.js";

const STILL_MS = 30_000;
const ANSWER_MS = 180_000;

/**
 * @typedef {object} Sending
 * @property {Record<string, string>} [headers]
 * @property {Blob} body
 * @property {AbortSignal} signal
 * @property {(bytes: number) => void} [onProgress] Told how much of the body has left.
 */

/**
 * Send a body, once more where the first request only brought the cookie that proves where it comes from.
 *
 * @param {string} method
 * @param {string} url
 * @param {Sending} sending
 * @returns {Promise<Response>} The answer, whose status is one of success.
 * @throws {ApiError} If it is refused, or there is no answer (status 0); {@link BodyTooLarge} if something in between
 *   takes no body of that size; the signal's reason if it is aborted.
 */
export async function send(method, url, sending) {
  const before = document.cookie;
  let answer = await once(method, url, sending);
  if (answer.status === 400 && document.cookie !== before) answer = await once(method, url, sending);
  if (answer.ok) return answer;
  if (answer.status === 413 && !isOurs(answer)) throw new BodyTooLarge();
  throw await errorOf(answer);
}

/** Something between here and the server takes no body of this size. */
export class BodyTooLarge extends Error {}

/** @param {Response} answer */
function isOurs(answer) {
  return answer.headers.has("Tus-Resumable") || /\bjson\b/.test(answer.headers.get("Content-Type") ?? "");
}

/**
 * @param {string} method
 * @param {string} url
 * @param {Sending} sending
 * @returns {Promise<Response>}
 */
function once(method, url, { headers = {}, body, signal, onProgress = () => {} }) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const xhr = new XMLHttpRequest();
    let timer = 0;
    const wait = (/** @type {number} */ milliseconds) => {
      clearTimeout(timer);
      timer = setTimeout(() => xhr.abort(), milliseconds);
    };
    const stop = () => xhr.abort();
    xhr.open(method, url);
    for (const [name, value] of Object.entries({ Accept: "application/json", ...headers, ...csrfHeaders() })) {
      xhr.setRequestHeader(name, value);
    }
    xhr.upload.onprogress = (event) => {
      wait(event.loaded < body.size ? STILL_MS : ANSWER_MS);
      onProgress(event.loaded);
    };
    xhr.upload.onload = () => wait(ANSWER_MS);
    xhr.onloadend = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      if (signal.aborted) reject(signal.reason);
      else if (xhr.status === 0) reject(new ApiError(0, ""));
      else resolve(responseOf(xhr));
    };
    signal.addEventListener("abort", stop, { once: true });
    wait(STILL_MS);
    xhr.send(body);
  });
}

/** @param {XMLHttpRequest} xhr */
function responseOf(xhr) {
  const headers = new Headers();
  for (const line of xhr.getAllResponseHeaders().trim().split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const hasBody = ![204, 205, 304].includes(xhr.status);
  return new Response(hasBody ? xhr.responseText : null, { status: xhr.status, headers });
}
