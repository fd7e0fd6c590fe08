// Uploads of large files by tus: after an interruption, and after the page was closed, the rest is sent. Loaded when
// it is needed.

import { DetailedError, Upload } from "tus-js-client";

import { LOST, Problem, STOPPED, type Watch } from "./client";

const RETRY_MILLISECONDS = [500, 1000, 3000, 5000, 10_000, 20_000];

// Stores a file under a key that must be free. Returns the id of the image.
export async function send(endpoint: string, key: string, file: File, watch: Watch): Promise<string> {
  let resolve: (id: string) => void, reject: (problem: Problem) => void;
  const ended = new Promise<string>((...ends) => ([resolve, reject] = ends));
  const upload = new Upload(file, {
    endpoint: new URL(endpoint, document.baseURI).href,
    metadata: { key, filename: file.name, filetype: file.type },
    headers: { "If-None-Match": "*" },
    retryDelays: RETRY_MILLISECONDS,
    onShouldRetry: mayContinue,
    removeFingerprintOnSuccess: true,
    onProgress: (sent, total) => watch.onProgress?.(sent / (total || 1)),
    onSuccess: ({ lastResponse }) =>
      resolve(lastResponse.getHeader("Content-Location")!.split("/").pop()!),
    onError: (error) => reject(problemOf(error)),
  });
  const begun = (await upload.findPreviousUploads()).find(({ metadata }) => metadata.key === key);
  if (begun) upload.resumeFromPreviousUpload(begun);
  watch.stop.addEventListener("abort", () => reject(STOPPED), { once: true });
  // Called at once, too.
  const unsubscribe = watch.isPaused.subscribe((isPaused) => {
    if (isPaused) void upload.abort();
    else if (!watch.stop.aborted) upload.start();
  });
  try {
    return await ended;
  } finally {
    unsubscribe();
    if (watch.stop.aborted) void upload.abort();
  }
}

// As tus decides by itself, and after a 429, too: what stands in front of the server may limit its clients.
function mayContinue({ originalResponse }: DetailedError): boolean {
  const status = originalResponse?.getStatus() ?? 0;
  return navigator.onLine && (status < 400 || status >= 500 || [409, 423, 429].includes(status));
}

function problemOf(error: Error | DetailedError): Problem {
  const response = error instanceof DetailedError ? error.originalResponse : null;
  if (!response) return LOST;
  try {
    return new Problem(JSON.parse(response.getBody()));
  } catch {
    return new Problem({ detail: `The server answered ${response.getStatus()}.` });
  }
}
