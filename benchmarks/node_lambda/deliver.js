// The function behind a function URL: returns the stored rendition that the path names.
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'

const s3 = new S3Client({
  forcePathStyle: true,
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED'
})

export async function handler (event) {
  const { method } = event.requestContext.http
  if (method !== 'GET' && method !== 'HEAD') return { statusCode: 405, headers: { allow: 'GET, HEAD' } }
  try {
    const found = await s3.send(new GetObjectCommand({
      Bucket: process.env.PROCESSED_BUCKET,
      Key: decodeURIComponent(event.rawPath.slice(1)),
      IfNoneMatch: event.headers['if-none-match']
    }))
    const headers = {
      'content-type': found.ContentType,
      'cache-control': found.CacheControl,
      etag: found.ETag,
      'last-modified': found.LastModified.toUTCString()
    }
    if (method === 'HEAD') return { statusCode: 200, headers }
    const body = Buffer.from(await found.Body.transformToByteArray())
    return { statusCode: 200, headers, body: body.toString('base64'), isBase64Encoded: true }
  } catch (error) {
    const statusCode = { NoSuchKey: 404, NotModified: 304 }[error.name] ?? error.$metadata?.httpStatusCode
    if (statusCode === 404 || statusCode === 304) return { statusCode }
    throw error
  }
}
