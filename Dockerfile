# The server of one machine as a container image: `docker build -t image-processor .`
# docs/production.md says how it is run. It runs as a user without rights and writes to /data only.

# Debian with Python >= 3.11, or an image made from one. Both stages must have the same.
# checkov:skip=CKV_DOCKER_7:the tag is in the argument
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/image-processor
COPY requirements/build.txt requirements/container.txt requirements/
# The pins come with hashes: --require-hashes refuses anything else. pyvips is built from source with the
# pinned build tools, so they are installed beside the image's own environment and not in it.
RUN /build/bin/pip install --quiet --require-hashes -r requirements/build.txt \
    && /build/bin/pip wheel --quiet --require-hashes --no-build-isolation --wheel-dir /dist -r requirements/container.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /dist . \
    && /build/bin/pip --python /opt/image-processor/bin/python3 install --quiet --no-deps --no-index /dist/*.whl \
    && /opt/image-processor/bin/image-processor --version

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="image-processor" \
      org.opencontainers.image.description="An upload becomes renditions, a URL becomes a rendition." \
      org.opencontainers.image.licenses="Apache-2.0"
# tini forwards signals and collects processes whose parent has died. The fonts are for text overlays.
RUN command -v tini >/dev/null && [ -d /usr/share/fonts/truetype/dejavu ] \
    || { apt-get update -q && apt-get install -y -q --no-install-recommends tini fonts-dejavu-core \
         && rm -rf /var/lib/apt/lists/*; } \
    && useradd --system --uid 10001 --user-group --home-dir /data --no-create-home image-processor \
    && install -d -o image-processor -g image-processor /data
COPY --from=build /opt/image-processor /opt/image-processor
ENV PATH=/opt/image-processor/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    IMAGE_PROCESSOR_DATA=/data \
    IMAGE_PROCESSOR_HOST=0.0.0.0 \
    IMAGE_PROCESSOR_PORT=8000
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# The API answers while renditions are made; a start with a large library takes a few seconds.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['IMAGE_PROCESSOR_PORT'] + '/health', timeout=4)"]
ENTRYPOINT ["tini", "--", "image-processor"]
CMD ["serve"]
