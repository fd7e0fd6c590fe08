// What both process functions do with an upload: GET, resize, PUT.
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import sharp from 'sharp'

// As our process function does: no operation cache, and one libvips thread for each pipeline.
sharp.cache(false)
sharp.concurrency(1)

const jpeg = { quality: 75, optimiseCoding: true, progressive: false, mozjpeg: false, chromaSubsampling: '4:2:0' }
const widths = process.env.WIDTHS.split(',').map(Number)

// Without optional checksums, so that the SDK spends no time on them.
const s3 = new S3Client({
  forcePathStyle: true,
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED'
})

// Returns the uploads in an SQS event: its messages hold S3 notifications.
export function uploadsIn (event) {
  return event.Records
    .flatMap((message) => JSON.parse(message.body).Records)
    .map(({ s3: { bucket, object } }) => ({
      Bucket: bucket.name,
      Key: decodeURIComponent(object.key.replaceAll('+', ' '))
    }))
}

// Returns the keys of the renditions. Each is stored as soon as it is rendered.
export async function makeRenditions (upload) {
  const { Body } = await s3.send(new GetObjectCommand(upload))
  const original = sharp(await Body.transformToByteArray())
  return await Promise.all(widths.map(async (width) => {
    const rendition = await original.clone().resize({ width, withoutEnlargement: true }).jpeg(jpeg).toBuffer()
    const Key = `${upload.Key}/w=${width}.jpg`
    await s3.send(new PutObjectCommand({
      Bucket: process.env.PROCESSED_BUCKET,
      Key,
      Body: rendition,
      ContentType: 'image/jpeg',
      CacheControl: 'public, max-age=3600'
    }))
    return Key
  }))
}
