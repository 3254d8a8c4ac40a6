// Strings that the server has translated, and put into the page.

const found = document.getElementById("messages");
const strings = found ? JSON.parse(found.textContent) : {};

/**
 * Return a string in the language of the page.
 * @param {string} name Its name in pages/messages.py.
 * @param {Record<string, string | number>} [values] What takes the place of `{name}` in it.
 * @returns {string}
 */
export function say(name, values = {}) {
  return (strings[name] ?? name).replace(/\{(\w+)\}/g, (all, key) => String(values[key] ?? all));
}
