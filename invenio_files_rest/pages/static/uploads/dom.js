/** Elements that change while one looks at them. */

import { make } from "../dom.js";

/**
 * @param {string} text
 * @param {() => void} onclick
 * @param {string} [className]
 */
export function button(text, onclick, className = "plain") {
  return make("button", { type: "button", className, textContent: text, onclick });
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
