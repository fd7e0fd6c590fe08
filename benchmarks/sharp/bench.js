// The peer of render_worker.py: performs one task per line of stdin, answers with a line of JSON.
// A line is {"task": "five-clones" | "five-pipelines" | "one", "path": ...}.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import sharp from 'sharp'

// As our engine does: no operation cache, and one libvips thread for each pipeline.
sharp.cache(false)
sharp.concurrency(1)

const jpeg = { quality: 75, optimiseCoding: true, progressive: false, mozjpeg: false, chromaSubsampling: '4:2:0' }
const widths = [1920, 1280, 640, 320]

function five (open) {
  return Promise.all([
    ...widths.map((width) => open().resize({ width, withoutEnlargement: true }).jpeg(jpeg).toBuffer()),
    open().resize(200, 200, { fit: 'cover' }).jpeg(jpeg).toBuffer()
  ])
}

const tasks = {
  'five-clones': (photograph) => {
    const opened = sharp(photograph)
    return five(() => opened.clone())
  },
  'five-pipelines': (photograph) => five(() => sharp(photograph)),
  one: async (photograph) => [await sharp(photograph).resize({ width: 720 }).jpeg(jpeg).toBuffer()]
}

for await (const line of createInterface({ input: process.stdin })) {
  const { task, path } = JSON.parse(line)
  const photograph = readFileSync(path)
  const cpuBefore = process.cpuUsage()
  const wallBefore = process.hrtime.bigint()
  const bodies = await tasks[task](photograph)
  const cpu = process.cpuUsage(cpuBefore)
  const wall = Number(process.hrtime.bigint() - wallBefore) / 1e9
  const bytes = bodies.map((body) => body.length)
  console.log(JSON.stringify({ cpu: (cpu.user + cpu.system) / 1e6, wall, bytes }))
}
