// What the server returns, by the names of this package. Generated types are in schema.ts.

import type { components } from "./schema.js";

type Schemas = components["schemas"];

/** With `fields`, the images of a listing have only those, and id, bucket, original and status. */
export type Image = Schemas["ImageModel"];
export type Rendition = Schemas["RenditionModel"];
export type Upload = Schemas["UploadModel"];
export type Listing = Schemas["ListingModel"];
export type Markup = Schemas["MarkupModel"];
export type OnDemandRendition = Schemas["OnDemandRenditionModel"];
export type PresignedPost = Schemas["PresignedPostModel"];
export type Problem = Schemas["ProblemModel"];
