// Times as the reader writes them, in the reader's time zone.

const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

/**
 * Return a time for the reader.
 * @param {string} moment As ISO 8601.
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
