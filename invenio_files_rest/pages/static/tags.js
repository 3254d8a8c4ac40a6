// Tags of a bucket or a file.

import { ApiError, request } from "./api.js";
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
      let seen = await load(url);
      const list = make("div", { className: "tag-rows" }, ...rows(seen.tags));
      const add = make("button", { type: "button", className: "plain", textContent: say("tag_add") });
      add.addEventListener("click", () => list.appendChild(row("", "")).querySelector("input").focus());
      const run = async () => {
        const now = read(list);
        const headers = { "Content-Type": "application/json", "If-Match": seen.etag };
        try {
          await request("PUT", url, { headers, body: JSON.stringify({ tags: now }) });
        } catch (error) {
          if (!(error instanceof ApiError) || error.status !== 412 || !list.isConnected) throw error;
          const latest = await load(url);
          list.replaceChildren(...rows(merge(seen.tags, now, latest.tags), latest.tags, seen.tags));
          seen = latest;
          throw new Error(say("tags_changed"));
        }
        return now;
      };
      const now = await ask({ title: say("tags_title"), fields: [list, make("p", {}, add)], submit: say("save"), run });
      if (now) show(section, now);
    } catch (error) {
      complain(error);
    }
  });
}

/**
 * @param {string} url
 * @returns {Promise<{tags: Record<string, string>, etag: string}>}
 */
async function load(url) {
  const answer = await request("GET", url);
  // A proxy that compresses the answer makes another tag of it.
  const etag = (answer.headers.get("ETag") ?? "*").replace(/^W\//, "").replace(/-(gzip|br|zstd|deflate)"$/, '"');
  return { tags: (await answer.json()).tags, etag };
}

/**
 * Make the changes of one person to what another one has changed meanwhile.
 * @param {Record<string, string>} seen What both began with.
 * @param {Record<string, string>} now
 * @param {Record<string, string>} latest
 * @returns {Record<string, string>} What is taken away by one and changed by the other is there.
 */
function merge(seen, now, latest) {
  const merged = Object.assign(Object.create(null), latest);
  for (const [key, value] of Object.entries(seen)) if (!(key in now) && latest[key] === value) delete merged[key];
  for (const [key, value] of Object.entries(now)) if (!Object.hasOwn(seen, key) || seen[key] !== value) merged[key] = value;
  return merged;
}

/**
 * @param {Record<string, string>} tags
 * @param {Record<string, string>} [latest] What is there now.
 * @param {Record<string, string>} [seen] What was there before: what has changed is told.
 */
function rows(tags, latest = {}, seen = latest) {
  const isNew = (/** @type {string} */ key) => Object.hasOwn(latest, key) && latest[key] !== seen[key];
  const found = Object.entries(tags).map(([key, value]) => row(key, value, isNew(key) ? latest[key] : value));
  return found.length ? found : [row("", "")];
}

/** @param {string} key @param {string} value @param {string} [there] */
function row(key, value, there = value) {
  const name = make("input", { value: key, maxLength: 255, autocomplete: "off", "aria-label": say("tag_key"), placeholder: say("tag_key") });
  const text = make("input", { value, maxLength: 255, autocomplete: "off", "aria-label": say("tag_value"), placeholder: say("tag_value") });
  const drop = make("button", { type: "button", className: "plain", textContent: "×", "aria-label": say("tag_remove", { name: key }) });
  const other = there === value ? [] : [make("small", { textContent: say("tag_there", { value: there }) })];
  const found = make("div", { className: "tag-row" }, name, text, drop, ...other);
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
