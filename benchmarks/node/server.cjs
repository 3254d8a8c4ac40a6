// The reference server of tus: server.cjs PORT FOLDER
"use strict";

const { Server } = require("@tus/server");
const { FileStore } = require("@tus/file-store");

const [port, folder] = process.argv.slice(2);
new Server({ path: "/files", datastore: new FileStore({ directory: folder }) }).listen({ host: "127.0.0.1", port });
