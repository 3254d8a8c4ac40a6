// The page of a file: to rename and to delete it, to restore and to remove its versions.

import { ask, field } from "./dialog.js";
import { say } from "./messages.js";
import { reload } from "./listing.js";
import { complain, tell } from "./notices.js";
import { move, remove, removeVersion, restore, urlOf } from "./objects.js";

/**
 * Have the page of a file do what scripts can do.
 * @param {HTMLElement} file
 */
export function mountFile(file) {
  const { key, url, etag, folder } = file.dataset;

  const actions = {
    async rename() {
      const target = await ask({
        title: say("rename_title"),
        fields: [field("key", say("rename_key"), key, say("rename_help"))],
        submit: say("rename_title"),
        run: async (form) => {
          const wanted = new FormData(form).get("key");
          if (wanted !== key) await move(key, wanted);
          return wanted;
        },
      });
      if (target && target !== key) location.assign(urlOf(target).replace(/^.*?\/api\/files\//, detailsBase()));
    },

    async "delete-file"() {
      await remove(url, etag);
      location.assign(folder);
    },

    async "restore-version"(row) {
      await restore(url, row.dataset.version, row.closest("#versions").dataset.head);
      // The page shows the latest version, which is another one now.
      location.reload();
    },

    async "remove-version"(row) {
      const done = await ask({
        title: say("remove_title"),
        text: say("remove_text"),
        submit: say("remove"),
        danger: true,
        run: () => removeVersion(url, row.dataset.version),
      });
      if (!done) return;
      if (row.dataset.version === file.dataset.version) return location.assign(folder);
      await reload();
      tell(say("removed"));
    },
  };

  const detailsBase = () => location.pathname.replace(/(\/details\/).*/s, "$1");

  file.addEventListener("click", async (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-do]");
    if (!button || !actions[button.dataset.do]) return;
    button.disabled = true;
    try {
      await actions[button.dataset.do](button.closest("tr"));
    } catch (error) {
      complain(error);
    }
    button.disabled = false;
  });
}
