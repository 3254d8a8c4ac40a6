/** Sizes, rates, durations and shares, as people write them in the language of the page. */

import { say } from "../messages.js";
import { language } from "../times.js";

const UNITS = ["kib", "mib", "gib", "tib"];

/** @param {number} count */
export function number(count) {
  return new Intl.NumberFormat(language).format(count);
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1024) {
    return new Intl.NumberFormat(language, { style: "unit", unit: "byte", unitDisplay: "long" }).format(bytes);
  }
  let unit = -1;
  for (; bytes >= 1024 && unit < UNITS.length - 1; unit += 1) bytes /= 1024;
  const digits = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  return say(UNITS[unit], { size: new Intl.NumberFormat(language, digits).format(bytes) });
}

/**
 * @param {number} part
 * @param {number} whole
 */
export function share(part, whole) {
  const found = whole > 0 ? Math.min(1, part / whole) : 0;
  return new Intl.NumberFormat(language, { style: "percent" }).format(Math.floor(found * 100) / 100);
}

/** @param {number} seconds */
export function duration(seconds) {
  const [value, unit] =
    seconds < 60 ? [Math.max(1, Math.ceil(seconds / 5) * 5), "second"] :
    seconds < 3570 ? [Math.ceil(seconds / 60), "minute"] : [Math.round(seconds / 360) / 10, "hour"];
  return new Intl.NumberFormat(language, { style: "unit", unit: String(unit), unitDisplay: "long" }).format(Number(value));
}
