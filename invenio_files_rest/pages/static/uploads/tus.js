/** What a client of tus 1.0 says: begin, ask, append, end. */

import { request } from "../api.js";
import { send } from "./send.js";

const VERSION = { "Tus-Resumable": "1.0.0" };
const A_DAY_MS = 86_400_000;

/**
 * @typedef {object} Offset How far an upload has come.
 * @property {number} offset In bytes.
 * @property {number} expires When the server forgets it, in milliseconds since 1970.
 */

/**
 * Tell what the bucket takes.
 *
 * @param {string} bucket URL of the bucket.
 * @returns {Promise<{mayStore: boolean, hasTus: boolean, most: number}>} Whether one may store anything, whether there
 *   are uploads of tus, and how large a file may be, in bytes.
 */
export async function discover(bucket) {
  const { headers } = await request("OPTIONS", bucket);
  const hasTus = headers.has("Tus-Version");
  const most = headers.get("Tus-Max-Size");
  return { mayStore: hasTus || headers.has("Upload-Limit"), hasTus, most: most === null ? Infinity : Number(most) };
}

/**
 * Begin an upload.
 *
 * @param {string} bucket URL of the bucket.
 * @param {{key: string, file: File, conditions: Record<string, string>, signal: AbortSignal}} upload
 * @returns {Promise<{url: string, expires: number}>}
 */
export async function begin(bucket, { key, file, conditions, signal }) {
  const headers = {
    ...VERSION,
    ...conditions,
    "Upload-Length": String(file.size),
    "Upload-Metadata": `key ${base64(key)}`,
  };
  const answer = await request("POST", `${bucket}?tus`, { headers, signal });
  const url = new URL(answer.headers.get("Location") ?? "", new URL(bucket, location.href));
  // Behind a proxy the server may not know under which name it is reached.
  return { url: url.pathname + url.search, expires: expiryOf(answer) };
}

/**
 * Ask how far an upload has come, and stop who still writes it.
 *
 * @param {string} url URL of the upload.
 * @param {AbortSignal} signal
 * @returns {Promise<Offset>}
 */
export async function ask(url, signal) {
  return offsetOf(await request("HEAD", url, { headers: VERSION, signal }));
}

/**
 * Append bytes to an upload.
 *
 * @param {string} url URL of the upload.
 * @param {number} offset Where they begin.
 * @param {{body: Blob, signal: AbortSignal, onProgress: (bytes: number) => void}} piece
 * @returns {Promise<Offset>}
 */
export async function append(url, offset, piece) {
  const headers = {
    ...VERSION,
    "Upload-Offset": String(offset),
    "Content-Type": "application/offset+octet-stream",
  };
  return offsetOf(await send("PATCH", url, { ...piece, headers }));
}

/**
 * End an upload, and give back the room that it takes.
 *
 * @param {string} url URL of the upload.
 */
export async function end(url) {
  await request("DELETE", url, { headers: VERSION });
}

/**
 * Look how far an upload has come, and disturb nobody who writes it.
 *
 * @param {string} url URL of the upload.
 * @returns {Promise<{status: string, offset: number | null, length: number}>}
 */
export async function look(url) {
  return (await request("GET", url)).json();
}

/**
 * @param {Response} answer
 * @returns {Offset}
 */
function offsetOf(answer) {
  return { offset: Number(answer.headers.get("Upload-Offset")), expires: expiryOf(answer) };
}

/** @param {Response} answer */
function expiryOf(answer) {
  return Date.parse(answer.headers.get("Upload-Expires") ?? "") || Date.now() + A_DAY_MS;
}

/** @param {string} text */
function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
