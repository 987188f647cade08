# One image with api, worker and waybill: static binaries and nothing else.
# Images are pinned by their full version. Pin them by digest too where you
# mirror them: `docker buildx imagetools inspect IMAGE` tells it.
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION="" REVISION=""
# timetzdata: the time zones are in the binary. SQLite is pure Go, so nothing needs C.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -tags timetzdata \
    -ldflags "-s -w -X github.com/waybill-dev/waybill/internal/app.version=$VERSION -X github.com/waybill-dev/waybill/internal/app.revision=$REVISION" \
    -o /out/ ./cmd/...

FROM scratch
ARG VERSION="" REVISION=""
LABEL org.opencontainers.image.title="Waybill" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /usr/local/bin/
# In a container the loopback is the container's own.
ENV PATH=/usr/local/bin WAYBILL_LISTEN=:8080 WAYBILL_OPS_LISTEN=:8081 WAYBILL_LOG_FORMAT=json
EXPOSE 8080 8081
USER 65532:65532
# Whether it lives, not whether it is ready: some restart what is unhealthy, and
# a restart mends no database that is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["waybill", "healthcheck", "-live"]
CMD ["waybill", "help"]
