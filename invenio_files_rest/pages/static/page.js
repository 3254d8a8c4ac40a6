// What scripts add to the pages of a bucket, which the server has made.

import { mountFile } from "./file.js";
import { mountLinks } from "./links.js";
import { mountListing, reload } from "./listing.js";
import { mountTags } from "./tags.js";
import { localize } from "./times.js";
import { mountUploads } from "./uploads/panel.js";

localize(document.body);
mountListing();

const file = document.getElementById("file");
if (file) mountFile(file);

for (const section of document.querySelectorAll("[data-tags]")) mountTags(section);

const links = document.getElementById("links");
if (links) mountLinks(links);

const uploads = document.getElementById("uploads");
if (uploads) {
  uploads.addEventListener("files:changed", () => reload());
  mountUploads(uploads);
}
