// ipx on the files of a folder: `node server.js FOLDER PORT`. It renders each request anew.
import { createServer } from "node:http";
import { createIPX, createIPXNodeServer, ipxFSStorage } from "ipx";

const [folder, port] = process.argv.slice(2);
const ipx = createIPX({ storage: ipxFSStorage({ dir: folder }), maxAge: 3600 });
const answer = createIPXNodeServer(ipx);
createServer((request, response) => {
  if (request.url === "/health") response.end("ok");
  else answer(request, response);
}).listen(Number(port), "127.0.0.1");
