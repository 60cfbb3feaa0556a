# One image for all services of the order example; docker-compose.yml says which program a container runs.
#
# Not built so far: see "Containers" in README.md.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# rdkafka brings librdkafka, OpenSSL, zlib and zstd as source: a C compiler, make and perl are in this image.
RUN cargo build --release --locked \
      --bin quadrille --bin saga-coordinator --bin step --bin payment --bin shipping --bin stock \
 && mkdir /out \
 && cd target/release \
 && cp quadrille saga-coordinator step payment shipping stock /out/

FROM debian:bookworm-slim
# Certificates for brokers and registries with TLS; curl for the health checks.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates curl \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --no-create-home quadrille \
 && install --directory --owner=quadrille --group=quadrille /var/lib/quadrille
COPY --from=build /out/ /usr/local/bin/
# The topology names its schemas as ../schemas.
COPY topology/ /etc/quadrille/topology/
COPY schemas/ /etc/quadrille/schemas/
ENV QUADRILLE_TOPOLOGY=/etc/quadrille/topology/order.yaml \
    QUADRILLE_STORES=/var/lib/quadrille
USER quadrille
CMD ["quadrille", "--help"]
