# The router in a container: it steers the network namespace that it is given.
#
#   docker build -t trenza .
#   docker run --network host --cap-add NET_ADMIN --cap-add NET_RAW -v /etc/trenza:/etc/trenza -v trenza:/var/lib/trenza trenza
#
# Both stages' bases can be replaced where no registry is reached.
ARG GO_IMAGE=golang:1.26-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X github.com/trenza-router/trenza/router/cli.version=${VERSION}" -o /trenza .

FROM ${BASE_IMAGE}
RUN apt-get update && apt-get install -y --no-install-recommends nftables ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /trenza /usr/bin/trenza
VOLUME /var/lib/trenza
ENTRYPOINT ["/usr/bin/trenza"]
CMD ["router", "--config", "/etc/trenza/trenza.yaml"]
