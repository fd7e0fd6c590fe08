// The function without a table: makes the renditions and records nothing.
import { makeRenditions, uploadsIn } from './renditions.js'

export async function handler (event) {
  for (const upload of uploadsIn(event)) await makeRenditions(upload)
  return { batchItemFailures: [] }
}
