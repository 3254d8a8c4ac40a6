// Tags of a bucket or a file.

import { request } from "./api.js";
import { ask } from "./dialog.js";
import { make } from "./dom.js";
import { say } from "./messages.js";
import { complain } from "./notices.js";

/**
 * Let the tags in a section be changed.
 * @param {HTMLElement} section
 */
export function mountTags(section) {
  const [base, query] = section.dataset.tags.split("?");
  const url = `${base}?tags${query ? `&${query}` : ""}`;
  section.querySelector("[data-do=edit-tags]")?.addEventListener("click", async () => {
    try {
      const { tags } = await (await request("GET", url)).json();
      const list = make("div", { className: "tag-rows" }, ...Object.entries(tags).map(([key, value]) => row(key, value)));
      const add = make("button", { type: "button", className: "plain", textContent: say("tag_add") });
      add.addEventListener("click", () => list.appendChild(row("", "")).querySelector("input").focus());
      if (!list.childElementCount) list.append(row("", ""));
      const run = async () => {
        const now = read(list);
        const headers = { "Content-Type": "application/json" };
        await request("PUT", url, { headers, body: JSON.stringify({ tags: now }) });
        return now;
      };
      const now = await ask({ title: say("tags_title"), fields: [list, make("p", {}, add)], submit: say("save"), run });
      if (now) show(section, now);
    } catch (error) {
      complain(error);
    }
  });
}

/** @param {string} key @param {string} value */
function row(key, value) {
  const name = make("input", { value: key, maxLength: 255, autocomplete: "off", "aria-label": say("tag_key"), placeholder: say("tag_key") });
  const text = make("input", { value, maxLength: 255, autocomplete: "off", "aria-label": say("tag_value"), placeholder: say("tag_value") });
  const drop = make("button", { type: "button", className: "plain", textContent: "×", "aria-label": say("tag_remove", { name: key }) });
  const found = make("div", { className: "tag-row" }, name, text, drop);
  drop.addEventListener("click", () => {
    (found.nextElementSibling ?? found.previousElementSibling)?.querySelector("input").focus();
    found.remove();
  });
  return found;
}

/** @param {HTMLElement} list @returns {Record<string, string>} */
function read(list) {
  // Without a prototype, a tag may have any name.
  const tags = Object.create(null);
  for (const one of list.children) {
    const [key, value] = [...one.querySelectorAll("input")].map((input) => input.value.trim());
    if (!key && !value) continue;
    if (Object.hasOwn(tags, key)) throw new Error(say("tag_twice", { name: key }));
    tags[key] = value;
  }
  return tags;
}

/** @param {HTMLElement} section @param {Record<string, string>} tags */
function show(section, tags) {
  const shown = Object.entries(tags)
    .sort()
    .map(([key, value]) => make("div", {}, make("dt", { textContent: key }), make("dd", { textContent: value })));
  section.querySelector("dl, p.quiet").replaceWith(make("dl", { className: "tag-list" }, ...shown));
}
