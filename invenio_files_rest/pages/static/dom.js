// Making elements.

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} name
 * @param {Record<string, unknown>} [properties] Its properties; `dataset` and names with a dash are set as attributes are.
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "dataset") Object.assign(element.dataset, value);
    else if (key.includes("-") || key === "for") element.setAttribute(key, String(value));
    else element[key] = value;
  }
  element.append(...children);
  return element;
}
