# The lab as an image: one static binary, and lab files to begin with.
#
#   docker build -t c1m-lab .
#   docker run --rm --cap-add NET_ADMIN --cap-add SYS_ADMIN c1m-lab up lab.yaml
#
# Which capabilities and why: docs/container.md. Any image with Rust, a C linker and libc.a can build it.
ARG RUST_IMAGE=docker.io/library/rust:1-slim-bookworm
FROM ${RUST_IMAGE} AS build
WORKDIR /src

# Dependencies are built around an empty crate: this layer changes only when they do.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY benches benches
RUN mkdir src \
    && echo 'fn main() {}' >src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked

# The files of the crate are older than the empty one's build, which cargo would take for theirs.
COPY src src
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked \
    && mkdir -p /image/usr/bin /image/run /image/var/lib /image/lab/runs /image/usr/share/doc/c1m-lab \
    && cp target/*/release/c1m-lab /image/usr/bin/

COPY lab.yaml /image/lab/
COPY labs /image/lab/labs
COPY LICENSE-APACHE LICENSE-MIT /image/usr/share/doc/c1m-lab/

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="c1m-lab" \
    org.opencontainers.image.description="Holds a million and more TCP connections on one machine, and accounts for every one" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image /
WORKDIR /lab
ENV PATH=/usr/bin
ENTRYPOINT ["c1m-lab"]
CMD ["--help"]
