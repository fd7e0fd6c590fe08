// The function without a catalog: renditions, and nothing that remembers them.
import { makeRenditions, uploadsIn } from './renditions.js'

export async function handler (event) {
  for (const upload of uploadsIn(event)) await makeRenditions(upload)
  return { batchItemFailures: [] }
}
