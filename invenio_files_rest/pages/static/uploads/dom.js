/** Elements, made without a line of HTML, so that no name of a file is ever read as that. */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | boolean>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/**
 * @param {string} text
 * @param {() => void} onclick
 * @param {string} [className]
 */
export function button(text, onclick, className = "") {
  const made = element("button", { type: "button", ...(className ? { class: className } : {}) }, text);
  made.addEventListener("click", onclick);
  return made;
}

/**
 * Set the text of a node where it is another one: what does not change is not read out, and costs nothing.
 *
 * @param {Node} node
 * @param {string} text
 */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
