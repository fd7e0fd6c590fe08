// Uploads a file with tus-js-client: node tus_upload.mjs LIBRARY FILE ENDPOINT KEY, or with the address of an upload
// instead of KEY. Prints a line for each PATCH that was accepted, with the bytes that the server has.
import { createReadStream } from "node:fs";

const [library, path, endpoint, keyOrAddress] = process.argv.slice(2);
const { Upload } = await import(library);
const address = keyOrAddress.startsWith("http") ? keyOrAddress : null;
new Upload(createReadStream(path), {
  endpoint,
  uploadUrl: address,
  chunkSize: 64 * 1024,
  metadata: address ? {} : { key: keyOrAddress },
  headers: address ? {} : { "If-None-Match": "*" },
  retryDelays: Array(200).fill(200),
  onChunkComplete: (_, accepted) => console.log(`accepted ${accepted}`),
  onSuccess: ({ lastResponse }) => console.log(`stored ${lastResponse.getHeader("Content-Location")}`),
  onError: (error) => {
    console.log(`failed ${error}`);
    process.exit(1);
  },
}).start();
