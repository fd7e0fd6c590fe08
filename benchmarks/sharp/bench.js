// The peer of render_worker.py: performs one task per line of stdin, answers with a line of JSON.
// A line is {"task": ..., "path": ...}; with "into" the renditions are also written into that folder.
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import sharp from 'sharp'

// As our engine does: no operation cache, and one libvips thread for each pipeline.
sharp.cache(false)
sharp.concurrency(1)

const jpeg = ['jpeg', { quality: 75, optimiseCoding: true, progressive: false, mozjpeg: false, chromaSubsampling: '4:2:0' }]
const webp = ['webp', { quality: 80, effort: 4 }]
const avif = ['avif', {}]
const widths = [1920, 1280, 640, 320]

// The renditions of five sizes in each of these formats; `position` is what the square shows.
function five (open, formats, position) {
  const sizes = [
    ...widths.map((width) => () => open().resize({ width, withoutEnlargement: true })),
    () => open().resize(200, 200, { fit: 'cover', position })
  ]
  return sizes.flatMap((resize) => formats.map(([format, options]) => [format, resize().toFormat(format, options)]))
}

const clones = (photograph) => {
  const opened = sharp(photograph)
  return () => opened.clone()
}
const pipelines = (photograph) => () => sharp(photograph)

const tasks = {
  'five-clones': (photograph) => five(clones(photograph), [jpeg]),
  'five-pipelines': (photograph) => five(pipelines(photograph), [jpeg]),
  'five-webp-clones': (photograph) => five(clones(photograph), [webp]),
  'five-webp-pipelines': (photograph) => five(pipelines(photograph), [webp]),
  recipe: (photograph) => five(clones(photograph), [avif, jpeg], 'attention'),
  one: (photograph) => [['jpeg', sharp(photograph).resize({ width: 720 }).jpeg(jpeg[1])]]
}

for await (const line of createInterface({ input: process.stdin })) {
  const { task, path, into } = JSON.parse(line)
  const photograph = readFileSync(path)
  const cpuBefore = process.cpuUsage()
  const wallBefore = process.hrtime.bigint()
  const renditions = tasks[task](photograph)
  const bodies = await Promise.all(renditions.map(([, pipeline]) => pipeline.toBuffer()))
  const cpu = process.cpuUsage(cpuBefore)
  const wall = Number(process.hrtime.bigint() - wallBefore) / 1e9
  if (into) bodies.forEach((body, number) => writeFileSync(join(into, `${number}.${renditions[number][0]}`), body))
  const bytes = bodies.map((body) => body.length)
  console.log(JSON.stringify({ cpu: (cpu.user + cpu.system) / 1e6, wall, bytes }))
}
