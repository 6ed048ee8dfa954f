// Checks YAML files by the YAML language server, which editors use: prints one JSON line per file with its diagnostics.
// Usage: node yaml_diagnostics.mjs SERVER SCHEMA FILE…

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [server, schema, ...files] = process.argv.slice(2);
const child = spawn(process.execPath, [server, "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });

const settings = {
  yaml: {
    schemas: { [pathToFileURL(schema).href]: files.map((file) => pathToFileURL(file).href) },
    schemaStore: { enable: false },
    validate: true,
  },
};

function send(message) {
  const text = JSON.stringify({ jsonrpc: "2.0", ...message });
  child.stdin.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
}

function answer(message) {
  if (message.method === "workspace/configuration") {
    send({ id: message.id, result: message.params.items.map((item) => settings[item.section] ?? null) });
  } else if (message.id !== undefined && message.method) {
    send({ id: message.id, result: null });
  }
}

const found = new Map();

function receive(message) {
  answer(message);
  if (message.id === 1) {
    send({ method: "initialized", params: {} });
    send({ method: "workspace/didChangeConfiguration", params: { settings } });
    for (const file of files) {
      const textDocument = { uri: pathToFileURL(file).href, languageId: "yaml", version: 1, text: readFileSync(file, "utf8") };
      send({ method: "textDocument/didOpen", params: { textDocument } });
    }
  } else if (message.method === "textDocument/publishDiagnostics") {
    found.set(message.params.uri, message.params.diagnostics);
    if (files.every((file) => found.has(pathToFileURL(file).href))) {
      for (const file of files) {
        const diagnostics = found.get(pathToFileURL(file).href);
        console.log(JSON.stringify(diagnostics.map((it) => `${it.range.start.line + 1}: ${it.message}`)));
      }
      child.kill();
      process.exit(0);
    }
  }
}

let buffer = Buffer.alloc(0);
child.stdout.on("data", (data) => {
  buffer = Buffer.concat([buffer, data]);
  for (;;) {
    const end = buffer.indexOf("\r\n\r\n");
    const length = end < 0 ? null : /Content-Length: (\d+)/i.exec(buffer.subarray(0, end).toString());
    if (!length || buffer.length < end + 4 + Number(length[1])) return;
    const text = buffer.subarray(end + 4, end + 4 + Number(length[1])).toString();
    buffer = buffer.subarray(end + 4 + Number(length[1]));
    receive(JSON.parse(text));
  }
});

send({
  id: 1,
  method: "initialize",
  params: { processId: process.pid, rootUri: null, capabilities: { workspace: { configuration: true } } },
});
