// Uploads from the browser, in place of the form that works without scripts.

/**
 * Take over the section of uploads.
 * @param {HTMLElement} section It has the form, and says where to store: `data-api` and `data-prefix`. It gets the event
 *   `files:changed` after uploads have ended.
 */
export function mountUploads(section) {
  section.dataset.mounted = "";
}
