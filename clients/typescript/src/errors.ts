// What can go wrong between a program and the server. An error response is a problem document (RFC 9457), whose
// `code` is stable.

import type { Image, Problem } from "./models.js";

/** The root. `retryable`: the same call may succeed later. The client has retried then. */
export class ImageProcessorError extends Error {
  readonly retryable: boolean;

  constructor(message: string, { retryable = false, cause }: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, { cause });
    this.name = new.target.name;
    this.retryable = retryable;
  }
}

/** No response came: the server cannot be reached, or the connection broke. */
export class ConnectionFailed extends ImageProcessorError {
  constructor(url: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`no response from ${url.split("?")[0]}: ${reason}`, { retryable: true, cause });
  }
}

/** An image was not processed in time. `image` is its last known state, null if there was none yet. */
export class WaitTimeout extends ImageProcessorError {
  constructor(
    id: string,
    seconds: number,
    readonly image: Image | null,
  ) {
    super(`expected image ${id} to be processed within ${seconds} s, got ${image?.status ?? "not found yet"}`);
  }
}

const RETRYABLE_STATUSES: readonly number[] = [429, 502, 503, 504];
const RETRYABLE_CODES: readonly string[] = ["claim-busy", "claim-lost", "idempotency-key-in-use"];

/** An error response: `status` of HTTP, a stable `code`, what was expected in `detail`, and often how to `fix` it. */
export class ApiError extends ImageProcessorError {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly fix: string | null;
  /** Every invalid value of the request. */
  readonly problems: Problem["problems"];
  /** Why a file is refused, such as `not-an-image`. */
  readonly reason: string | null;
  /** The record of a refused file. */
  readonly image: Image | null;

  constructor(
    problem: Problem,
    /** Seconds that the server asks to wait. */
    readonly retryAfter: number | null = null,
  ) {
    const { status, code, detail } = problem;
    super(`${status} ${code}: ${detail}`, {
      retryable: RETRYABLE_STATUSES.includes(status) || RETRYABLE_CODES.includes(code),
    });
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.fix = problem.fix ?? null;
    this.problems = problem.problems ?? [];
    this.reason = problem.reason ?? null;
    this.image = problem.image ?? null;
  }
}

/** The file will never become renditions; `reason` and `fix` say why and what helps. */
export class Refused extends ApiError {
  static of(image: Image): Refused {
    const detail = image.message ?? `${image.original} was refused`;
    const { reason = null, fix = null } = image;
    return new Refused({ type: "about:blank", title: "Refused", status: 422, code: "refused", detail, reason, fix, image, problems: [] });
  }
}

/** There is no such image. */
export class NotFound extends ApiError {}

/** The key holds another file than the upload expected: with `overwrite: false`, any file. */
export class PreconditionFailed extends ApiError {}

/** The error of a response, also of proxies, API Gateway and S3, which send no problem documents. */
export function errorOf(status: number, headers: Headers, body: string): ApiError {
  const problem = problemOf(body) ?? foreignProblem(status, body);
  const seconds = headers.get("retry-after") ?? "";
  const retryAfter = /^[0-9]{1,6}$/.test(seconds) ? Number(seconds) : null;
  if (problem.code === "refused" || problem.code === "unreadable") return new Refused(problem, retryAfter);
  if (status === 404) return new NotFound(problem, retryAfter);
  if (problem.code === "precondition-failed") return new PreconditionFailed(problem, retryAfter);
  return new ApiError(problem, retryAfter);
}

function problemOf(body: string): Problem | null {
  try {
    const problem = JSON.parse(body) as Partial<Problem>;
    return typeof problem.status === "number" && typeof problem.code === "string" ? (problem as Problem) : null;
  } catch {
    return null;
  }
}

function foreignProblem(status: number, body: string): Problem {
  const code = /<Code>([^<]{1,100})<\/Code>/.exec(body)?.[1] ?? `http-${status}`;
  const message = /<Message>([^<]*)<\/Message>|"message" *: *"([^"]*)"/.exec(body);
  const detail = message?.[1] ?? message?.[2] ?? body.trim().slice(0, 300);
  const title = `HTTP ${status}`;
  return { type: "about:blank", title, status, code, detail: detail || "a response without a body", problems: [] };
}
