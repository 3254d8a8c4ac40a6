// Requests to the REST API with the session of the page, and what is said where they fail.

import { say } from "./messages.js";

const BY_STATUS = { 401: "refused", 404: "gone", 412: "changed", 429: "busy", 502: "away", 503: "busy", 504: "away", 507: "full" };

/** A request that was refused, or had no answer. */
export class ApiError extends Error {
  /**
   * @param {number} status The status; 0 where there was no answer.
   * @param {string} message What to tell the person.
   * @param {number | null} retryAfter Seconds after which to try again, where the server says so.
   */
  constructor(status, message, retryAfter = null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whether the session has ended, so that one has to log in again. */
  get loggedOut() {
    return this.status === 401;
  }
}

/** Milliseconds for which it is known whether one is logged in: of what is refused at once, one question is enough. */
const BURST_MS = 1000;

const token = () => document.cookie.match(/(?:^|; )csrftoken=([^;]*)/)?.[1] ?? "";

/**
 * Return the headers that prove that a request comes from a page of this site. The cookie that they are made of is there
 * once `request` has sent something that is no GET.
 * @returns {Record<string, string>}
 */
export function csrfHeaders() {
  return { "X-CSRFToken": token() };
}

/**
 * Send a request with the session.
 * @param {string} method
 * @param {string} url
 * @param {{headers?: Record<string, string>, body?: BodyInit | null, signal?: AbortSignal}} [options]
 * @returns {Promise<Response>} The answer, whose status is one of success.
 * @throws {ApiError} If it is refused, or the server is away; a DOMException if it is aborted.
 */
export async function request(method, url, { headers = {}, body = null, signal } = {}) {
  const send = () => fetch(url, { method, headers: { Accept: "application/json", ...headers, ...csrfHeaders() }, body, signal });
  const before = token();
  let response;
  try {
    response = await send();
    // The first request that changes something brings the cookie.
    if (response.status === 400 && token() !== before) response = await send();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, say("away"));
  }
  if (response.ok) return response;
  throw await errorOf(response);
}

/**
 * Make an error of an answer.
 * @param {Response} response
 * @returns {Promise<ApiError>}
 */
export async function errorOf(response) {
  const after = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const retryAfter = Number.isNaN(after) ? null : after;
  if ([400, 401, 403, 404].includes(response.status) && (await hasLoggedOut())) {
    return new ApiError(401, say("session"), retryAfter);
  }
  const said = await response.json().catch(() => ({}));
  const details = (said.errors ?? []).map((detail) => detail.message).filter(Boolean);
  const known = BY_STATUS[response.status];
  const message = known ? say(known) : details.join(" ") || said.message || say("failed", { status: response.status });
  return new ApiError(response.status, message, retryAfter);
}

/** @type {Promise<boolean> | null} */
let lookedUp = null;

/**
 * Tell whether the page was made for somebody who is not logged in any more: to whom the API hides what is there.
 * @returns {Promise<boolean>}
 */
async function hasLoggedOut() {
  if (!document.querySelector("header .user")) return false;
  lookedUp ??= isPageOfNobody().finally(() => setTimeout(() => (lookedUp = null), BURST_MS));
  return lookedUp;
}

/** @returns {Promise<boolean>} */
async function isPageOfNobody() {
  const page = await fetch(location.href).then((answer) => answer.text(), () => null);
  return page !== null && !new DOMParser().parseFromString(page, "text/html").querySelector("header .user");
}
