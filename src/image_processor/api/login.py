"""Routes with which the page signs in: a token is exchanged for the cookie of a session."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, Field, SecretStr

from image_processor.config.tokens import Scope, find_token

from .access_guard import Authenticator, Caller, caller_of, cookies_of, refuse_token
from .dependencies import require_json
from .models import Model
from .problems import errors
from .sessions import COOKIE, SESSION_SECONDS

router = APIRouter(tags=["session"])


class SessionModel(Model):
    """Who sends the request, and what they may do."""

    required: bool = Field(description="Whether the server asks for tokens.")
    scope: Scope | None = Field(description="What the caller may do; null for strangers.", examples=["write"])
    name: str | None = Field(description="The name of the caller's token.", examples=["editors"])
    expires_at: AwareDatetime | None = Field(description="When the page has to sign in again.")

    @classmethod
    def of(cls, caller: Caller, *, required: bool) -> SessionModel:
        session, token = caller.session, caller.token
        expires = datetime.fromtimestamp(session.expires, UTC) if session else None
        name = token.name if token else None
        return cls(required=required, scope=caller.scope, name=name, expires_at=expires)


class LoginRequest(Model):
    token: SecretStr = Field(
        description="A token of `image-processor token create`.", max_length=200, examples=["imgp_..."]
    )


async def _authenticator(request: Request) -> Authenticator:
    authenticator: Authenticator = request.app.state.authenticator
    return authenticator


AuthenticatorOf = Annotated[Authenticator, Depends(_authenticator)]


async def _caller(request: Request) -> Caller:
    return caller_of(request)


CallerOf = Annotated[Caller, Depends(_caller)]


@router.head("/session", include_in_schema=False)
@router.get("/session")
async def get_session(caller: CallerOf, authenticator: AuthenticatorOf) -> SessionModel:
    """Say who sends the request, and whether the server asks for tokens."""
    return SessionModel.of(caller, required=bool(authenticator.tokens()))


@router.post("/session", dependencies=[require_json], responses=errors(400, 401, 403, 415, 429))
async def post_session(
    body: LoginRequest, request: Request, response: Response, authenticator: AuthenticatorOf
) -> SessionModel:
    """Sign in: exchange a token for a cookie, which the page sends from then on.

    The cookie is for this server's pages only (SameSite=Strict), scripts cannot read it, and it is valid for
    12 hours. After ten unknown tokens from one address within a minute, further unknown ones are a 429 until
    it is over.
    """
    token = find_token(authenticator.tokens(), body.token.get_secret_value())
    if token is None:
        # FastAPI sends a Response as it is.
        return refuse_token(authenticator, request.scope)  # type: ignore[return-value]
    authenticator.sessions.close(cookies_of(request.scope))
    cookie, session = authenticator.sessions.open(token)
    # Without a path the cookie is for the folder of this URL, which is that of the page, also below a path
    # that a proxy strips.
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=SESSION_SECONDS,
        path=None,
        secure=_is_secure(request),
        httponly=True,
        samesite="strict",
    )
    return SessionModel.of(Caller(token.scope, token, session), required=True)


@router.delete("/session", status_code=204, responses=errors(403))
async def delete_session(request: Request, authenticator: AuthenticatorOf) -> Response:
    """Sign out: end the session of the cookie, also for event streams that are open."""
    authenticator.sessions.close(cookies_of(request.scope))
    response = Response(status_code=204)
    response.set_cookie(COOKIE, "", max_age=0, path=None, httponly=True, samesite="strict")
    return response


def _is_secure(request: Request) -> bool:
    """Whether the page was loaded through TLS. Its browser says so in Origin, also behind a proxy that
    forwards nothing of it; a browser would drop a Secure cookie that came without TLS."""
    origin = request.headers.get("origin")
    if origin is not None:
        return urlsplit(origin).scheme == "https"
    return request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower() == "https"
