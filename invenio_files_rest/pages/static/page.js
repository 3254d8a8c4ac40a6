// What scripts add to the page of a bucket, which the server has made.

import { mountUploads } from "./uploads/panel.js";

const uploads = document.getElementById("uploads");
if (uploads) mountUploads(uploads);
