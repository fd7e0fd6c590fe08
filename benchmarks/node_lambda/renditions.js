// What both functions do with an upload: GET, resize, PUT.
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import sharp from 'sharp'

// As in our own process: no operation cache, and one libvips thread for each pipeline.
sharp.cache(false)
sharp.concurrency(1)

const jpeg = { quality: 75, optimiseCoding: true, progressive: false, mozjpeg: false, chromaSubsampling: '4:2:0' }
const widths = process.env.WIDTHS.split(',').map(Number)

// Without checksums that nobody asked for: the SDK is not to lose time with them.
const s3 = new S3Client({
  forcePathStyle: true,
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED'
})

// The uploads that an event of SQS tells of: notifications of S3 in its messages.
export function uploadsIn (event) {
  return event.Records
    .flatMap((message) => JSON.parse(message.body).Records)
    .map(({ s3: { bucket, object } }) => ({
      Bucket: bucket.name,
      Key: decodeURIComponent(object.key.replaceAll('+', ' '))
    }))
}

// Returns the keys of the renditions, each of which is put as soon as it is made.
export async function makeRenditions (upload) {
  const { Body } = await s3.send(new GetObjectCommand(upload))
  const original = sharp(await Body.transformToByteArray())
  return await Promise.all(widths.map(async (width) => {
    const made = await original.clone().resize({ width, withoutEnlargement: true }).jpeg(jpeg).toBuffer()
    const Key = `${upload.Key}/w=${width}.jpg`
    await s3.send(new PutObjectCommand({
      Bucket: process.env.PROCESSED_BUCKET,
      Key,
      Body: made,
      ContentType: 'image/jpeg',
      CacheControl: 'public, max-age=3600'
    }))
    return Key
  }))
}
