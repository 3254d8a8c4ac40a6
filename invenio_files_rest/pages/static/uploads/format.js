/** Sizes, rates, times and shares, as people write them in the language of the page. */

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

const language = () => document.documentElement.lang || undefined;

/** @param {number} count */
export function number(count) {
  return new Intl.NumberFormat(language()).format(count);
}

/** @param {number} bytes */
export function size(bytes) {
  let unit = 0;
  for (; bytes >= 999.5 && unit < UNITS.length - 1; unit += 1) bytes /= 1000;
  const digits = unit === 0 || bytes >= 100 ? 0 : 1;
  const options = { style: "unit", unit: UNITS[unit], unitDisplay: unit === 0 ? "long" : "short", maximumFractionDigits: digits };
  return new Intl.NumberFormat(language(), /** @type {Intl.NumberFormatOptions} */ (options)).format(bytes);
}

/**
 * @param {number} part
 * @param {number} whole
 */
export function share(part, whole) {
  const found = whole > 0 ? Math.min(1, part / whole) : 0;
  return new Intl.NumberFormat(language(), { style: "percent" }).format(Math.floor(found * 100) / 100);
}

/** @param {number} seconds */
export function duration(seconds) {
  const [value, unit] =
    seconds < 60 ? [Math.max(1, Math.ceil(seconds / 5) * 5), "second"] :
    seconds < 3570 ? [Math.ceil(seconds / 60), "minute"] : [Math.round(seconds / 360) / 10, "hour"];
  return new Intl.NumberFormat(language(), { style: "unit", unit: String(unit), unitDisplay: "long" }).format(Number(value));
}

/** @param {number | string} moment Milliseconds since 1970, or ISO 8601. */
export function time(moment) {
  return new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" }).format(new Date(moment));
}
