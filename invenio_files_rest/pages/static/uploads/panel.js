/** The part of a bucket's page where files are uploaded. */

import { Announcer } from "./announcer.js";
import { makeChooser } from "./chooser.js";
import { make } from "../dom.js";
import { takeIn, takeUp } from "./intake.js";
import { Link } from "./link.js";
import { Memory } from "./memory.js";
import { Overall } from "./overall.js";
import { Questions } from "./question.js";
import { Queue } from "./queue.js";
import { Rows } from "./rows.js";
import { Unfinished } from "./unfinished.js";

const DRAW_MS = 250;
const TELL_MS = 2000;

/**
 * Put what uploads files into a section of the page, in place of the form that it has for browsers without scripts.
 *
 * @param {HTMLElement} section Its `data-api` is the URL of the bucket in the REST API, `data-prefix` what keys in the
 *   folder begin with, `data-key-length` the largest length of a key in characters, `data-smallest` the smallest size of
 *   a file in bytes, `data-conditions` empty where requests may have none. It gets an event `files:changed` where files
 *   have been stored, not more often than all two seconds.
 */
export function mountUploads(section) {
  const { api = "", prefix = "", keyLength, smallest, conditions } = section.dataset;
  // The path alone: behind a proxy the server may not know under which name it is reached.
  const bucket = new URL(api, location.href).pathname;
  const user = document.querySelector("header .user")?.textContent ?? "";
  const limits = { longest: Number(keyLength ?? 255), smallest: Number(smallest ?? 0) };
  const place = { bucket, hasTus: true, hasConditions: conditions !== "", link: new Link(), memory: new Memory(bucket, user) };
  const queue = new Queue(place, limits.longest);
  const chooser = makeChooser((files) => takeIn(queue, files, prefix, limits));
  const [announcer, overall, questions, rows] = [new Announcer(), new Overall(queue), new Questions(queue), new Rows(queue, prefix)];
  const unfinished = new Unfinished(queue, (key, file) => takeUp(queue, key, file, limits));
  const panel = make("div", { className: "uploads" });
  for (const part of [chooser, announcer, unfinished, questions, overall, rows]) {
    panel.append(part instanceof HTMLElement ? part : part.element);
  }
  for (const form of section.querySelectorAll("form")) form.hidden = true;
  section.append(panel);

  const draw = throttled(DRAW_MS, () => {
    const totals = queue.totals();
    for (const part of [unfinished, questions, rows]) part.draw();
    overall.draw(totals);
    announcer.note(totals, queue.place.link.isAway);
    // Bytes move without anybody saying so.
    if (totals.counts.sending > 0 || queue.place.link.isWaiting) draw();
  });
  queue.onchange = draw;
  queue.onstored = throttled(TELL_MS, () => section.dispatchEvent(new CustomEvent("files:changed", { bubbles: true })));
  questions.onanswered = () => chooser.querySelector("button")?.focus();
  addEventListener("beforeunload", (event) => {
    if (queue.isActive) event.preventDefault();
  });
  unfinished.load();
}

/**
 * Return a function that does something soon, and once where it is called several times until then.
 *
 * @param {number} milliseconds
 * @param {() => void} work
 */
function throttled(milliseconds, work) {
  let timer = 0;
  return () => {
    timer ||= setTimeout(() => {
      timer = 0;
      work();
    }, milliseconds);
  };
}
