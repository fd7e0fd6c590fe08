// A client of image-processor: upload images, wait for their renditions, list and delete them, and write signed URLs
// and HTML without a request.

export { quote, type Transformation, type Value } from "./canonical.js";
export {
  Client,
  type CallOptions,
  type ClientOptions,
  type Filters,
  type ImportOptions,
  type ResumableOptions,
  type UploadOptions,
  type WaitOptions,
} from "./client.js";
export { ApiError, ConnectionFailed, ImageProcessorError, NotFound, PreconditionFailed, Refused, WaitTimeout } from "./errors.js";
export {
  img,
  imgProps,
  picture,
  srcset,
  type ImgOptions,
  type ImgProps,
  type Layout,
  type PictureFormat,
  type PictureOptions,
  type SrcsetOptions,
} from "./markup.js";
export type { Image, Listing, Markup, OnDemandRendition, PresignedPost, Problem, Rendition, Upload } from "./models.js";
export type { FileBody, OnProgress } from "./send.js";
export { UrlBuilder, imageId, type Expires, type UrlBuilderOptions, type UrlOptions } from "./urls.js";
