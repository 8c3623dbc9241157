# The router, or a relay, in a container. What it steers is the network namespace that it is given.
#
#   docker build -t trenza .
#   docker run --network host --cap-add NET_ADMIN --cap-add NET_RAW -v /etc/trenza:/etc/trenza -v trenza:/var/lib/trenza trenza
#   docker compose -f compose.yaml up -d          # a relay; see docs/INSTALL.md
#
# Both stages' bases can be replaced where no registry is reached: "make test-container" makes them out of Debian's packages.
ARG GO_IMAGE=golang:1.26-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags shipped -ldflags "-s -w -X github.com/trenza-router/trenza/router/cli.version=${VERSION}" -o /trenza .

FROM ${BASE_IMAGE} AS system
# A base that has them already is left as it is.
RUN command -v nft >/dev/null || { apt-get update && apt-get install -y --no-install-recommends nftables ca-certificates && rm -rf /var/lib/apt/lists/*; }

FROM system
COPY --from=build /trenza /usr/bin/trenza
VOLUME /var/lib/trenza /var/lib/trenza-relay
ENTRYPOINT ["/usr/bin/trenza"]
CMD ["router", "--config", "/etc/trenza/trenza.yaml"]
