// Times as the reader writes them, in the reader's time zone.

const page = document.documentElement.lang;

/** The language of the page as the reader writes it, such as "en-GB" for a page in English; `undefined` if it has none. */
export const language = [...(navigator.languages ?? []).filter((one) => one.split("-")[0] === page), page].find(isKnown);

/** @param {string} one A browser may name what is no language tag, such as "en-US@posix" for that of a system without one. */
function isKnown(one) {
  try {
    return Intl.DateTimeFormat.supportedLocalesOf(one).length > 0;
  } catch {
    return false;
  }
}

const format = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const full = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "long" });

/**
 * Return a time for the reader.
 * @param {string | number} moment As ISO 8601, or in milliseconds since 1970.
 * @returns {string}
 */
export function local(moment) {
  return format.format(new Date(moment));
}

/**
 * Show the times in an element as local ones, and its labels without the zone of the server.
 * @param {ParentNode} root
 */
export function localize(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    time.textContent = format.format(moment);
    time.title = full.format(moment);
  }
  for (const labelled of root.querySelectorAll("[data-local]")) {
    if (labelled.dataset.label) labelled.dataset.label = labelled.dataset.local;
    else labelled.textContent = labelled.dataset.local;
  }
}
