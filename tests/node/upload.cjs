// Uploads a file with tus-js-client as the options on the command line have it, and prints what came of it as JSON.
"use strict";

const fs = require("fs");
const { Readable } = require("stream");
const tus = require("tus-js-client");

const { path, stream, buffer, abortAt, terminate, again, options } = JSON.parse(process.argv[2]);

function tell(what) {
  process.stdout.write(JSON.stringify(what) + "\n");
}

if (terminate) {
  tus.Upload.terminate(terminate, options).then(
    () => tell({ terminated: true }),
    (error) => tell({ error: error.message }),
  );
} else {
  const file = buffer ? fs.readFileSync(path) : fs.createReadStream(path);
  // Of a stream without a path nobody knows how long it is.
  const source = stream ? Readable.from(file) : file;
  const requests = [];
  // As a person who presses "retry".
  let presses = again || 0;
  const upload = new tus.Upload(source, {
    ...options,
    onAfterResponse: (request, response) => {
      requests.push([request.getMethod(), response.getStatus()]);
    },
    onProgress: (sent) => {
      if (abortAt && sent >= abortAt) {
        upload.abort().then(() => {
          tell({ aborted: true, url: upload.url });
          process.exit();
        });
      }
    },
    onError: (error) => (presses-- > 0 ? upload.start() : tell({ error: error.message, requests })),
    onSuccess: () => tell({ url: upload.url, requests }),
  });
  upload.start();
}
